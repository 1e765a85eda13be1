"""Moved to `central_path.metrics.measurement`; removed in the next release."""

from central_path.metrics.measurement import *  # noqa: F403
