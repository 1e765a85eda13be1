"""The compiler's option: named only to releases that know it, for elsewhere it ends the program."""

import os
import subprocess
import sys

import pytest

from central_path.simulation import compiler


@pytest.mark.parametrize("release", ["0.8.0", "0.10.2", "0.11.1", "0.11.0rc1"])
def test_releases_that_leave_the_choice(release):
    assert compiler._known(release)


@pytest.mark.parametrize("release", ["0.11.2", "0.12.0.1", "0.13.0.dev20261001", "1.0.0"])
def test_releases_that_do_not(release):
    assert not compiler._known(release)


def test_the_installed_release_takes_what_it_is_told_as_option_and_as_flag():
    code = (
        "from central_path.simulation.compiler import COMPILER_OPTIONS, compile_quickly; compile_quickly(); "
        "import jax; "
        "print(jax.jit(lambda: 1, compiler_options=COMPILER_OPTIONS)())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_flags_of_the_user_stay(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    compiler.compile_quickly()
    assert os.environ["XLA_FLAGS"] == "--xla_force_host_platform_device_count=2"
