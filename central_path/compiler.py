"""Moved to `central_path.simulation.compiler`; removed in the next release."""

from central_path.simulation.compiler import *  # noqa: F403
