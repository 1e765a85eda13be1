"""Moved to `central_path.simulation.solve`; removed in the next release."""

from central_path.simulation.solve import *  # noqa: F403
