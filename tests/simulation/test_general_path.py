"""The general central path: the closed state of moments against full features, closed forms and conserved matrices."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.metrics.measurement import measure
from central_path.simulation.general import BlockKernel, agreement, compare_levels, simulate_general
from central_path.simulation.general.dynamics import Dynamics
from central_path.simulation.general.field import Setting, State, field
from central_path.simulation.general.horizon import LARGEST_OMEGA
from central_path.simulation.general.run import default_horizon, run_general, time_of_largest
from central_path.simulation.general.start import start_of_samples
from central_path.theory import general_limits
from central_path.theory.general_loss import classes_of
from central_path.theory.two_classes import TwoClasses

GOAL = 1e-8  # a thousand of the tolerances of a step
FAULT = 1e-4
SAVES = 5
HOW = {"saves": SAVES, "rtol": 1e-11, "atol": 1e-11, "keep_moments": True}
FLOWS = ("unnormalized", "renormalized", "riemannian")


def draw(seed, counts, P, distance=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    means = distance * rng.standard_normal((len(counts), P))
    return means[labels] + rng.standard_normal((len(labels), P)) * np.exp(rng.uniform(-1, 1, P)), labels


FULL = [  # class sizes of 40 examples, options: priors of 5 % and up, every flow, decay and kernel
    ((2, 18, 20), {"flow": "unnormalized", "kernel": 0.3}),
    ((2, 2, 36), {"flow": "unnormalized", "kernel": 2.0}),
    ((13, 13, 14), {"flow": "unnormalized", "kernel": 0.0}),
    ((5, 15, 20), {"flow": "renormalized", "kernel": 0.5}),
    ((4, 10, 26), {"flow": "riemannian", "kernel": 0.5}),
    ((2, 18, 20), {"flow": "unnormalized", "kernel": 1.0, "lam": 0.1}),
    ((2, 18, 20), {"flow": "unnormalized", "kernel": 0.05, "lam": 1e-3, "decay_bias": False}),
    ((3, 3, 34), {"flow": "renormalized", "kernel": 1.5, "lam": 0.01}),
    ((3, 3, 34), {"flow": "unnormalized", "kernel": BlockKernel(0.7, 0.4, 3.0), "lam": 0.01}),
    ((3, 3, 34), {"flow": "unnormalized", "kernel": BlockKernel(0.7, 0.4, 3.0), "lam": 0.01, "lam_H": 1e-3}),
]


@pytest.mark.parametrize(("counts", "options"), FULL)
def test_moments_are_the_features(counts, options):
    features, labels = draw(1, counts, 4)
    run, whole, apart = compare_levels(features, labels, **HOW, **options)
    assert run.successful
    assert whole.successful
    assert max(apart.values()) < GOAL
    np.testing.assert_allclose(run.ys["M"][0], run.start.M, atol=1e-12)
    for key in ("M", "Sigma_W"):
        np.testing.assert_allclose(run.ys[key], whole.ys[key], atol=1e-6 * np.max(np.abs(whole.ys[key])))
    for key in ("nc1", "equinorm", "self_duality"):
        np.testing.assert_allclose(run.ys[key], whole.ys[key], rtol=1e-6)
    if "drift" in whole.ys:
        assert np.max(whole.ys["drift"]) < 1e-10
    if run.dynamics.centred:
        assert np.max(whole.ys["global_mean"]) < 1e-9
    faults = [replace(run.dynamics, lam=1.1 * run.dynamics.lam + 1e-3)]
    if run.dynamics.flow != "riemannian":
        kernel = run.dynamics.kernel
        faults.append(replace(run.dynamics, kernel=replace(kernel, within=1.1 * kernel.within + 0.01)))
    for faulty in faults:
        wrong = run_general(run.start, faulty, level="features", t_max=run.t_max, **HOW)
        assert max(agreement(run, wrong).values()) > FAULT


@pytest.mark.parametrize("flow", FLOWS)
def test_the_basis_turns_a_start_back_to_the_features_as_they_were_given(flow):
    """With a dead unit; of flows that renormalize, to the features under the symmetric root of their covariance."""
    features, labels = draw(2, (5, 15, 20), 4)
    features[:, 1] = 0
    run = simulate_general(features, labels, flow=flow, kernel=0.5, t_max=1.0, **HOW)
    basis = run.start.basis
    M = np.stack([features[labels == c].mean(axis=0) for c in range(3)], axis=1)
    Mbar = M - features.mean(axis=0)[:, None]
    E = features - M.T[labels]
    Sigma_W = E.T @ E / len(E)
    if flow != "unnormalized":
        w, V = np.linalg.eigh(Sigma_W)
        root = V[:, 1:] / np.sqrt(w[1:]) @ V[:, 1:].T
        Mbar, Sigma_W = root @ Mbar, root @ Sigma_W @ root
    np.testing.assert_allclose(basis @ run.ys["M"][0], Mbar, atol=1e-9)
    np.testing.assert_allclose(basis @ run.ys["Sigma_W"][0] @ basis.T, Sigma_W, atol=1e-9)


def test_times_that_are_given_are_those_observed():
    features, labels = draw(1, (2, 18, 20), 4)
    whole = simulate_general(features, labels, kernel=0.3, t_max=50.0, **HOW)
    how = {"level": "moments", "t_max": None, "saves": 2, "rtol": 1e-11, "atol": 1e-11}
    found = run_general(whole.start, whole.dynamics, ts=whole.ts[[0, 2, 4]], **how)
    np.testing.assert_array_equal(found.ts, whole.ts[[0, 2, 4]])
    np.testing.assert_allclose(found.ys["omega"], whole.ys["omega"][[0, 2, 4]], rtol=1e-9)


def test_class_sizes_that_are_not_counted_are_seen():
    features, labels = draw(1, (2, 18, 20), 4)
    run = simulate_general(features, labels, kernel=0.3, **HOW)
    balanced = replace(run.start, pi=np.full(3, 1 / 3))
    wrong = run_general(balanced, run.dynamics, level="moments", t_max=run.t_max, **HOW)
    assert agreement(run, wrong)["omega"] > FAULT


WIDE = [
    ((3, 3, 6), {"kernel": 1.0}),  # P > n: every omega is infinite, and nothing moves at lam = 0
    pytest.param((3, 3, 6), {"kernel": 0.5, "lam": 0.03, "decay_bias": False}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("counts", "options"), WIDE)
def test_features_wider_than_their_number_cost_no_more(counts, options):
    features, labels = draw(2, counts, 30)
    run, _, apart = compare_levels(features, labels, **HOW, **options)
    n, C = len(labels), len(counts)
    assert (len(run.start.M), run.start.infinite, run.start.P_input) == (n - 1, C - 1, 30)
    assert run.start.infinite_share > 0.1
    assert run.ys["omega"].shape == (SAVES, 0)
    assert max(apart.values()) < 1e-6  # L_LS is 0, in units of 1e-7 of the loss of no features


def test_a_direction_without_within_class_variance_is_integrated():
    features, labels = draw(3, (8, 12, 20), 4)
    features[:, 2] = np.array([1.0, -0.5, 0.2])[labels]
    features[:, 3] = 0.0
    run, _, apart = compare_levels(features, labels, **HOW, kernel=0.5)
    assert (len(run.start.M), run.start.infinite, run.start.P_input) == (3, 1, 4)
    assert apart["omega"] < GOAL
    expected = measure(features, labels).omega
    np.testing.assert_allclose(run.ys["omega"][0], expected[np.isfinite(expected)], rtol=1e-10)
    assert np.min(run.ys["omega"][-1] / run.ys["omega"][0]) > 1.5


def test_omega_and_loss_at_the_start_are_the_measured_ones():
    features, labels = draw(4, (2, 18, 20), 4)
    for lam in (0.0, 0.1):
        found, run = (
            measure(features, labels, lam=lam),
            simulate_general(features, labels, lam=lam, **HOW),
        )
        np.testing.assert_allclose(run.ys["omega"][0], found.omega, rtol=1e-11)
        for key in ("loss", "loss_nc1", "loss_nc23", "nc1", "self_duality", "equinorm", "max_angle"):
            np.testing.assert_allclose(run.ys[key][0], getattr(found, key), rtol=1e-10)


def test_a_matrix_is_conserved_at_lambda_0_and_not_beyond():
    """d/dt (Sigma_W + (b/a) Sigma_B) from the field of B and F, which does not know of it."""
    features, labels = draw(5, (2, 18, 20), 4)
    begin = start_of_samples(features, labels)
    classes, a, b = classes_of(begin.pi), 0.7, 0.4
    for lam, conserved in ((0.0, True), (0.05, False)):
        dynamics = Dynamics("unnormalized", BlockKernel(a, b), lam, decay_bias=False)
        motion = dynamics.motion(begin.n)._replace(beta=jnp.zeros(()))
        state = State(jnp.asarray(begin.M @ classes.to_contrasts), jnp.diag(jnp.sqrt(begin.w)))
        velocity = jax.jit(field)(state, Setting(jax.tree.map(jnp.asarray, classes), motion, None))

        def matrix(state):
            return state.F @ state.F.T + b / a * state.B[:, :-1] @ state.B[:, :-1].T

        change = jax.jit(lambda *args: jax.jvp(matrix, *args)[1])((state,), (velocity,))
        speed = jnp.max(jnp.abs(velocity.B))
        assert (jnp.max(jnp.abs(change)) < 1e-14 * max(1.0, speed)) == conserved


@pytest.mark.parametrize("flow", ["unnormalized", pytest.param("renormalized", marks=pytest.mark.slow), "riemannian"])
def test_two_classes_of_any_priors_follow_their_closed_form(flow):
    features, labels = draw(6, (4, 36), 4)
    run, whole, _ = compare_levels(features, labels, **HOW, flow=flow, kernel=0.5, renormalize=False)
    start = run.start
    law = TwoClasses.of(start.M, np.diag(start.w), start.pi, n=start.n, flow=flow, b=0.5)
    for seen in (run, whole):
        np.testing.assert_allclose(seen.ys["omega"][:, 0], law.omega(seen.ts), rtol=1e-8)
    wrong = law._replace(n=1.01 * law.n)
    assert np.max(np.abs(wrong.omega(run.ts) / run.ys["omega"][:, 0] - 1)) > FAULT


def test_the_clock_runs_with_the_power_of_growth():
    """Exponential growth where deviations move: a linear clock; t^(1/4) on the manifold: the fourth power."""
    begin = start_of_samples(*draw(8, (10, 12, 14), 4, distance=10.0))
    powers = [default_horizon(begin, Dynamics(flow), None)[0].power for flow in ("unnormalized", "riemannian")]
    assert powers[0] == 1.0
    assert 3.9 < powers[1] <= 4.0


def test_a_default_horizon_is_cut_where_rounding_would_be_that_of_more_than_twice_the_largest_omega_of_two_classes():
    run = simulate_general(*draw(8, (10, 12, 14), 4), **HOW)
    most = 2 * LARGEST_OMEGA * np.sqrt(3 / 2)
    for last, cut in ((0.99 * most, False), (1.01 * most, True)):
        omega = np.full((SAVES, 2), 1.0)
        omega[-1, 0] = last
        found = time_of_largest(replace(run, ys={"omega": omega}))
        assert (found is not None) == cut
        if found is not None:
            assert run.ts[-2] < found < run.ts[-1]


def gram(run):
    pi = run.start.pi
    M = run.ys["M"][-1]
    Mbar = M - (M @ pi)[:, None]
    return (np.sqrt(pi) * Mbar).T @ (np.sqrt(pi) * Mbar)


def test_with_both_decays_the_end_is_the_minimum_for_any_priors():
    features, labels = draw(7, (4, 6, 30), 4)
    lam, lam_H = 5e-3, 1e-2
    options = {"lam": lam, "lam_H": lam_H, "decay_bias": False, "saves": SAVES, "keep_moments": True}
    run = simulate_general(features, labels, t_max=30 / lam_H, **options)
    expected = general_limits.decayed_gram(run.start.pi, n=40, lam=lam, lam_H=lam_H)
    np.testing.assert_allclose(gram(run), expected, atol=1e-9 * np.max(expected))
    faulty = general_limits.decayed_gram(run.start.pi, n=40, lam=1.01 * lam, lam_H=lam_H)
    assert np.max(np.abs(gram(run) - faulty)) > FAULT * np.max(expected)


@pytest.mark.parametrize(("flow", "t"), [("riemannian", 1e8), ("renormalized", 1e6)])
def test_without_decay_the_late_geometry_is_that_of_the_flow_and_not_seli(flow, t):
    features, labels = draw(7, (4, 6, 30), 4)
    run = simulate_general(features, labels, flow=flow, kernel=0.5, t_max=t, **HOW)
    late = general_limits.late_gram(run.start.pi, t, n=40, flow=flow, b=0.5)
    np.testing.assert_allclose(gram(run), late, atol=5e-3 * np.max(late))  # corrections fall as t^(-1/2), log(t)/t
    seli = general_limits.seli_gram(run.start.pi)
    assert np.max(np.abs(gram(run) / np.trace(gram(run)) - seli / np.trace(seli))) > 0.05


REFUSED = [
    ({"flow": "plain"}, "^Need a flow among"),
    ({"kernel": -0.1}, "^Need kernel.within >= 0 and finite, got -0.1"),
    ({"lam": -1.0}, "^Need lam >= 0 and finite, got -1.0"),
    ({"lam": float("nan")}, "^Need lam >= 0 and finite, got nan"),
    ({"lam_H": 1.0}, "^Need lam > 0 beside lam_H = 1.0"),
    ({"kernel": BlockKernel(class_means=0.0)}, "^Need kernel.class_means > 0"),
    ({"t_max": 0.0}, "^Need t_max > 0 and saves >= 2"),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_options_that_have_no_flow_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        simulate_general(*draw(1, (5, 6), 2), **options)


def test_a_level_that_there_is_not_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"^Need level moments or features, got 'means'"):
        run_general(start_of_samples(*draw(1, (5, 6), 2)), Dynamics(), level="means", t_max=1.0, **HOW)


@pytest.mark.parametrize("options", [{"kernel": 0.0}, {"flow": "riemannian"}, {"flow": "renormalized", "lam": 0.1}])
def test_infinite_omega_that_nothing_bounds_are_refused_in_a_sentence(options):
    features, labels = draw(3, (8, 12, 20), 4)
    features[:, 2] = np.array([1.0, -0.5, 0.2])[labels]
    with pytest.raises(ValueError, match=r"^Need within-class variance .*, got 1 of 4 directions without"):
        simulate_general(features, labels, **options)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-3, 1.0), (1.0, 1e3), (1e-3, 1e3)])
def test_a_direction_without_within_class_variance_is_seen_at_any_scale(dtype, scales, seed):
    """As `cp.measure` sees it: an infinite omega, whatever the rounding of other coordinates."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), [10, 20, 30, 40])
    h = np.empty((100, 6))
    h[:, 0] = scales[0] * rng.normal(size=4)[y]
    h[:, 1:] = scales[1] * (rng.normal(size=(4, 5))[y] + rng.normal(size=(100, 5)))
    stored = h.astype(dtype)
    start = start_of_samples(stored, y)
    assert (start.infinite, len(start.w)) == (1, 5)
    assert np.count_nonzero(np.isinf(measure(stored, y).omega)) == 1
    across = start.basis[:, 5]
    assert abs(across[0]) > 1 - 1e-6
    signal = (stored[:, 0].astype(float) - stored[:, 0].mean(dtype=float))[[0, 10, 30, 60]]
    np.testing.assert_allclose(abs(start.M[5]), abs(signal), rtol=1e-6, atol=1e-6 * scales[0])
