"""Moved to `theory_checks.framework.registry`; removed in the next release."""

from theory_checks.framework.registry import *  # noqa: F403
