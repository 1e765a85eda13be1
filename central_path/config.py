"""Moved to `central_path.cli.config`; removed in the next release."""

from central_path.cli.config import *  # noqa: F403
