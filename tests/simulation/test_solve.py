"""Trajectories: the levels agree with each other, every flow with its own law, and errors fall with the tolerance."""

from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.simulation import solve
from central_path.theory import laws, loss, manifold

C, N, P, SAVES = 4, 8, 6, 20
FLOWS = pytest.mark.parametrize("name", flows.FLOWS)
TOLERANCE = 1e-10  # of the solver at its steps
BETWEEN_STEPS = 30 * TOLERANCE  # its interpolation there, at a few large steps of order 8
GROWTH = 3.0  # of the largest omega


@partial(jax.jit, static_argnames=("level", "N"))
def integrate(X, index, clock, **options):
    return solve.solve(X, flows.OneOf(index), clock, **options)


growth = jax.jit(lambda k, t, omega0: laws.Law(k, C, N).growth(t[:, None], omega0[None, :]))


@pytest.fixture(scope="module")
def X():
    return manifold.random_point(C, N, P, seed=1)


@pytest.fixture(scope="module")
def omega0(X):
    return flows.FLOWS["riemannian"].start(X, "spectrum")


def horizon(name, omega0):
    return float(flows.FLOWS[name].law(C, N).elapsed(omega0[0], np.log(GROWTH)))


@pytest.fixture(scope="module")
def run(X, omega0):
    """One trajectory for each level, flow and tolerance, by one compiled program for each level."""
    done = {}

    def trajectory(level, name, tolerance=TOLERANCE):
        if (level, name, tolerance) not in done:
            t_max, law = horizon(name, omega0), flows.FLOWS[name].law(C, N)
            clock = solve.Clock(*map(jnp.asarray, (t_max, t_max / 8, 1 / law.exponent if law.is_power_law else 1.0)))
            ts = jnp.linspace(0.0, t_max, SAVES)
            arguments = {"level": level, "N": N, "ts": ts, "rtol": tolerance, "atol": tolerance}
            done[level, name, tolerance] = integrate(X, flows.index_of(name), clock, **arguments)
        return done[level, name, tolerance]

    return trajectory


def bound(name, omega0):
    """On the error of omega, unnormalized omega^2/C times that of the state: the means approach a sphere."""
    return BETWEEN_STEPS * (max(1.0, float(GROWTH * omega0[0]) ** 2 / C) if name == "unnormalized" else 1.0)


def error(trajectory, name, omega0):
    """Largest relative error of omega against the law of a flow."""
    k = flows.FLOWS[name].law(C, N).k
    law = jnp.log(omega0)[None, :] + growth(jnp.asarray(float(k)), trajectory.ts, omega0)
    return float(jnp.max(jnp.abs(jnp.log(trajectory.ys["omega"]) - law)))


@FLOWS
@pytest.mark.parametrize("level", flows.LEVELS)
def test_every_flow_follows_its_law_at_every_level_and_no_other(level, name, run, omega0):
    trajectory = run(level, name)
    assert trajectory.result == diffrax.RESULTS.successful
    assert error(trajectory, name, omega0) < bound(name, omega0)
    for other in set(flows.FLOWS) - {name}:  # planted: the laws of the other flows
        assert error(trajectory, other, omega0) > 1e-2
    np.testing.assert_allclose(jnp.max(trajectory.ys["omega"][-1]), GROWTH * omega0[0], rtol=TOLERANCE)


@FLOWS
def test_the_levels_agree_in_everything_that_both_observe(name, run, omega0):
    features, means, spectrum = (run(level, name) for level in flows.LEVELS)
    assert set(spectrum.ys) < set(means.ys) < set(features.ys)
    for coarse, fine in ((spectrum, means), (means, features)):
        np.testing.assert_array_equal(coarse.ts, fine.ts)
        for key, value in coarse.ys.items():
            tolerance = 4 * bound(name, omega0)  # two errors, and nc1 goes as omega^-2
            np.testing.assert_allclose(fine.ys[key], value, rtol=tolerance, atol=TOLERANCE, err_msg=key)


@FLOWS
def test_the_manifold_and_the_global_mean_are_kept(name, run):
    ys = run("features", name).ys
    assert float(jnp.max(ys["drift"])) < (BETWEEN_STEPS if name == "unnormalized" else 1e-13)  # else deviations stay
    assert float(jnp.max(ys["global_mean"])) < 1e-13


@FLOWS
@pytest.mark.parametrize("level", flows.LEVELS)
def test_what_is_observed_are_the_losses_and_nc1_of_omega(level, name, run):
    ys = run(level, name).ys
    expected = jax.vmap(lambda omega: jnp.stack(loss.spectral_losses(omega, C=C)))(ys["omega"])
    observed = jnp.stack([ys["loss"], ys["loss_nc1"], ys["loss_nc23"]], axis=1)
    np.testing.assert_allclose(observed, expected, rtol=1e-13)
    np.testing.assert_allclose(ys["nc1"], jnp.sum(ys["omega"] ** -2.0, axis=1), rtol=1e-11)
    assert np.all(np.diff(ys["loss"]) < 0)
    assert np.all(np.diff(ys["omega"], axis=0) > 0)


