"""Starts spread over eight decades follow their laws with default options, and would not without what makes them."""

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.simulation import aligned, experiment, solve, starts
from central_path.theory import problem

spec = importlib.util.spec_from_file_location(
    "spread_starts", Path(__file__).parents[2] / "benchmarks" / "spread_starts.py"
)
assert spec is not None
assert spec.loader is not None
spread_starts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(spread_starts)

C, N, P = 4, 6, 8
OPTIONS: dict[str, Any] = {"t_max": None, "saves": 40, "rtol": 1e-10, "atol": 1e-10}
HARD = [
    ("unnormalized", (100, 10, 1), None),
    ("unnormalized", (100, 1, 1e-2), None),
    ("unnormalized", (1000, 1, 0.1), None),
    ("riemannian", (2, 1, 1e-4), 1e12),
    ("riemannian", (3e3, 10, 1e-2), None),
    ("riemannian", (1e4, 1, 0.1), None),
    ("riemannian", (1e4, 1e4, 1e-4), None),
    ("renormalized", (1e4, 1, 1e-4), None),
    ("unnormalized", (1e4, 1, 1e-4), None),
]


def start(omega, seed=0):
    """Renormalized features with these omega(0), in no particular coordinates."""
    rng = np.random.default_rng(seed)
    E = rng.standard_normal((P, C, N))
    E -= E.mean(axis=2, keepdims=True)
    w, R = np.linalg.eigh(E.reshape(P, -1) @ E.reshape(P, -1).T / (C * N))
    U, V = (spread_starts.uniform_frame(rng, size, C - 1) for size in (P, C - 1))
    M = (R * np.sqrt(w)) @ R.T @ (U * np.array(omega)) @ V.T @ problem.contrasts(C).T
    return starts.renormalize(E + M[:, :, None], eps=float(np.finfo(float).eps))


@pytest.mark.parametrize(("name", "omega", "t_max"), HARD)
@pytest.mark.parametrize("level", flows.LEVELS)
def test_hard_starts_follow_their_law_with_default_tolerances(level, name, omega, t_max):
    result = experiment.run_flow(name, start(omega), level=level, **(OPTIONS | {"t_max": t_max}))
    assert result.result == "successful"
    assert result.max_relative_error < 1e-6
    assert result.steps < 300  # of 5000


@pytest.mark.parametrize("level", [pytest.param("features", marks=pytest.mark.slow), "means"])
def test_random_starts_over_eight_decades_follow_their_laws(level, monkeypatch):
    monkeypatch.setattr(spread_starts, "SIZES", ((2, 3, 2), (8, 3, 11)))
    monkeypatch.setattr(spread_starts, "OPTIONS", OPTIONS)
    rows = {(name, level): spread_starts.Row() for name in flows.FLOWS}
    for i in range(30):
        spread_starts.follow(rows, 1, i)
    for row in rows.values():
        assert row.failures == []
        assert (row.agree, row.refusals.total()) == (30, 0)


def omega_of(X, flow):
    return {
        "omega": problem.snr_singular_values(
            problem.class_means(X), problem.covariance(problem.deviations(X)), problem.equal_priors(C)
        )
    }


@partial(jax.jit, static_argnames="flow")
def integrate_features(X, flow, clock, ts, tolerance):
    """The flow in the features' own coordinates, compiled once for each flow."""
    tolerances = {"rtol": tolerance, "atol": tolerance}
    begun = flow.start(X, "features")
    return solve.integrate(
        lambda X, flow: flow.features_field(X), begun, flow, clock, observe=omega_of, ts=ts, **tolerances
    )


@pytest.mark.parametrize(("name", "omega", "t_max"), HARD[:6])
def test_the_features_own_coordinates_fail_at_the_tolerances_that_small_omega_need(name, omega, t_max, monkeypatch):
    """Planted: the same solver on the same features, not aligned, with tolerances for 1e-10 of omega."""
    monkeypatch.setattr(solve, "MAX_STEPS", 400)  # twice what any of them takes in aligned coordinates
    begin = start(omega)
    flow = flows.FLOWS[name]
    law, chosen = flow.law(C, N), flow.horizon(begin.omega0, t_max, C=C, N=N)
    largest = float(law.omega(chosen.t_max, begin.omega0[0]))
    amplified = max(1.0, largest**2 / C) if name == "unnormalized" else 1.0
    tolerance = max(1e-10 * min(1.0, omega[-1]) / amplified, 1e-15)

    ts = chosen.times(40)
    seen = integrate_features(begin.X, flow, solve.Clock(*map(jnp.asarray, chosen)), ts, tolerance)
    expected = np.asarray(law.omega(ts[:, None], begin.omega0[None, :]))
    error = np.abs(np.asarray(seen.ys["omega"]) / expected - 1).max()
    assert seen.result != diffrax.RESULTS.successful or not error < 1e-6


def forget_programs():
    """Compiled ones and JAX's traces, which do not know what is patched."""
    experiment.solver.cache_clear()
    jax.clear_caches()


def test_the_plain_flow_at_its_means_fails_where_errors_of_the_state_are_not_amplified(monkeypatch):
    name, begin = "unnormalized", start((1e3, 900, 800))
    sizes = aligned._sizes

    def not_amplified(state, flow, level):
        b, e = sizes(state, flow, level)
        return b, jnp.ones_like(e)

    monkeypatch.setattr(aligned, "_sizes", not_amplified)  # planted: tolerances of the means, not of omega
    forget_programs()
    result = experiment.run_flow(name, begin, level="means", **OPTIONS)
    forget_programs()
    assert not result.agrees(1e-6)


@pytest.mark.parametrize(
    ("name", "level", "omega", "t_max", "better"),
    [
        ("riemannian", "features", (1e6, 9e5, 8e5), None, "means"),
        ("unnormalized", "means", (100, 10, 1), 16 * N * 9.0, "features"),
        ("riemannian", "means", (1e4, 1e-8, 1e-8), None, None),
    ],
)
def test_what_rounding_leaves_is_known_before_and_seen_after(name, level, omega, t_max, better, monkeypatch):
    monkeypatch.setattr(solve, "MAX_STEPS", 5000)
    begin, flow = start(omega), flows.FLOWS[name]
    end = flow.horizon(begin.omega0, t_max, C=C, N=N).t_max
    left = flow.rounding(begin.omega0, end, level=level, C=C, N=N)
    assert left > 1e-6
    result = experiment.run_flow(name, begin, level=level, **(OPTIONS | {"t_max": t_max}))
    assert 1e-6 < result.max_relative_error < 30 * left
    if better:
        assert flow.rounding(begin.omega0, end, level=better, C=C, N=N) < 1e-6
        assert experiment.run_flow(name, begin, level=better, **(OPTIONS | {"t_max": t_max})).agrees(1e-6)


def test_a_failed_solve_says_what_kept_it():
    begin = start((100, 10, 1))
    options: dict[str, Any] = OPTIONS | {"t_max": 1e6}
    beyond = experiment.run_flow("unnormalized", begin, level="features", **options)
    assert beyond.result.startswith("stopped after t = ")
    assert beyond.result.endswith("omega exceeds float64 before the horizon: give a shorter --t-max")
