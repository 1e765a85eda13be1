"""Moved to `central_path.cli.console`; removed in the next release."""

from central_path.cli.console import *  # noqa: F403
