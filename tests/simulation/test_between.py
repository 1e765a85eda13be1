"""The factor of the pseudo-inverse of Sigma_B: against NumPy's pseudo-inverse, for every rank, and NC1 from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.metrics.collapse import nc1
from central_path.metrics.snr import Moments, contrasts_of
from central_path.simulation.between import inverse_factor

C = 5


def draw(seed, P, rank, condition=1e4):
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((size, rank)))[0] for size in (P, C - 1))
    return U * np.geomspace(1.0, 1 / condition, rank) @ V.T


@pytest.mark.parametrize(("P", "rank"), [(9, 4), (4, 4), (2, 2), (9, 3), (3, 2)], ids=str)
def test_it_is_a_factor_of_the_pseudo_inverse_at_every_rank(P, rank, seed):
    A = draw(seed, P, rank)
    V = np.asarray(jax.jit(inverse_factor)(jnp.asarray(A)))
    expected = np.linalg.pinv(A, rcond=1e-12)
    assert V.shape == (P, min(P, C - 1))
    np.testing.assert_allclose(V @ V.T, expected.T @ expected, rtol=0, atol=1e-10 * np.max(expected) ** 2)
    wrong = np.asarray(inverse_factor(jnp.asarray(A * np.geomspace(1.0, 1.001, C - 1))))
    assert np.max(np.abs(wrong @ wrong.T - V @ V.T)) > 1e-6 * np.max(np.abs(V @ V.T))


def test_where_all_class_means_coincide_there_is_none():
    assert np.isnan(inverse_factor(jnp.zeros((6, C - 1)))).all()


@pytest.mark.parametrize("dependent", [False, True])
def test_nc1_from_it_is_nc1(dependent, seed):
    rng = np.random.default_rng(seed)
    pi, M, F = rng.dirichlet(np.full(C, 5.0)), rng.standard_normal((7, C)), rng.standard_normal((7, 7))
    if dependent:
        M[:, 1] = M[:, 0]
    m, s = Moments(M, F @ F.T, pi), np.sqrt(pi)
    inverse = np.asarray(inverse_factor(jnp.asarray((m.Mbar * s) @ contrasts_of(s))))
    np.testing.assert_allclose(nc1(m, inverse=inverse), nc1(m), rtol=1e-11)
