"""Moved to `central_path.simulation.ensemble`; removed in the next release."""

from central_path.simulation.ensemble import *  # noqa: F403
