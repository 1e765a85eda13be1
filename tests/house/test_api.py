"""`import central_path as cp`: the same numbers as the commands, examples that run, refusals."""

import inspect
import io
import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import central_path as cp
from central_path import api, simulate
from central_path.cli import plots
from central_path.metrics import samples
from central_path.theory import loss, problem

C, N, P = 4, 12, 9
unchecked = inspect.unwrap  # as users call it, whose types nothing checks


def drawn(seed=0):
    H = samples.random_features(C, N, P, seed=seed)
    return H.reshape(P, C * N).T, np.repeat(np.array(["a", "b", "c", "d"]), N)


@pytest.mark.parametrize("level", ["features", "means", "spectrum"])
def test_a_trajectory_is_what_the_command_writes(tmp_path, level):
    common = ["--C", "4", "--N", "12", "--P", "9", "--level", level, "--saves", "20", "--no-plots", "--quiet"]
    assert simulate.main([*common, "--flow", "renormalized", "--output", str(tmp_path)]) == 0
    run = cp.trajectory(C=C, N=N, P=P, level=level, saves=20, flow="renormalized")
    summary = json.loads((tmp_path / "summary.json").read_text())["flows"]["renormalized"]
    with np.load(tmp_path / "trajectory.npz") as arrays:
        np.testing.assert_array_equal(run.t, arrays["renormalized/t"])
        np.testing.assert_array_equal(run.omega, arrays["renormalized/omega"])
        np.testing.assert_array_equal(run.observables["loss"], arrays["renormalized/loss"])
    assert run.error == summary["max_relative_error"]
    assert run.agrees
    assert ("drift" in run.observables) == (level == "features")
    assert "agrees" in repr(run)
    law = cp.law("renormalized", C=C, N=N)
    np.testing.assert_allclose(np.asarray(law.omega(run.t[:, None], run.omega[0])), run.omega_law, rtol=1e-13)
    assert law == run.law == cp.law(1, C=C, N=N)


def test_given_features_are_those_of_random_sizes_and_restriction_says_what_it_lost():
    h, labels = drawn()
    own, given = cp.trajectory(C=C, N=N, P=P, saves=20), cp.trajectory(features=h, labels=labels, saves=20)
    np.testing.assert_allclose(given.omega, own.omega, rtol=1e-9)
    flat = np.concatenate([h, np.ones((len(h), 1))], axis=1)
    np.testing.assert_allclose(cp.trajectory(features=flat, labels=labels, saves=20).omega, own.omega, rtol=1e-9)
    signal = np.concatenate([h, np.asarray(labels == labels[0], float)[:, None]], axis=1)
    with pytest.raises(ValueError, match="restrict-rank"):
        cp.trajectory(features=signal, labels=labels)
    restricted = cp.trajectory(features=flat, labels=labels, restrict_rank=True, saves=20)
    assert restricted.P == P
    assert restricted.signal_lost < 1e-12
    assert not cp.trajectory(C=C, N=N, P=P, saves=20, tolerance=1e-16).agrees  # planted: nothing is as near as that


