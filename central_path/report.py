"""Moved to `central_path.cli.report`; removed in the next release."""

from central_path.cli.report import *  # noqa: F403
