"""Moved to `central_path.cli.tables`; removed in the next release."""

from central_path.cli.tables import *  # noqa: F403
