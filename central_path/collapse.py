"""Moved to `central_path.metrics.collapse`; removed in the next release."""

from central_path.metrics.collapse import *  # noqa: F403
