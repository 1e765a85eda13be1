"""Moved to `central_path.theory.wishart`; removed in the next release."""

from central_path.theory.wishart import *  # noqa: F403
