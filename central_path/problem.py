"""Moved to `central_path.theory.problem`; removed in the next release."""

from central_path.theory.problem import *  # noqa: F403
