"""Moved to `central_path.metrics.resolved`; removed in the next release."""

from central_path.metrics.resolved import *  # noqa: F403
