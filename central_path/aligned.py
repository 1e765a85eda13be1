"""Moved to `central_path.simulation.aligned`; removed in the next release."""

from central_path.simulation.aligned import *  # noqa: F403
