"""Moved to `central_path.theory.rescaled`; removed in the next release."""

from central_path.theory.rescaled import *  # noqa: F403
