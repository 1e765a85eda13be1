"""Moved to `central_path.cli.starting`; removed in the next release."""

from central_path.cli.starting import *  # noqa: F403
