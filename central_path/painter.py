"""Moved to `central_path.cli.painter`; removed in the next release."""

from central_path.cli.painter import *  # noqa: F403
