"""Gradient descent with continual renormalization: one step by hand, first order to its law, refusals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from central_path import flows
from central_path.simulation import descent
from central_path.theory import laws, loss, manifold, problem

C, N, P = 3, 4, 4
T = 0.5 * C**2 * N
EVERY = 50  # steps to T for the larger of two step sizes


@pytest.fixture(scope="module")
def starts():
    return [manifold.random_point(C, N, P, seed=seed) for seed in range(3)]


def omega_of(X):
    m = problem.moments(X)
    return problem.snr_singular_values(m.M, m.Sigma_W, m.pi)


def observe(X):
    flat = X.reshape(P, -1)
    return {"omega": omega_of(X), "gram": flat @ flat.T, "global_mean": problem.global_mean(X), "X": X}


@jax.jit
def renormalized(X, eta, beta):
    optimizer = optax.sgd(eta, momentum=beta)
    return descent.descend(X, optimizer, steps=2 * EVERY, every=EVERY, observe=observe)


@jax.jit
def plain(X, eta):
    return descent.descend(X, optax.sgd(eta), steps=2 * EVERY, every=EVERY, observe=observe, renormalize=False)


@partial(jax.jit, static_argnames="renormalize")
def one_step(X, eta, *, renormalize):
    return descent.descend(X, optax.sgd(eta), steps=1, every=1, observe=observe, renormalize=renormalize)


@jax.jit
def by_hand(X, eta):
    step = X - eta * jax.grad(loss.central_path_loss)(X)
    return step, manifold.retract(step)


def at_T(run, X):
    """The record at time T of two runs, whose step sizes are T/EVERY and half of it."""
    eta = T / EVERY
    return {key: np.stack([run(X, eta).ys[key][1], run(X, eta / 2).ys[key][2]]) for key in observe(X)}


def errors(omega, k, X):
    law = np.asarray(laws.Law(k, C, N).growth(T, omega_of(X)))
    return np.max(np.abs(np.log(omega / np.asarray(omega_of(X))) - law), axis=1)


@pytest.mark.parametrize("renormalize", [True, False])
def test_one_step_is_a_gradient_step_and_then_the_retraction(starts, renormalize):
    for X in starts:
        eta = 0.1 * C**2 * N
        step, retracted = by_hand(X, eta)
        found = one_step(X, eta, renormalize=renormalize)
        expected = retracted if renormalize else step
        np.testing.assert_allclose(found.X, expected, atol=1e-13)
        np.testing.assert_array_equal(found.ys["X"], jnp.stack([X, found.X]))
        if renormalize:
            assert np.max(np.abs(found.X - step)) > 1e-6  # planted: the step alone


def test_records_begin_at_the_start_and_come_every_so_many_steps(starts):
    X = starts[0]
    found = renormalized(X, 1.0, 0.0)
    np.testing.assert_array_equal(found.steps, [0, EVERY, 2 * EVERY])
    np.testing.assert_array_equal(found.ys["X"][0], X)
    np.testing.assert_array_equal(found.ys["X"][-1], found.X)
    again = renormalized(found.ys["X"][1], 1.0, 0.0)  # descent without memory: a semigroup
    np.testing.assert_allclose(again.ys["X"][1], found.X, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.6])
def test_descent_with_renormalization_follows_its_law_to_first_order(starts, beta):
    for X in starts:
        seen = at_T(lambda X, eta: renormalized(X, eta * (1 - beta), beta), X)
        coarse, fine = errors(seen["omega"], 1, X)
        assert np.log2(coarse / fine) == pytest.approx(1.0, abs=0.05 / (1 - beta))
        coarse, fine = errors(seen["omega"], 0, X)  # planted: Proposition 2's law
        assert abs(np.log2(coarse / fine)) < 0.2
        assert np.max(np.abs(seen["global_mean"])) < 1e-14


def test_descent_stays_on_the_manifold_only_if_it_renormalizes(starts):
    for X in starts:
        assert manifold.drift(renormalized(X, T / EVERY, 0.0).X) < 1e-13
        assert manifold.drift(plain(X, T / EVERY).X) > 1e-3


def test_without_renormalization_the_law_is_another_and_the_gram_matrix_stays_to_first_order(starts):
    for X in starts:
        X = flows.FLOWS["unnormalized"].start(X, "features")
        seen = at_T(plain, X)
        coarse, fine = errors(seen["omega"], 2, X)
        assert np.log2(coarse / fine) == pytest.approx(1.0, abs=0.05)
        coarse, fine = np.max(np.abs(seen["gram"] - np.asarray(observe(X)["gram"])), axis=(1, 2))
        assert np.log2(coarse / fine) == pytest.approx(1.0, abs=0.05)
        coarse, fine = errors(seen["omega"], 1, X)  # planted: the law with renormalization
        assert abs(np.log2(coarse / fine)) < 0.2


@pytest.mark.parametrize(("steps", "every"), [(5, 2), (2, 3), (0, 1), (4, 0), (4, -2)])
def test_steps_must_be_a_multiple_of_every(starts, steps, every):
    with pytest.raises(ValueError, match=f"steps = {steps}, every = {every}"):
        descent.descend(starts[0], optax.sgd(1.0), steps=steps, every=every, observe=observe)


def test_float32_is_refused():
    with jax.enable_x64(False):
        X = jnp.zeros((P, C, N))
    with jax.enable_x64(False), pytest.raises(ValueError, match="Need float64, got JAX's default float32"):
        descent.descend(X, optax.sgd(1.0), steps=1, every=1, observe=observe)
