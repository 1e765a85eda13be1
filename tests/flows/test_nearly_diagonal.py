"""Class means that are diagonal to rounding: the field to first order, and when it is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.flows import FLOWS, nearly_diagonal
from central_path.flows.nearly_diagonal import is_nearly_diagonal, resolvent_to_first_order
from central_path.simulation.experiment import largest_error, log_law
from central_path.simulation.solve import Clock, solve
from central_path.simulation.starts import start_of_means

K = 7
b = np.geomspace(1e-2, 1e3, K)[::-1]
OFF = np.random.default_rng(0).standard_normal((K, K)) * ~np.eye(K, dtype=bool)


def means(size: float):
    """Diagonal b, and entries of a relative size beside it."""
    return jnp.asarray(np.diag(b) + size * OFF * np.sqrt(b[:, None] * b[None, :]))


def by_eigenvectors(B, C: int, powers: int, weight: float):
    """(C I + weight B B^T)^(-powers) B."""
    B = np.asarray(B)
    return np.linalg.matrix_power(np.linalg.inv(C * np.eye(len(B)) + weight * B @ B.T), powers) @ B


@pytest.mark.parametrize("powers", [1, 2])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_what_is_left_out_is_of_second_order(powers, weight):
    """A tenth of the size leaves a hundredth of the difference, of the first order a hundred times less than it."""

    def apart(size):
        whole = by_eigenvectors(means(size), K + 1, powers, weight)
        found = np.asarray(resolvent_to_first_order(means(size), C=K + 1, powers=powers, weight=weight))
        return np.abs(found - whole).max(), np.abs(found - np.diag(np.diag(found))).max()

    (coarse, first), (fine, _) = apart(1e-3), apart(1e-4)
    assert fine == pytest.approx(coarse / 100, rel=0.05)
    assert coarse < first / 100


def test_the_diagonal_keeps_its_digits():
    """Over five decades of b, each to some roundings."""
    found = np.diag(np.asarray(resolvent_to_first_order(means(1e-16), C=K + 1, powers=2, weight=1.0)))
    assert found == pytest.approx(b / (K + 1 + b**2) ** 2, rel=1e-15)


def test_rounding_is_nearly_diagonal_and_a_turn_is_not():
    """A turn of the singular vectors by 1e-12 is seen; so is a direction that vanishes."""
    assert is_nearly_diagonal(means(1e-16))
    assert not is_nearly_diagonal(means(1e-12))
    assert not is_nearly_diagonal(jnp.where(jnp.arange(K) < K - 1, means(0.0), 0.0))


@pytest.mark.parametrize("size", [1e-16, 1e-12, 1e-3])
@pytest.mark.parametrize("name", FLOWS)
def test_fields_are_those_of_dense_matrices(name, size, monkeypatch):
    """To rounding, in every flow, nearly diagonal or not: where it is not, no bit is different."""
    flow, B = FLOWS[name], means(size) / 2e3  # unnormalized: within the sphere
    whole = np.asarray(flow.contrasts_field(B, C=K + 1, N=5))
    monkeypatch.setattr(nearly_diagonal, "LARGE", 2)
    found = np.asarray(flow.contrasts_field(B, C=K + 1, N=5))
    unit = np.sqrt(np.diag(whole)[:, None] * np.diag(whole)[None, :])
    assert np.abs((found - whole) / unit).max() < 1e-14
    assert size == 1e-16 or (found == whole).all()


def test_a_solve_to_first_order_is_that_of_dense_matrices(monkeypatch):
    """Of a start over three decades, until omega has grown twentyfold: the same omega, and those of the law."""
    flow, C, N = FLOWS["renormalized"], K + 1, 5
    turns = np.linalg.qr(np.random.default_rng(1).standard_normal((C, C)))[0]
    omega0 = np.geomspace(1e-1, 1e2, K)[::-1]
    M = np.linalg.qr(OFF)[0] * omega0 @ (turns[:, :K].T - turns[:, :K].T.mean(axis=1, keepdims=True))
    begin = start_of_means(M, N)
    horizon = flow.horizon(begin.omega0, None, C=C, N=N)
    ts = jnp.asarray(horizon.times(20))

    def omega(large: int) -> np.ndarray:
        monkeypatch.setattr(nearly_diagonal, "LARGE", large)
        how = {"level": "means", "N": N, "ts": ts, "rtol": 1e-10, "atol": 1e-10}
        solution = jax.jit(lambda X: solve(X, flow, Clock(*map(np.float64, horizon)), **how))(begin.X)
        return np.asarray(solution.ys["omega"])

    found, dense = omega(2), omega(10**6)
    law = np.asarray(log_law(flow.law(C, N), np.asarray(ts), begin.omega0))
    assert largest_error(found, np.log(dense)) < 1e-9
    assert largest_error(found, law) < 1e-8
    assert found[-1, -1] > 20 * found[0, -1]
