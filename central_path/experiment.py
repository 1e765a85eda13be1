"""Moved to `central_path.simulation.experiment`; removed in the next release."""

from central_path.simulation.experiment import *  # noqa: F403
