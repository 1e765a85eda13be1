"""Many starts at once: each as it is alone, its times to collapse, and what the program writes."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from refusal import refused

from central_path import simulate
from central_path.cli import inputs
from central_path.flows import FLOWS
from central_path.flows.horizon import time_to_ratio
from central_path.simulation import ensemble, experiment, solve
from central_path.simulation.starts import Start, stack
from central_path.theory.laws import Law

C, N, P, K = 4, 6, 8, 5
OPTIONS = {"t_max": None, "saves": 40, "rtol": 1e-10, "atol": 1e-10}
SMALL = ["--C", "4", "--N", "6", "--P", "8", "--level", "means", "--ensemble", "5", "--quiet"]


def starts(level, number=K):
    return [inputs.random_start(C, N, P, level, seed=seed).start() for seed in range(number)]


@pytest.mark.parametrize("level", ["features", "spectrum", pytest.param("means", marks=pytest.mark.slow)])
def test_each_start_follows_its_law_as_it_does_alone(level):
    begun = starts(level)
    gathered = stack(begun, level)
    for name in FLOWS:
        result = ensemble.run_flow(name, gathered, level=level, **OPTIONS)
        assert result.agrees(1e-6).all()
        assert not result.agrees(1e-14).any()
        alone = experiment.run_flow(name, begun[2], level=level, **(OPTIONS | {"t_max": float(result.ts[-1])}))
        np.testing.assert_allclose(result.omega[2][[0, -1]], alone.ys["omega"][[0, -1]], rtol=1e-7)
        mixed = Start(gathered.X, np.roll(gathered.omega0, 1, axis=0), N)  # planted: another's omega(0)
        assert not ensemble.run_flow(name, mixed, level=level, **OPTIONS).agrees(1e-2).any()


def test_the_number_of_starts_need_not_fill_its_groups(monkeypatch):
    gathered = stack(starts("means", 7), "means")
    whole = ensemble.run_flow("riemannian", gathered, level="means", **OPTIONS)
    monkeypatch.setattr(ensemble, "GROUP", 3)
    in_threes = ensemble.run_flow("riemannian", gathered, level="means", **OPTIONS)
    np.testing.assert_allclose(in_threes.omega, whole.omega, rtol=1e-7)


def made_up(S, shape):
    omega0 = np.random.default_rng(0).uniform(0.1, 9.0, (S, 3))
    return Start(np.broadcast_to(0.0, (S, *shape)), omega0, N)


@pytest.mark.parametrize("S", [1, 2, 49, 50, 51, 100, 1001])
def test_groups_are_of_one_size_and_miss_no_start(S):
    gathered = made_up(S, (3, C))
    members = ensemble.groups(gathered)
    assert members.shape[1] <= ensemble.GROUP
    assert members.size - S < len(members)
    np.testing.assert_array_equal(np.unique(members), np.arange(S))
    assert (np.diff(gathered.omega0.min(axis=1)[members.ravel()]) <= 0).all()  # the hard ones last


def test_groups_of_large_states_are_smaller():
    assert ensemble.groups(made_up(60, (99, 100))).shape == (2, 30)
    assert ensemble.groups(made_up(60, (999, 1000))).shape == (20, 3)


def test_a_hard_start_costs_its_own_group_alone(monkeypatch):
    begun = starts("means", 6)
    options = {"level": "means", **OPTIONS, "t_max": 1e5}
    monkeypatch.setattr(ensemble, "GROUP", 3)
    before = ensemble.run_flow("riemannian", stack(begun, "means"), **options)
    U, omega0, Vt = np.linalg.svd(begun[0].X.mean(axis=2) if begun[0].X.ndim == 3 else begun[0].X, full_matrices=False)
    hard = omega0[:3] * [1, 1, 1e-4]
    hard = Start((U[:, :3] * hard) @ Vt[:3], hard, N)
    after = ensemble.run_flow("riemannian", stack([hard, *begun[1:]], "means"), **options)
    assert after.agrees(1e-6).all()
    assert after.steps[0] > 2 * before.steps.max()
    assert np.sum(after.steps == after.steps[0]) == 3
    assert after.steps.min() <= before.steps.max()


def test_steps_are_as_short_as_one_start_of_a_group_needs(monkeypatch):
    begun = starts("means", 40)
    easy = [Start(begun[0].X * 1e3, begun[0].omega0 * 1e3, N)] * 39  # which moves by 1e-9 in this time
    together = stack([begun[1], *easy], "means")
    options = OPTIONS | {"t_max": 1e3, "rtol": 1e-6, "atol": 1e-6}
    alone = ensemble.run_flow("riemannian", stack([begun[1]], "means"), level="means", **options)
    both = ensemble.run_flow("riemannian", together, level="means", **options)
    assert both.max_relative_error[0] <= 2 * alone.max_relative_error[0]
    monkeypatch.setattr(solve, "_largest", lambda errors: jnp.sqrt(jnp.mean(errors**2)))  # planted: over all starts
    experiment.solver.cache_clear()
    both = ensemble.run_flow("riemannian", together, level="means", **options)
    experiment.solver.cache_clear()
    assert both.max_relative_error[0] > 2 * alone.max_relative_error[0]


def test_a_solve_that_does_not_reach_its_end_is_no_success_and_progress_counts_every_start(monkeypatch):
    gathered = stack(starts("means", 7), "means")
    monkeypatch.setattr(ensemble, "GROUP", 3)  # so that the last is filled up
    told = []
    monkeypatch.setattr(solve, "MAX_STEPS", 5)
    experiment.solver.cache_clear()
    result = ensemble.run_flow("riemannian", gathered, level="means", **OPTIONS, advance=told.append)
    experiment.solver.cache_clear()
    assert sum(told) == 7
    assert not result.successful.any()


def test_times_to_collapse_are_those_of_the_law():
    gathered = stack(starts("spectrum"), "spectrum")
    for name in ("riemannian", "renormalized"):
        result = ensemble.run_flow(name, gathered, level="spectrum", **(OPTIONS | {"saves": 400}))
        np.testing.assert_allclose(result.time_to_collapse, result.time_to_collapse_law, rtol=1e-3)
        for omega0, t in zip(gathered.omega0, result.time_to_collapse_law, strict=True):
            omega = np.asarray(result.law.omega(t, omega0))
            assert omega.max() / omega.min() == pytest.approx(1.01, rel=1e-12)
    plain = ensemble.run_flow("unnormalized", gathered, level="spectrum", **OPTIONS)
    assert np.isnan(plain.time_to_collapse).all()
    assert np.isinf(plain.time_to_collapse_law).all()
    assert time_to_ratio(Law(0, C, N), 1.0, 1.005, 1.01) == 0


def test_the_program_writes_quantiles_arrays_and_a_figure(tmp_path, capsys):
    out = tmp_path / "out"
    assert simulate.main(["--C", "4", "--N", "6", "--no-plots", "--quiet", "--output", str(out)]) == 0
    assert simulate.main([*SMALL, "--flow", "all", "--seed", "3", "--output", str(out)]) == 0
    replaced = f"{out}: replaced summary.json and removed trajectory.npz of an earlier run\n"
    assert capsys.readouterr() == ("", replaced)
    assert {path.name for path in out.iterdir()} == {"summary.json", "ensemble.npz", "ensemble.png"}  # the former left
    summary = json.loads((out / "summary.json").read_text())
    assert summary["ensemble"] == 5
    flow = summary["flows"]["riemannian"]
    assert flow["verdict"] == "agrees"
    assert flow["disagreeing_seeds"] == []
    assert list(flow["max_relative_error"]) == ["min", "q05", "median", "q95", "max"]
    assert summary["flows"]["unnormalized"]["time_to_collapse"] is None
    with np.load(out / "ensemble.npz") as arrays:
        assert arrays["riemannian/omega"].shape == (5, 50, 3)
        one = inputs.random_start(4, 6, 8, "means", seed=4).start()  # seeds 3, 4, ...
        np.testing.assert_allclose(arrays["riemannian/omega"][1, 0], one.omega0, rtol=1e-9)
    assert simulate.main([*SMALL, "--no-plots", "--tolerance", "1e-14", "--output", str(out)]) == 1
    assert json.loads((out / "summary.json").read_text())["flows"]["riemannian"]["disagreeing_seeds"]
    assert {path.name for path in out.iterdir()} == {"summary.json", "ensemble.npz"}


@pytest.mark.parametrize(("many", "figure"), [(["--ensemble", "5"], "ensemble.png"), ([], "omega.png")])
def test_the_longest_horizon_has_a_figure(tmp_path, many, figure):
    run = ["--C", "4", "--N", "6", "--level", "spectrum", "--flow", "riemannian", "--quiet", *many]
    assert simulate.main([*run, "--t-max", "1e280", "--output", str(tmp_path)]) in (0, 1)
    assert (tmp_path / figure).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--C", "4", "--N", "6", "--ensemble", "1"], "need from 2 to 1000000 starts, got 1"),
        (["--features", "x.npz", "--ensemble", "5"], "takes random starts, got --features too"),
        (["--C", "4", "--N", "6", "--seed", str(2**63 - 1), "--ensemble", "5"], "need seeds below 2^63"),
        (["--C", "4", "--N", "2", "--P", "9", "--ensemble", "5"], "Need P <= C(N-1) = 4"),
    ],
)
def test_what_cannot_be_gets_one_line(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    assert match in refused(capsys, simulate.main, arguments)
    assert not list(tmp_path.iterdir())


def test_more_features_than_have_room_are_not_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inputs, "MOST_FEATURES", 100)
    sizes = ["--C", "4", "--N", "6", "--P", "8", "--no-plots", "--quiet", "--output", str(tmp_path / "out")]
    assert simulate.main([*sizes, "--level", "means"]) == 0
    assert "their class means are drawn instead" in capsys.readouterr().err
    with np.load(tmp_path / "out" / "trajectory.npz") as arrays:
        assert "features" not in arrays.files
        omega = np.linalg.svd(arrays["means"], compute_uv=False)
        np.testing.assert_allclose(arrays["riemannian/omega"][0], omega, rtol=1e-9)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["start"], summary["P"]) == ("means", 8)
    assert simulate.main([*sizes, "--level", "features"]) == 0  # which needs them
    out = tmp_path / "out"
    assert capsys.readouterr().err == f"{out}: replaced trajectory.npz, summary.json of an earlier run\n"
    assert "features" in np.load(tmp_path / "out" / "trajectory.npz").files