GENERAL = [  # rows of the features, options of both, what omega is compared with
    (slice(None), {"level": "moments"}, "law"),
    pytest.param(slice(None), {"lam": 0.01}, "features", marks=pytest.mark.slow),
    pytest.param(slice(5, None), {"kernel": 0.4}, "features", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("rows", "options", "beside"), GENERAL)
def test_without_a_law_or_at_moments_a_trajectory_is_what_the_command_writes(tmp_path, rows, options, beside):
    h, labels = (array[rows] for array in drawn())
    np.savez(tmp_path / "features.npz", features=h, labels=labels)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = ["--features", str(tmp_path / "features.npz"), "--flow", "unnormalized", "--saves", "10", "--no-plots"]
    assert simulate.main([*command, *words, "--output", str(tmp_path / "out")]) == 0
    run = cp.trajectory(features=h, labels=labels, flow="unnormalized", saves=10, **options)
    assert (run.agrees, run.compared_with, run.N) == (True, beside, N if len(h) == C * N else None)
    found = run.to_dict()
    with np.load(tmp_path / "out" / "trajectory.npz") as arrays:
        for key in ("t", "omega", "loss", "nc1"):
            np.testing.assert_array_equal(found[key], arrays[f"unnormalized/{key}"])
        np.testing.assert_array_equal(run.omega_beside, arrays[f"unnormalized/omega_{beside}"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["flows"]["unnormalized"]
    for key in ("kernel", "lam", "t_max", "steps", "result"):
        assert found[key] == summary[key]
    assert (found["error"], found["agrees"]) == (summary["max_relative_error"], True)
    assert len(run.plot().axes[0].lines) == 2 * (C - 1)
    assert ("features" in repr(run).split("lam")[-1]) == (beside == "features")


def test_a_trajectory_without_a_law_says_so():
    h, labels = drawn()
    run = cp.trajectory(features=h[5:], labels=labels[5:], flow="unnormalized", saves=10)
    for ask in (lambda: run.law, lambda: run.omega_law):
        with pytest.raises(ValueError, match="Need balanced classes, lam = 0 and a Sigma_W of full rank for a law"):
            ask()


@pytest.mark.parametrize("what", ["omega", "loss", "collapse"])
def test_a_trajectory_plots_itself(what, tmp_path):
    run = cp.trajectory(C=C, N=N, P=P, saves=20)
    figure = run.plot(what)
    (axis,) = figure.axes
    if what == "omega":
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), run.omega[:, 0])
        np.testing.assert_array_equal(axis.lines[C - 1].get_ydata(), run.omega_law[:, 0])
    figure.savefig(tmp_path / "figure.png")
    with pytest.raises(ValueError, match="Need a picture of omega, loss or collapse, got 'phase'"):
        unchecked(api.Trajectory.plot)(run, "phase")


def test_a_notebook_shows_a_trajectory_as_its_picture_of_omega():
    formats = pytest.importorskip("IPython.core.formatters")
    run = cp.trajectory(C=C, N=N, P=P, saves=20)
    shown, _ = formats.DisplayFormatter().format(run)
    assert shown["text/plain"] == repr(run)
    file = io.BytesIO()
    plots.save(run.plot("omega"), file)
    assert shown["image/png"] == file.getvalue()


@pytest.mark.parametrize("counts", [(12, 12, 12, 12), (20, 6, 12, 9)])
def test_a_measurement_is_that_of_the_modules_and_its_parts_sum_to_the_loss_of_the_examples(counts):
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(C), counts)
    h = rng.standard_normal((C, P))[y] + rng.standard_normal((len(y), P))
    W, b, lam = rng.standard_normal((C, P)), rng.standard_normal(C), 0.02
    found = cp.measure(h, y, W=W, b=b, lam=lam)
    by_example = 0.5 * np.mean(np.sum((h @ W.T + b - np.eye(C)[y]) ** 2, axis=1))
    expected = by_example + 0.5 * lam * (np.sum(W**2) + np.sum(b**2))
    parts = [found[key] for key in ("loss_nc1", "loss_nc23", "loss_ls_perp")]
    assert found["loss"] == pytest.approx(expected, rel=1e-12)
    assert sum(parts) == pytest.approx(expected, rel=1e-12)
    center = np.stack([h[y == c].mean(axis=0) for c in range(C)])
    nearest = np.argmin(np.sum((h[:, None] - center) ** 2, axis=2), axis=1)
    assert found["ncc_mismatch"] == np.mean(nearest != np.argmax(h @ W.T + b, axis=1))
    best = cp.measure(h, y, lam=lam)
    assert best["loss_ls_perp"] == pytest.approx(0, abs=1e-14)
    assert best["loss"] < found["loss"]
    shuffled = cp.measure(h, np.array(list("dbca"))[y], lam=lam)  # planted: other names, another order of the classes
    assert shuffled["nc1"] == pytest.approx(best["nc1"], rel=1e-10)
    m = problem.moments_of_samples(jnp.asarray(h), jnp.asarray(y), C=C)
    W_ls, b_ls = loss.least_squares(m, lam=lam)
    assert cp.measure(h, y, W=np.asarray(W_ls), b=np.asarray(b_ls), lam=lam)["loss"] == pytest.approx(best["loss"])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda h, y: cp.trajectory(C=C), "Need either C and N"),
        (lambda h, y: cp.trajectory(C=C, N=N, features=h, labels=y), "Need either C and N"),
        (lambda h, y: cp.trajectory(C=C, N=N, balance=True), "Need either C and N"),
        (lambda h, y: unchecked(api.trajectory)(C=C, N=N, flow="steepest"), "Need a flow among riemannian"),
        (lambda h, y: unchecked(api.trajectory)(C=C, N=N, level="classes"), "Need a level among features"),
        (lambda h, y: cp.trajectory(C=C, N=1), "Need N >= 2"),
        (lambda h, y: cp.trajectory(features=h[:-1], labels=y[:-1], level="means"), "Need balanced classes"),
        (lambda h, y: cp.trajectory(features=h[:-1], labels=y[:-1], restrict_rank=True), "Need balanced classes"),
        (lambda h, y: cp.trajectory(C=C, N=N, lam=-0.1), "need lam >= 0 and finite, got -0.1"),
        (lambda h, y: cp.trajectory(C=C, N=N, lam=float("nan")), "need lam >= 0 and finite, got nan"),
        (lambda h, y: cp.trajectory(C=C, N=N, kernel=-1.0), "b"),
        (lambda h, y: cp.trajectory(C=C, N=N, kernel=-1.0, lam=0.1), "Need kernel.within >= 0 and finite, got -1"),
        (lambda h, y: cp.trajectory(C=C, N=N, lam=0.1, level="means"), "no law holds for lam = 0.1"),
        (lambda h, y: cp.trajectory(C=C, N=N, lam=0.1, level="spectrum"), "no law holds for lam = 0.1"),
        (lambda h, y: cp.trajectory(features=h, labels=y, lam=0.1, restrict_rank=True), "keep every direction"),
        (lambda h, y: cp.trajectory(C=100, N=1000, P=1000, lam=0.1), "Need at most 16777216 entries"),
        (lambda h, y: cp.law("riemannian", C=C, N=N, lam=0.1), "Need lam = 0 for a law, got lam = 0.1"),
        (lambda h, y: cp.measure(h, y, b=np.ones(C)), "Need W with b, got b alone"),
        (lambda h, y: unchecked(api.measure)(h, y, W=np.ones((C, P + 1)), b=np.ones(C)), r"Need W of shape \(4, 9\)"),
        (lambda h, y: unchecked(api.measure)(h, y[:-1]), "Need one label per row"),
        (lambda h, y: unchecked(api.law)("steepest", C=C, N=N), "Need a flow among riemannian"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(call, match):
    with pytest.raises(ValueError, match=match) as caught:
        call(*drawn())
    assert "\n" not in str(caught.value)


def test_importing_is_cheap_and_what_needs_float64_says_so():
    code = (
        "import sys, central_path as cp; assert not {'jax', 'numpy', 'matplotlib'} & set(sys.modules);"
        "assert 'trajectory' in dir(cp)\n"
        "try: cp.trajectory(C=3, N=9)\n"
        "except ValueError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "float64" in said
    with pytest.raises(AttributeError, match="has no attribute 'trajectories'"):
        cp.trajectories  # noqa: B018
