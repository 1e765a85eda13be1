"""Moved to `central_path.theory.loss`; removed in the next release."""

from central_path.theory.loss import *  # noqa: F403
