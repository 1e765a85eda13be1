"""Moved to `central_path.theory.laws`; removed in the next release."""

from central_path.theory.laws import *  # noqa: F403
