"""Moved to `central_path.cli.inputs`; removed in the next release."""

from central_path.cli.inputs import *  # noqa: F403
