"""NC5, NRC1 to NRC3, He & Su's law and the effective rank: slow formulas, invariances, and where they do not exist."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_definition import by_loops, unbalanced
from scipy.optimize import minimize_scalar
from scipy.stats import linregress

from central_path.metrics import (
    effective_rank_roy2007,
    nc5_benammar2024,
    nrc1_andriopoulos2024,
    nrc2_andriopoulos2024,
    nrc3_andriopoulos2024,
    separation_fuzziness_he2023,
    separation_law_he2023,
)
from central_path.metrics.snr import Moments


def rotation(P, rng):
    return np.linalg.qr(rng.standard_normal((P, P)))[0]


def test_nc5(seed):
    rng = np.random.default_rng(seed)
    M, out = rng.standard_normal((6, 4)), rng.standard_normal(6)
    cosines = [sum(M[:, c] * out) / np.sqrt(sum(M[:, c] ** 2) * sum(out**2)) for c in range(4)]
    expected = sum(abs(cosine) for cosine in cosines) / 4
    found = float(nc5_benammar2024(M, out))
    assert found == pytest.approx(expected, rel=1e-12)
    Q = rotation(6, rng)
    same = (nc5_benammar2024(Q @ M[:, rng.permutation(4)], 3 * Q @ out), nc5_benammar2024(5 * M, out))
    np.testing.assert_allclose(same, expected, rtol=1e-12)
    assert float(nc5_benammar2024(M + 1, out + 1)) != pytest.approx(expected, rel=1e-3)  # nothing is centred
    outside = np.linalg.svd(M)[0][:, 4]
    assert float(nc5_benammar2024(M, outside)) == pytest.approx(0, abs=1e-14)
    assert np.isnan(nc5_benammar2024(M, 0 * out))
    assert np.isnan(nc5_benammar2024(M * [1, 0, 1, 1], out))


def outside(v, span):
    """Squared length of v outside the span of the rows, by least squares."""
    return np.sum((v - span.T @ np.linalg.lstsq(span.T, v, rcond=1e-10)[0]) ** 2)


def targets(seed, n=60, P=7, K=3):
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((n, K)) @ rng.standard_normal((K, K))
    W = rng.standard_normal((K, P))
    return Y @ np.linalg.pinv(W).T + 0.3 * rng.standard_normal((n, P)), Y, W, rng


@pytest.mark.parametrize("centered", [False, True])
def test_nrc1_and_nrc2(centered, seed):
    H, Y, W, rng = targets(seed)
    n, K = Y.shape
    covariance = sum(np.outer(h - H.mean(axis=0), h - H.mean(axis=0)) for h in H) / n
    components = np.linalg.eigh(covariance)[1][:, -K:].T
    rows = [h - centered * H.mean(axis=0) for h in H]
    for span, metric, given in ((components, nrc1_andriopoulos2024, K), (W, nrc2_andriopoulos2024, W)):
        expected = sum(outside(h / np.sqrt(h @ h), span) for h in rows) / n
        found = float(metric(H, given, centered=centered))
        assert found == pytest.approx(expected, rel=1e-10)
        Q = rotation(H.shape[1], rng)
        turned = 3 * H[rng.permutation(n)] @ Q
        again = metric(turned, given if given is K else rotation(K, rng) @ W @ Q, centered=centered)
        assert float(again) == pytest.approx(expected, rel=1e-10)
    moved = [
        float(metric(H + 2, given, centered=centered))
        for metric, given in ((nrc1_andriopoulos2024, K), (nrc2_andriopoulos2024, W))
    ]
    still = [
        float(nrc1_andriopoulos2024(H, K, centered=centered)),
        float(nrc2_andriopoulos2024(H, W, centered=centered)),
    ]
    assert (moved == pytest.approx(still, rel=1e-9)) == centered


def test_nrc1_and_nrc2_at_collapse_and_where_they_do_not_exist(seed):
    H, Y, W, rng = targets(seed)
    flat = Y @ rng.standard_normal((3, 3)) @ W
    centred = flat - flat.mean(axis=0)
    assert float(nrc1_andriopoulos2024(centred, 3)) == pytest.approx(0, abs=1e-14)
    assert float(nrc2_andriopoulos2024(flat, W)) == pytest.approx(0, abs=1e-14)
    twice = np.concatenate([W, W[:1] + W[1:2]])  # dependent rows
    assert float(nrc2_andriopoulos2024(H, twice)) == pytest.approx(float(nrc2_andriopoulos2024(H, W)), rel=1e-10)
    assert float(nrc1_andriopoulos2024(H, 7)) == pytest.approx(0, abs=1e-14)
    assert float(nrc1_andriopoulos2024(H, 9)) == pytest.approx(0, abs=1e-14)
    assert np.isnan(nrc2_andriopoulos2024(H, 0 * W))
    for metric, given in ((nrc1_andriopoulos2024, 3), (nrc2_andriopoulos2024, W)):
        assert np.isnan(metric(np.concatenate([H, np.zeros((1, 7))]), given))
    assert np.isnan(nrc1_andriopoulos2024(centred, 4))  # three components determine no fourth
    assert np.isnan(nrc1_andriopoulos2024(H[:2], 3))
    assert np.isnan(nrc1_andriopoulos2024(np.ones((9, 7)), 3))


def nrc3_slow(W, Y, x):
    """At gamma = x^2."""
    K = len(W)
    mean = sum(Y) / len(Y)
    w, V = np.linalg.eigh(sum(np.outer(y - mean, y - mean) for y in Y) / len(Y))
    target = sum(np.sqrt(max(w[k], 0)) * np.outer(V[:, k], V[:, k]) for k in range(K)) - x * np.eye(K)
    G = np.array([[W[i] @ W[j] for j in range(K)] for i in range(K)])
    difference = G / np.sqrt(np.sum(G**2)) - target / np.sqrt(np.sum(target**2))
    return np.sum(difference**2), np.sqrt(max(w[0], 0))


@pytest.mark.parametrize("near", [0.0, 0.4, 0.9])
def test_nrc3_is_the_smallest_over_gamma(near, seed):
    _, Y, W, rng = targets(seed)
    root = np.linalg.cholesky(np.cov(Y.T, bias=True))
    U, s, _ = np.linalg.svd(root)
    ideal = (U * np.sqrt(s - near * s[-1])) @ U.T @ np.linalg.qr(rng.standard_normal((7, 3)))[0].T
    assert float(nrc3_andriopoulos2024(2 * ideal, Y + 5)) == pytest.approx(0, abs=1e-13)
    for given in (W, ideal + 0.2 * W):
        largest = nrc3_slow(given, Y, 0.0)[1]
        grid = np.linspace(0, largest * (1 - 1e-9), 60)
        at = grid[np.argmin([nrc3_slow(given, Y, x)[0] for x in grid])]
        around = (max(0, at - grid[1]), min(grid[-1], at + grid[1]))
        expected = minimize_scalar(
            lambda x, W=given: nrc3_slow(W, Y, x)[0], bounds=around, method="bounded", options={"xatol": 1e-12}
        ).fun
        found = float(nrc3_andriopoulos2024(given, Y))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
        Q = rotation(7, rng)
        same = (nrc3_andriopoulos2024(2 * given @ Q, Y), nrc3_andriopoulos2024(given, 3 * Y[rng.permutation(60)] - 1))
        np.testing.assert_allclose(same, found, rtol=1e-8, atol=1e-13)
        fixed = float(nrc3_andriopoulos2024(given, Y, gamma=(largest / 2) ** 2))
        assert fixed == pytest.approx(nrc3_slow(given, Y, largest / 2)[0], rel=1e-10)
        assert fixed >= found - 1e-13


def test_nrc3_where_there_is_one_target_or_none_that_varies():
    _, Y, W, _ = targets(0)
    assert float(nrc3_andriopoulos2024(W[:1], Y[:, :1])) == pytest.approx(0, abs=1e-15)
    assert np.isnan(nrc3_andriopoulos2024(0 * W, Y))
    assert np.isnan(nrc3_andriopoulos2024(W, np.ones_like(Y)))
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])  # Sigma = I
    assert np.isnan(nrc3_andriopoulos2024(np.eye(2), corners, gamma=1.0))
    assert float(nrc3_andriopoulos2024(np.eye(2), corners)) == pytest.approx(0, abs=1e-15)
    assert float(nrc3_andriopoulos2024(W, Y[:2])) >= 0  # fewer examples than targets: Sigma is singular


def test_fuzziness_is_the_trace_by_its_definition(seed):
    h, y = unbalanced(seed=seed)
    M, Sigma_W, pi = by_loops(h, y)
    mean = sum(h) / len(h)
    SS_B = sum(pi[c] * np.outer(M[:, c] - mean, M[:, c] - mean) for c in range(4))
    expected = np.trace(Sigma_W @ np.linalg.pinv(SS_B, rtol=1e-10, hermitian=True))
    assert float(separation_fuzziness_he2023(Moments(M, Sigma_W, pi))) == pytest.approx(expected, rel=1e-10)
    assert np.isnan(separation_fuzziness_he2023(Moments(0 * M, Sigma_W, pi)))


def test_the_law_of_data_separation(seed):
    rng = np.random.default_rng(seed)
    D = np.exp(-0.3 * np.arange(8) + 0.1 * rng.standard_normal(8))
    line = linregress(np.arange(1, 9), np.log(D))
    found = separation_law_he2023(D)
    np.testing.assert_allclose(found, (np.exp(line.slope), np.exp(line.intercept), line.rvalue), rtol=1e-12)
    scaled = separation_law_he2023(5 * D)
    np.testing.assert_allclose(scaled, (found.rate, 5 * found.D_0, found.correlation), rtol=1e-12)
    exact = separation_law_he2023(3 * 0.5 ** np.arange(1.0, 7))
    np.testing.assert_allclose(exact, (0.5, 3, -1), rtol=1e-12)
    for undefined in (D[:1], *(np.append(D, odd) for odd in (0, np.nan, np.inf))):
        assert np.isnan(separation_law_he2023(undefined)).all()
    flat = separation_law_he2023(np.full(4, 2.0))
    assert flat[:2] == pytest.approx((1, 2))
    assert np.isnan(flat.correlation)


def test_effective_rank(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((9, 4))
    s = np.sqrt(np.linalg.eigvalsh(A.T @ A))
    p = s / sum(s)
    expected = np.prod([one**-one for one in p])
    assert float(effective_rank_roy2007(A)) == pytest.approx(expected, rel=1e-10)
    turned = 3 * rotation(9, rng) @ np.pad(A, ((0, 0), (0, 2))) @ rotation(6, rng)
    assert float(effective_rank_roy2007(turned)) == pytest.approx(expected, rel=1e-10)
    assert float(effective_rank_roy2007(rotation(5, rng))) == pytest.approx(5, rel=1e-12)
    assert float(effective_rank_roy2007(np.outer(A[:, 0], A[0]))) == pytest.approx(1, rel=1e-12)
    assert np.isnan(effective_rank_roy2007(0 * A))


def test_arrays_of_jax_and_torch_give_what_those_of_numpy_give():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install central-path[deepnets]")
    H, Y, W, _ = targets(3)
    D = np.exp(-np.arange(5.0))
    cases = (
        (lambda M, v: nc5_benammar2024(M, v), (W.T, H[0])),
        (lambda A: nrc1_andriopoulos2024(A, 3), (H,)),
        (nrc2_andriopoulos2024, (H, W)),
        (nrc3_andriopoulos2024, (W, Y)),
        (lambda values: separation_law_he2023(values).rate, (D,)),
        (effective_rank_roy2007, (H,)),
    )
    for metric, given in cases:
        expected = float(metric(*given))
        for found in (jax.jit(metric)(*map(jnp.asarray, given)), metric(*map(torch.asarray, given))):
            assert float(found) == pytest.approx(expected, rel=1e-10)
