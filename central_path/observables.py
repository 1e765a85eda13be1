"""Moved to `central_path.simulation.observables`; removed in the next release."""

from central_path.simulation.observables import *  # noqa: F403
