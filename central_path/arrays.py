"""Moved to `central_path.metrics.arrays`; removed in the next release."""

from central_path.metrics.arrays import *  # noqa: F403
