"""Moved to `central_path.simulation.sharding`; removed in the next release."""

from central_path.simulation.sharding import *  # noqa: F403
