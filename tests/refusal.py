"""How every program refuses: for all tests of what it is given and cannot use."""

from collections.abc import Callable

import pytest


def refused(
    capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], int], arguments: list[str], program: str = ""
) -> str:
    """The one line on stderr of a program that ends with exit code 2, by argparse or by itself; stdout stays empty."""
    try:
        code = main(arguments)
    except SystemExit as error:  # argparse's way
        code = error.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1), said
    assert said.err.startswith(program), said.err
    return said.err