@pytest.mark.parametrize("level", flows.LEVELS)
def test_the_error_falls_with_the_tolerance(level, run, omega0):
    tolerances = (1e-8, 1e-10, 1e-12)  # looser ones are met by the first step alone
    errors = [error(run(level, "renormalized", tolerance), "renormalized", omega0) for tolerance in tolerances]
    order = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert 0.7 < order < 1.3  # a controller by the error per step: the error is proportional to the tolerance
    steps = [int(run(level, "renormalized", tolerance).stats["num_accepted_steps"]) for tolerance in tolerances]
    assert steps[0] < steps[1] < steps[2] < 2 * steps[1]  # order 8: 100 times finer takes 100^(1/8) = 1.8 times more


def test_the_start_is_seen_at_time_0_and_the_horizon_at_the_end(run, omega0):
    for level in flows.LEVELS:
        trajectory = run(level, "riemannian")
        assert trajectory.ts.shape == (SAVES,)
        assert float(trajectory.ts[0]) == 0
        np.testing.assert_allclose(trajectory.ts[-1], horizon("riemannian", omega0), rtol=1e-14)
        np.testing.assert_allclose(trajectory.ys["omega"][0], omega0, rtol=1e-11)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e7, 1e9])
def test_the_clock_runs_from_0_to_the_horizon_at_its_speed(scale, power):
    clock, s = solve.Clock(*map(jnp.asarray, (1e7, scale, power))), jnp.linspace(0.0, 1.0, 11)
    ts = clock.time(s)
    assert float(ts[0]) == 0
    np.testing.assert_allclose(ts[-1], 1e7, rtol=1e-13)  # power times the rounding of a logarithm of up to 30
    assert np.all(np.diff(ts) > 0)
    np.testing.assert_allclose(jax.vmap(jax.grad(clock.time))(s), clock.speed(s), rtol=1e-12)
    np.testing.assert_allclose(clock.inverse(ts), s, rtol=1e-12, atol=0)
    straight = (1 + ts / scale) ** (1 / power)  # what grows as t^(1/power) beyond the scale
    np.testing.assert_allclose(jnp.diff(straight), (straight[-1] - 1) / 10, rtol=1e-7)  # a difference of near numbers
    if power == 1:
        np.testing.assert_allclose(ts, 1e7 * s, rtol=1e-13)
    elif scale < 1e9:  # planted: a clock that is linear throughout
        assert np.abs(ts / 1e7 - s).max() > 1e-2


def test_the_clock_does_not_change_the_path(X, omega0):
    ends = []
    t_max = horizon("renormalized", omega0)
    for scale, power in ((1.0, 1.0), (t_max / 20, 3.0)):
        clock = solve.Clock(*map(jnp.asarray, (t_max, scale, power)))
        arguments = {
            "level": "spectrum",
            "N": N,
            "ts": jnp.linspace(0.0, t_max, SAVES),
            "rtol": TOLERANCE,
            "atol": TOLERANCE,
        }
        ends.append(integrate(X, flows.index_of("renormalized"), clock, **arguments).ys["omega"][-1])
    np.testing.assert_allclose(ends[0], ends[1], rtol=TOLERANCE)


def test_unusable_arguments_are_refused(X):
    clock = solve.Clock(*map(jnp.asarray, (1.0, 1.0, 1.0)))

    def call(level="spectrum"):
        ts = jnp.linspace(0.0, 1.0, SAVES)
        return solve.solve(X, flows.FLOWS["riemannian"], clock, level=level, N=N, ts=ts, rtol=TOLERANCE, atol=TOLERANCE)

    with pytest.raises(ValueError, match="Need a level among features, means, spectrum, got 'logits'"):
        call(level="logits")
    with jax.enable_x64(False), pytest.raises(ValueError, match="Need float64, got JAX's default float32"):
        call()


def test_times_that_the_solver_did_not_reach_are_infinite_and_the_result_says_so(X):
    clock = solve.Clock(*map(jnp.asarray, (1e6, 1e6, 1.0)))  # 5000 e-folds: float64 ends at 709
    arguments = {"level": "spectrum", "N": N, "ts": jnp.linspace(0.0, 1e6, SAVES), "rtol": TOLERANCE, "atol": TOLERANCE}
    trajectory = integrate(X, flows.index_of("unnormalized"), clock, **arguments)
    assert trajectory.result == diffrax.RESULTS.max_steps_reached
    reached = np.isfinite(trajectory.ys["omega"]).all(axis=1)
    assert reached[0]
    assert not reached[-1]
    assert np.all(np.diff(reached.astype(int)) <= 0)
