"""Moved to `central_path.cli.options`; removed in the next release."""

from central_path.cli.options import *  # noqa: F403
