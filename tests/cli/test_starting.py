"""Ctrl-C from the first moment of a program on: one line, and the shell's exit code; a library sets no handler."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("central_path.simulate", "central_path.models", "theory_checks", "deepnet_runs.train", "deepnet_runs.grid")
SITE = """
import os, signal, sys

class Interrupting:  # sends Ctrl-C when the module is about to be imported
    def find_spec(self, name, *_):
        if name == os.environ["INTERRUPT_AT"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # as on a terminal, also where the tests run in background
sys.meta_path.insert(0, Interrupting())
"""


def interrupted_at(folder, module, *command):
    """A program that gets Ctrl-C while it imports a module."""
    (folder / "sitecustomize.py").write_text(SITE)
    paths = os.pathsep.join(filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths, "INTERRUPT_AT": module}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_while_a_program_imports_its_modules_ctrl_c_prints_one_line(program, tmp_path):
    assert interrupted_at(tmp_path, "argparse", "-m", program) == (130, "", "interrupted, nothing written\n")


def test_once_it_works_ctrl_c_is_an_exception_again(tmp_path):
    out = tmp_path / "out"
    command = ("-m", "central_path.simulate", "--C", "3", "--N", "4", "--no-plots", "--output", str(out))
    code, said, complaint = interrupted_at(tmp_path, "jax", *command)
    assert (code, said) == (130, "")
    assert complaint == "python -m central_path.simulate: interrupted, nothing written\n"
    assert not out.exists()


def test_a_program_of_somebody_else_keeps_its_handler(tmp_path):
    (tmp_path / "other.py").write_text(
        "import signal\nimport central_path\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    code, said, _ = interrupted_at(tmp_path, "nothing", "-m", "other", "-m", "central_path")
    assert (code, said) == (0, "True\n")
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)  # of whoever started pytest
