"""Moved to `central_path.cli.program`; removed in the next release."""

from central_path.cli.program import *  # noqa: F403
