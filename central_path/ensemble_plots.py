"""Moved to `central_path.cli.ensemble_plots`; removed in the next release."""

from central_path.cli.ensemble_plots import *  # noqa: F403
