"""Moved to `central_path.metrics.snr`; removed in the next release."""

from central_path.metrics.snr import *  # noqa: F403
