"""The installed commands of this package: each runs a program as `python -m` does."""

import runpy


def run(module: str) -> None:
    """Run a module as `python -m` does, under its own name, so that processes that it starts find it again."""
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def simulate() -> None:
    """`central-path-simulate`."""
    run("central_path.simulate")


def models() -> None:
    """`central-path-models`."""
    run("central_path.models")
