"""Moved to `central_path.simulation.ahead`; removed in the next release."""

from central_path.simulation.ahead import *  # noqa: F403
