"""Features spread over devices and over processes: the results of one device, to rounding."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from central_path.simulation.compiler import COMPILER_OPTIONS

SIZES = ["--C", "4", "--N", "8", "--P", "8"]
RUN = [sys.executable, "-m", "central_path.simulate", "--flow", "all", "--no-plots", "--saves", "60"]
FLAGS = ["--xla_force_host_platform_device_count=8", *(f"--{k}={str(v).lower()}" for k, v in COMPILER_OPTIONS.items())]
EIGHT = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(FLAGS)}
DIFFERENCE = 1e-11  # other sums, hundreds of roundings of omega; steps of the same sizes


def start(folder, *arguments, sizes=SIZES, **environment):
    command = [*RUN, *sizes, "--output", str(folder), *arguments]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | environment, **quiet)


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def arrays(folder):
    with np.load(folder / "trajectory.npz") as archive:
        return dict(archive)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(found["features"], expected["features"], rtol=0, atol=1e-12)
    for name in ("riemannian", "renormalized", "unnormalized"):
        for key in ("omega", "loss", "nc1"):
            np.testing.assert_allclose(found[f"{name}/{key}"], expected[f"{name}/{key}"], rtol=DIFFERENCE)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    assert finish(start(folder))[0] == 0
    return arrays(folder)


@pytest.mark.slow
def test_eight_devices_give_the_results_of_one(tmp_path, alone):
    code, out, err = finish(start(tmp_path, "--devices", "all", **EIGHT))
    assert (code, err) == (0, "")
    assert "agrees" in out
    assert_same(arrays(tmp_path), alone)


@pytest.mark.slow
def test_classes_are_spread_where_examples_cannot_be(tmp_path, alone):
    other = ["--C", "8", "--N", "7", "--P", "8"]
    processes = [start(tmp_path / "one", sizes=other), start(tmp_path / "all", "--devices", "8", sizes=other, **EIGHT)]
    assert [finish(process)[0] for process in processes] == [0, 0]
    assert_same(arrays(tmp_path / "all"), arrays(tmp_path / "one"))


@pytest.mark.slow
def test_every_device_holds_its_share_and_no_program_gathers_the_features():
    code = """
import re
from central_path.cli.program import set_up_jax
set_up_jax()
import numpy as np
from central_path.simulation import experiment, sharding
how = sharding.spread(4, 16, 8)
X = sharding.place(np.arange(8.0 * 4 * 16).reshape(8, 4, 16), how)
assert {shard.data.shape for shard in X.addressable_shards} == {(8, 4, 2)}
text = experiment.prepare((8, 4, 16), 16, "features", 200, how=how).result().as_text()
assert "all-reduce" in text
gathered = re.findall(r"= (f64\\[[0-9,]*\\])[^ ]* all-gather", text)
print(gathered)
assert not any(np.prod([int(n) for n in re.findall(r"[0-9]+", shape[3:])]) >= X.size for shape in gathered)
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | EIGHT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def free_job_number():
    """JAX takes its port from the number of the Slurm job: one whose port is free."""
    for job in range(os.getpid(), os.getpid() + 4096):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", job % 2**12 + 65535 - 2**12 + 1)):
                return str(job)
    raise RuntimeError("no free port")


@pytest.mark.slow  # three processes that compile everything
def test_two_processes_as_slurm_starts_them_give_the_results_of_one_and_the_first_writes(tmp_path, alone):
    job = {"SLURM_JOB_ID": free_job_number(), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    processes = [
        start(tmp_path, "--distributed", SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), **job) for rank in range(2)
    ]
    (first, out, _), (second, silent, _) = map(finish, processes)
    assert (first, second) == (0, 0)
    assert "agrees" in out
    assert "agrees" not in silent
    assert_same(arrays(tmp_path), alone)


REFUSED = [
    (["--distributed"], "Need processes started by Slurm or MPI"),  # first, for JAX then starts its devices
    (["--devices", "64"], "Need at most 8 devices, got 64"),
    (["--devices", "3"], "Need N or C divisible by the number of devices, got N = 8, C = 4 on 3"),
    (["--devices", "none"], "need a number of devices or all, got none"),
    (["--devices", "-1"], "got -1"),
    (["--devices", "2", "--level", "means"], "need --level features"),
    (["--devices", "2", "--ensemble", "4"], "no --ensemble"),
]
ONE_BY_ONE = """
import contextlib, io, json, sys
from central_path import simulate

said = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = simulate.main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    said.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What one process with eight devices says to each of the arguments, and the folder where nothing is to be."""
    folder = tmp_path_factory.mktemp("refusals")
    commands = [[*SIZES, "--no-plots", "--output", str(folder / "out"), *arguments] for arguments, _ in REFUSED]
    command = [sys.executable, "-c", ONE_BY_ONE, json.dumps(commands)]
    done = subprocess.run(command, env=os.environ | EIGHT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), folder


@pytest.mark.parametrize("case", range(len(REFUSED)), ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_what_cannot_be_gets_one_line(refusals, case):
    said, folder = refusals
    code, out, err = said[case]
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert REFUSED[case][1] in err
    assert not list(folder.iterdir())
