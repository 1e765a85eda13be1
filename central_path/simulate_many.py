"""Moved to `central_path.cli.simulate_many`; removed in the next release."""

from central_path.cli.simulate_many import *  # noqa: F403
