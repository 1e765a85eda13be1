"""Moved to `central_path.simulation.descent`; removed in the next release."""

from central_path.simulation.descent import *  # noqa: F403
