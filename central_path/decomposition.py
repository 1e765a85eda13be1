"""Moved to `central_path.metrics.decomposition`; removed in the next release."""

from central_path.metrics.decomposition import *  # noqa: F403
