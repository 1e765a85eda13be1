"""Moved to `central_path.metrics.samples`; removed in the next release."""

from central_path.metrics.samples import *  # noqa: F403
