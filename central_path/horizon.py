"""Moved to `central_path.flows.horizon`; removed in the next release."""

from central_path.flows.horizon import *  # noqa: F403
