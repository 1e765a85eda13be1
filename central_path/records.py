"""Moved to `central_path.cli.records`; removed in the next release."""

from central_path.cli.records import *  # noqa: F403
