"""What a terminal shows of work that nothing advances, and that others see nothing of it."""

import io
import sys
import time

import pytest
from tqdm import tqdm

from central_path import simulate
from central_path.cli import program


def watched(monkeypatch, terminal):
    """What takes the place of stderr, in a test itself: pytest has its own before."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(program, "TICK", 0.01)
    return stream


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_what_is_under_way_and_for_how_long(terminal, monkeypatch):
    stderr = watched(monkeypatch, terminal)
    with program.shown("compiling"):
        time.sleep(1.2)
    shown = stderr.getvalue()
    assert ("compiling ... 00:00" in shown and "compiling ... 00:01" in shown) is terminal
    assert bool(shown) is terminal
    with program.shown("compiling", silent=True):
        pass
    assert stderr.getvalue() == shown


@pytest.mark.parametrize("terminal", [True, False])
def test_the_clock_of_a_bar_goes_on_while_nothing_advances_it(terminal, monkeypatch):
    stderr = watched(monkeypatch, terminal)
    with program.ticking(tqdm(total=2, file=stderr, mininterval=100, disable=not terminal)):
        before = len(stderr.getvalue())
        time.sleep(0.2)
        assert (len(stderr.getvalue()) > before) is terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_the_first_command_shows_that_it_compiles(terminal, monkeypatch, tmp_path):
    stderr = watched(monkeypatch, terminal)
    assert simulate.main(["--C", "3", "--N", "5", "--no-plots", "--output", str(tmp_path)]) == 0
    assert ("compiling" in stderr.getvalue()) is terminal
