"""Moved to `central_path.theory.growth`; removed in the next release."""

from central_path.theory.growth import *  # noqa: F403
