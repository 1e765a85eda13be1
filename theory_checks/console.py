"""The installed command of this package: it runs `python -m theory_checks`."""

from central_path.console import run


def check() -> None:
    """`central-path-check`."""
    run("theory_checks")
