"""The command, as its users and their scripts rely on it."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files

import numpy as np
import pytest

from central_path import flows, names, simulate

SMALL = ["--C", "4", "--N", "6"]
DIGITS = str(files("central_path") / "data" / "digits_resnet8_epoch0040.npz")
ALL_LEVELS = {"t", "omega", "omega_law", "loss", "loss_nc1", "loss_nc23", "nc1"}
MEANS = ALL_LEVELS | {"equinorm", "equiangularity", "max_angle", "self_duality", "global_mean"}
CARRIED = {"features": MEANS | {"drift", "ncc_mismatch"}, "means": MEANS, "spectrum": ALL_LEVELS}


def run(tmp_path, *arguments):
    code = simulate.main([*arguments, "--output", str(tmp_path / "out")])
    return code, read(tmp_path / "out")


def read(folder):
    def refuse(text):
        raise AssertionError(f"{text} in summary.json")

    summary = json.loads((folder / "summary.json").read_text(), parse_constant=refuse)
    with np.load(folder / "trajectory.npz") as archive:
        return summary, dict(archive)


@pytest.fixture(scope="module", params=flows.LEVELS)
def finished(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    level = request.param
    return level, *run(folder, *SMALL, "--flow", "all", "--level", level, "--no-plots", "--quiet", "--saves", "60")


def test_every_flow_agrees_with_its_law_and_with_no_other(finished):
    _, code, (summary, _) = finished
    assert code == 0
    for flow in summary["flows"].values():
        assert flow["verdict"] == "agrees"
        assert flow["max_relative_error"] < 1e-7
        assert min(flow["error_against"].values()) > 1e-2


def test_summary_has_the_keys_of_the_contract(finished):
    level, _, (summary, _) = finished
    assert {"C", "N", "P", "P_input", "rank", "signal_lost", "seed", "level", "rtol", "atol", "t_max"} <= set(summary)
    assert {"seconds", "versions", "flows"} <= set(summary)
    assert (summary["C"], summary["N"], summary["P"], summary["t_max"]) == (4, 6, 8, None)
    for name, flow in summary["flows"].items():
        assert set(flow["law"]) == {"c1", "c2", "c3"}
        assert set(flow["error_against"]) == set(flows.FLOWS) - {name}
        assert len(flow["omega_first"]) == len(flow["omega_last"]) == 3
        assert flow["result"] == "successful"
        assert isinstance(flow["steps"], int)
        assert (flow["max_drift"] is None) == (level != "features")
        assert (flow["growth_exponent"] is None) == (name == "unnormalized")


def test_trajectory_has_what_its_level_carries(finished):
    level, _, (summary, arrays) = finished
    for name in summary["flows"]:
        carried = {key.split("/")[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
        assert set(carried) - {"asymptote"} == CARRIED[level]
        assert all(np.isfinite(array).all() and len(array) == 60 for array in carried.values())
        assert carried["omega"].shape == carried["omega_law"].shape == (60, 3)
        assert (np.diff(carried["omega"], axis=1) <= 0).all()
        assert carried["t"][0] == 0
        assert carried["t"][-1] == summary["flows"][name]["t_max"]


def test_the_features_are_renormalized_and_have_the_first_omega(finished):
    _, _, (_, arrays) = finished
    X, labels = arrays["features"], arrays["labels"]
    assert labels.tolist() == np.repeat(range(4), 6).tolist()
    M = np.stack([X[labels == c].mean(axis=0) for c in range(4)])
    E = X - M[labels]
    np.testing.assert_allclose(E.T @ E / len(X), np.eye(8), atol=1e-13)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-13)
    for name in flows.FLOWS:
        np.testing.assert_allclose(arrays[f"{name}/omega"][0], np.linalg.svd(M.T, compute_uv=False)[:3], rtol=1e-12)


def test_losses_add_up_and_nc1_is_bounded_by_omega(finished):
    _, _, (_, arrays) = finished
    for name in flows.FLOWS:
        parts = arrays[f"{name}/loss_nc1"] + arrays[f"{name}/loss_nc23"]
        np.testing.assert_allclose(arrays[f"{name}/loss"], parts, rtol=1e-14)
        lowest = np.sum(arrays[f"{name}/omega"] ** -2.0, axis=1)  # equal where range(Mbar) is Sigma_W-invariant
        np.testing.assert_allclose(arrays[f"{name}/nc1"], lowest, rtol=1e-7)


def test_the_levels_agree(finished, tmp_path):
    level, _, (_, arrays) = finished
    _, (_, reference) = run(
        tmp_path, *SMALL, "--flow", "all", "--level", "features", "--no-plots", "--quiet", "--saves", "60"
    )
    for name in flows.FLOWS:
        for key in sorted(CARRIED[level] - {"drift", "global_mean", "ncc_mismatch"}):
            ours, theirs = arrays[f"{name}/{key}"], reference[f"{name}/{key}"]
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9, err_msg=f"{name}/{key}")


def test_a_tolerance_below_the_error_disagrees_with_exit_code_1(tmp_path):
    code, (summary, _) = run(tmp_path, *SMALL, "--no-plots", "--quiet", "--saves", "60", "--tolerance", "1e-15")
    assert code == 1
    assert {flow["verdict"] for flow in summary["flows"].values()} == {"disagrees"}


def test_a_solver_that_fails_ends_in_exit_code_1_with_what_it_reached(tmp_path, capsys):
    beyond = [*SMALL, "--no-plots", "--saves", "60", "--flow", "unnormalized", "--level", "spectrum", "--t-max", "1e6"]
    code, (summary, arrays) = run(tmp_path, *beyond)  # e^10000 is beyond float64
    assert code == 1
    flow = summary["flows"]["unnormalized"]
    assert flow["verdict"] == "disagrees"
    assert flow["result"].startswith("stopped after t = ")
    assert 0 < len(arrays["unnormalized/t"]) < 60
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert "stopped after" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path):
    drawn = [
        run(tmp_path, *SMALL, "--no-plots", "--quiet", "--saves", "60", "--seed", s)[1][1] for s in ("1", "1", "2")
    ]
    for key, array in drawn[0].items():
        np.testing.assert_array_equal(array, drawn[1][key])
    assert not np.array_equal(drawn[0]["features"], drawn[2]["features"])


def test_a_second_run_of_the_same_shape_traces_nothing(tmp_path, monkeypatch):
    run(tmp_path, *SMALL, "--no-plots", "--quiet", "--saves", "60")

    def traced(*_, **__):
        raise AssertionError("traced again")

    monkeypatch.setattr("central_path.simulation.solve.field", traced)
    monkeypatch.setattr("central_path.simulation.starts.retract", traced)
    assert run(tmp_path, *SMALL, "--no-plots", "--quiet", "--saves", "60", "--seed", "3")[0] == 0


def test_the_table_and_the_figures(tmp_path, capsys):
    code, _ = run(tmp_path, *SMALL, "--saves", "60", "--flow", "all")
    shown = capsys.readouterr()
    assert code == 0
    assert shown.err == ""
    for words in (
        "riemannian",
        "renormalized",
        "unnormalized",
        "agrees",
        "1/4",
        "1/2",
        "96 log w + 24 w^2 + 1.5 w^4 = a + t",
    ):
        assert words in shown.out
    for name in ("omega.png", "loss.png", "collapse.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    run(tmp_path, *SMALL, "--saves", "60", "--no-plots", "--quiet")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["summary.json", "trajectory.npz"]
    assert capsys.readouterr().out == ""


def test_real_features_collapse_along_their_laws(tmp_path):
    code, (summary, arrays) = run(tmp_path, "--features", DIGITS, "--flow", "all", "--level", "means", "--quiet")
    assert code == 0
    assert (summary["C"], summary["N"], summary["P"], summary["rank"]) == (10, 140, 64, 64)
    with np.load(DIGITS) as archive:
        np.testing.assert_array_equal(arrays["labels"], archive["labels"])
    for name in ("riemannian", "renormalized"):
        omega = np.array(summary["flows"][name]["omega_last"])
        assert omega[0] / omega[-1] <= 1.01


def test_raw_digit_pixels_need_one_option_at_the_reduced_levels(tmp_path, capsys):
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    np.savez(tmp_path / "digits.npz", features=digits.data, labels=digits.target)
    arguments = ["--features", str(tmp_path / "digits.npz"), "--level", "means", "--quiet", "--no-plots"]
    assert simulate.main(arguments) == 2
    error = capsys.readouterr().err
    assert "174 to 183" in error
    assert "--balance" in error
    code, (summary, arrays) = run(tmp_path, *arguments, "--balance")
    assert code == 0
    said = ["balanced classes: 1740 of 1797 examples, 174 a class", "rank of Sigma_W: 61 of 64"]
    assert capsys.readouterr().err.splitlines() == said  # constant pixels carry no signal
    assert (summary["P"], summary["P_input"], summary["rank"], summary["N"]) == (61, 64, 61, 174)
    assert summary["signal_lost"] < 1e-14
    assert arrays["features"].shape == (1740, 61)


def command(*arguments):
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


SMALL_DISK = """
import os, resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
os.environ["JAX_PLATFORMS"] = "cpu"  # CUDA's compiler, with no room for its files, ends the process
runpy.run_module("central_path.simulate", run_name="__main__", alter_sys=True)
"""


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path):
    pytest.importorskip("resource")
    process = command("-c", SMALL_DISK, *SMALL, "--level", "spectrum", "--output", str(tmp_path / "out"))
    _, error = process.communicate()
    assert process.returncode == 2
    assert error.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_kill_while_writing_leaves_whole_files_or_none(tmp_path, how):
    quickest = [*SMALL, "--level", "spectrum"]
    process = command("-m", "central_path.simulate", *quickest, "--output", str(tmp_path / "out"))
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/*")) and not list(tmp_path.glob("out/.unfinished-*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, how)
    process.communicate()
    assert process.returncode != 0
    for path in tmp_path.glob("out/*.npz"):
        np.load(path).close()
    for path in tmp_path.glob("out/*.json"):
        json.loads(path.read_text())
    if how == signal.SIGTERM:
        assert not list(tmp_path.glob("out/.unfinished-*"))


def test_options_name_the_flows_and_levels_of_the_mathematics():
    assert tuple(flows.FLOWS) == names.FLOW_NAMES
    assert flows.LEVELS == names.LEVEL_NAMES


def test_help_says_how_the_default_horizon_is_chosen(capsys):
    with pytest.raises(SystemExit) as exit_:
        simulate.main(["--help"])
    assert exit_.value.code == 0
    assert "within 1 %" in capsys.readouterr().out
