"""The installed commands of this package: each runs a program as `python -m` does."""

from central_path.console import run


def train() -> None:
    """`central-path-train`."""
    run("deepnet_runs.train")


def grid() -> None:
    """`central-path-grid`."""
    run("deepnet_runs.grid")


def which_law() -> None:
    """`central-path-which-law`."""
    run("deepnet_runs.which_law")


def kernel() -> None:
    """`central-path-kernel`."""
    run("deepnet_runs.kernel")


def figures() -> None:
    """`central-path-figures`."""
    run("deepnet_runs.figures")
