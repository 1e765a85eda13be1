"""What the docstrings promise of accuracy, over the domains that they state, against arithmetic of 50 digits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from exact_law import ExactLaw
from mpmath import mpf

from central_path import flows
from central_path.flows import horizon
from central_path.simulation.observables import OBSERVE
from central_path.theory import loss, manifold, problem
from central_path.theory.laws import LOWEST_K, Law

EPS = float(np.finfo(float).eps)
SOME_TEN = 10  # the factor that the docstrings call "some ten times"
DRAWS = 25

loss_of_moments = jax.jit(loss.loss_of_moments)
decompose = jax.jit(loss.decompose, static_argnames="lam")
least_squares = jax.jit(loss.least_squares, static_argnames="lam")
moments_of_samples = jax.jit(problem.moments_of_samples, static_argnames="C")
retract, drift = jax.jit(manifold.retract), jax.jit(manifold.drift)
lyapunov = jax.jit(manifold.lyapunov)
means_of_total_covariance_one = jax.jit(flows.FLOWS["unnormalized"].start_means)
growth = eqx.filter_jit(lambda law, t, omega0: law.growth(t, omega0))
elapsed = eqx.filter_jit(lambda law, omega0, y: law.elapsed(omega0, y))


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(50):
        yield


def exactly(A):
    """An array as a matrix of mpmath."""
    return mpmath.matrix(np.asarray(A).tolist())


def trace(A):
    return mpmath.fsum(A[i, i] for i in range(A.rows))


def eigenvalues(A):
    return sorted(mpmath.eigsy((A + A.T) / 2, eigvals_only=True))


def orthogonal(rng, n):
    """A random orthogonal matrix, or, as often, a permutation: vectors along the axes are a case of their own."""
    return np.linalg.qr(rng.standard_normal((n, n)))[0] if rng.integers(2) else np.eye(n)[rng.permutation(n)]


def spread(rng, n, ratio):
    """n numbers from 1 to 1/ratio, both there, in any order."""
    return ratio ** -rng.permutation(np.r_[0, rng.uniform(0, 1, n - 2), 1])


def means_and_covariance(rng, C, P):
    """Sigma_W of condition up to 1e12, omega from 1e-7 to 1e6, and an offset up to 1e8."""
    Q, w = orthogonal(rng, P), spread(rng, P, 10 ** rng.uniform(0, 12))
    omega = 10 ** rng.uniform(-3, 6) * spread(rng, C - 1, 10 ** rng.uniform(0, 4))
    snr = orthogonal(rng, P)[:, : C - 1] * omega @ orthogonal(rng, C - 1) @ problem.contrasts(C).T
    offset = 10 ** rng.uniform(-2, 8) * rng.integers(2) * rng.standard_normal((P, 1))
    Sigma = (Q * w) @ Q.T
    return (Q * np.sqrt(w)) @ snr + offset, (Sigma + Sigma.T) / 2


def exact_loss_of_moments(M, Sigma_W):
    """L_LS, the squares of omega, and the eigenvalues of Sigma_W."""
    C, M, Sigma_W = M.shape[1], exactly(M), exactly(Sigma_W)
    Mbar = M * (mpmath.eye(C) - mpmath.ones(C) / C)
    G = Mbar.T * Sigma_W**-1 * Mbar
    value = (trace((mpmath.eye(C) * C + G) ** -1) - mpf(1) / C) / 2
    return value, eigenvalues(G)[1:], eigenvalues(Sigma_W)


@pytest.mark.parametrize(("C", "P"), [(4, 5), (3, 2), (6, 12)])
def test_the_loss_of_moments_is_as_accurate_as_it_says(C, P, seed):
    rng, by_spread_alone = np.random.default_rng(seed), 0.0
    for _ in range(DRAWS if P == 5 else 5):
        M, Sigma_W = means_and_covariance(rng, C, P)
        value, squares, w = exact_loss_of_moments(M, Sigma_W)
        error = abs(float(loss_of_moments(M, Sigma_W) / float(value)) - 1)
        condition, range_of_K = float(w[-1] / w[0]), float((C + squares[-1]) / (C + squares[0]))
        assert error <= SOME_TEN * EPS * (condition + range_of_K + np.abs(M).max() / float(w[0]) ** 0.5)
        by_spread_alone = max(by_spread_alone, error / (EPS * float(squares[-1] / squares[0])))
    assert P != 5 or by_spread_alone > 100  # the spread of omega does not bound it


def samples_of(rng, C, P, n):
    """Samples of any class sizes, of a condition up to 1e12, omega up to 1e3 and an offset up to 1e8."""
    labels = np.concatenate([np.arange(C), rng.integers(0, C, n - C)])
    scale = orthogonal(rng, P) * spread(rng, P, 10 ** rng.uniform(0, 6))
    apart = 10 ** rng.uniform(-2, 3)
    h = (apart * rng.standard_normal((C, P))[labels] + rng.standard_normal((n, P))) @ scale.T
    return h + 10 ** rng.uniform(-2, 8) * rng.integers(2) * rng.standard_normal(P), labels


def exact_parts(W, b, h, labels, lam):
    """L_NC1, L_NC2/3 and L_LS_perp by Proposition 1 on extended samples, and L example by example."""
    (n, P), C, lam = h.shape, len(b), mpf(lam)
    rows = exactly(np.column_stack([h, np.ones(n)]))
    Y = exactly(np.eye(C)[labels])
    second_moment = rows.T * rows / n + lam * mpmath.eye(P + 1)
    best = (second_moment**-1 * (rows.T * Y / n)).T
    counts = np.bincount(labels).tolist()
    means = [rows.T * exactly((labels == c).astype(float)) / count for c, count in enumerate(counts)]
    pi = [mpf(count) / n for count in counts]
    between = mpmath.zeros(P + 1)
    for mean, share in zip(means, pi, strict=True):
        between += share * mean * mean.T
    nc1 = trace(best * (second_moment - between) * best.T) / 2
    errors = [best * mean - exactly(np.eye(C)[c]) for c, mean in enumerate(means)]
    nc23 = mpmath.fsum(share * (e.T * e)[0] for share, e in zip(pi, errors, strict=True)) / 2
    given = exactly(np.column_stack([W, b]))
    residual = rows * given.T - Y
    total = trace(residual * residual.T) / (2 * n) + lam * trace(given * given.T) / 2
    return nc1, nc23, trace((given - best) * second_moment * (given - best).T) / 2, total


def scale_of_errors(h, lam):
    """The condition of Sigma_T + lambda I plus |h|/sigma."""
    centred = exactly(h) - mpmath.ones(len(h)) * exactly(h) / len(h)
    w = eigenvalues(centred.T * centred / len(h) + mpf(lam) * mpmath.eye(h.shape[1]))
    return float(w[-1] / w[0] + mpf(float(np.abs(h).max())) / mpmath.sqrt(w[0]))


@pytest.mark.parametrize("lam", [0.0, 1e-6, 0.03])
def test_the_decomposition_is_as_accurate_as_it_says(lam, seed):
    C, P, n, rng = 3, 4, 12, np.random.default_rng(seed)
    for _ in range(8):
        h, labels = samples_of(rng, C, P, n)
        W, b = rng.standard_normal((C, P)), rng.standard_normal(C)
        m = moments_of_samples(h, labels, C=C)
        nc1, nc23, perp, total = exact_parts(W, b, h, labels, lam)
        assert abs(nc1 + nc23 + perp - total) < mpf(10) ** -25 * total  # Theorem 1
        parts, bound = decompose(W, b, m, lam=lam), SOME_TEN * EPS * scale_of_errors(h, lam)
        least = float(nc1 + nc23)
        assert abs(float(parts.loss_nc1) - float(nc1)) <= bound * least
        assert abs(float(parts.loss_nc23) - float(nc23)) <= bound * least
        assert abs(float(parts.loss_ls_perp) - float(perp)) <= bound * float(total)
        assert abs(float(parts.total) - float(total)) <= bound * float(total)
        found = exact_parts(*map(np.asarray, least_squares(m, lam=lam)), h, labels, lam)
        assert float(found[3]) - least <= bound * least
        if bound < 1e-10:  # planted: more weight decay
            assert abs(float(decompose(W, b, m, lam=lam + 0.01).loss_ls) - least) > 1e3 * bound * least


def test_the_decomposition_far_from_the_origin_with_weight_decay():
    """Where a solve with the second moment of the uncentred features has no digit left."""
    C, P, n, rng = 3, 4, 12, np.random.default_rng(0)
    h, labels = rng.standard_normal((n, P)) + 1e8 * rng.standard_normal(P), np.arange(n) % C
    nc1, nc23, *_ = exact_parts(np.zeros((C, P)), np.zeros(C), h, labels, 0.03)
    parts = decompose(np.zeros((C, P)), np.zeros(C), moments_of_samples(h, labels, C=C), lam=0.03)
    assert abs(float(parts.loss_nc1 / float(nc1)) - 1) < 1e-6
    assert abs(float(parts.loss_nc23 / float(nc23)) - 1) < 1e-6
    mu, m = h.mean(axis=0), moments_of_samples(h, labels, C=C)
    uncentred = np.asarray(m.Sigma_T) + 0.03 / 1.03 * np.outer(mu, mu) + 0.03 * np.eye(P)
    assert np.linalg.cond(uncentred) > 1 / EPS


@pytest.mark.parametrize("least", [1e-14, 1e-15, 1e-16, 1e-17])
def test_what_the_identity_keeps_where_the_total_covariance_is_nearly_singular(least, seed):
    C, P, rng = 3, 4, np.random.default_rng(seed)
    labels = np.arange(12) % C
    h = rng.standard_normal((C, P))[labels] + rng.standard_normal((12, P))
    h[:, 3] = np.array([-1.0, 0.0, 1.0])[labels] * np.sqrt(1.5 * least)  # classes differ along it, and nothing else
    W, b = rng.standard_normal((C, P)), rng.standard_normal(C)
    total = exact_parts(W, b, h, labels, 0.0)[3]
    parts = decompose(W, b, moments_of_samples(h, labels, C=C), lam=0.0)
    assert abs(float(parts.total) - float(total)) <= np.sqrt(10 * P * EPS) * float(total)


def exact_lyapunov(Sigma, R):
    """S with (S Sigma + Sigma S)/2 = R, by an eigendecomposition."""
    w, U = mpmath.eigsy(exactly(Sigma))
    inner = U.T * exactly(R) * U
    for i in range(len(w)):
        for j in range(len(w)):
            inner[i, j] *= 2 / (w[i] + w[j])
    return U * inner * U.T


def test_the_first_order_expansion_is_within_eps_where_it_is_used(seed):
    P, rng = 5, np.random.default_rng(seed)
    for share in (0.0, 1e-3, 0.3, 0.999):
        Delta, R = (manifold.sym(jnp.asarray(rng.standard_normal((P, P)))) for _ in range(2))
        Sigma = np.eye(P) + np.asarray(Delta) * np.sqrt(share * EPS) / np.linalg.norm(Delta)
        exact, first_order = exact_lyapunov(Sigma, R), exactly(Sigma - np.eye(P)) * exactly(R)
        expansion = exactly(R) - (first_order + first_order.T) / 2
        size = float(np.linalg.norm(R))
        assert float(mpmath.norm(exact - expansion)) <= 1.0001 * EPS * size
        found = exactly(lyapunov(jnp.asarray(Sigma), R))
        assert float(mpmath.norm(exact - found)) <= 3 * EPS * size  # and what R itself loses as it is rounded
        assert float(mpmath.norm(exact - exactly(R))) >= 0.01 * np.sqrt(share * EPS) * size  # planted: S = R


def test_retract_is_as_accurate_as_it_says_and_twice_is_better(seed):
    P, C, N, rng = 5, 3, 8, np.random.default_rng(seed)
    for _ in range(DRAWS):
        scale = orthogonal(rng, P) * spread(rng, P, 10 ** rng.uniform(0, 6))
        H = np.tensordot(scale, rng.standard_normal((P, C, 1)) + rng.standard_normal((P, C, N)), 1)
        H += 10 ** rng.uniform(-2, 8) * rng.integers(2) * rng.standard_normal((P, 1, 1))
        w = np.linalg.eigvalsh(problem.covariance(problem.deviations(jnp.asarray(H))))
        X = retract(jnp.asarray(H))
        assert float(drift(X)) <= SOME_TEN * EPS * w[-1] / w[0]
        assert np.abs(np.mean(X, axis=(1, 2))).max() <= SOME_TEN * EPS * np.abs(H).max() / np.sqrt(w[0])
        again, largest = retract(X), np.abs(X).max()
        assert float(drift(again)) <= SOME_TEN * P * EPS
        assert np.abs(np.mean(again, axis=(1, 2))).max() <= SOME_TEN * EPS * largest


@pytest.mark.parametrize("oblique", [False, True])
def test_a_drift_grows_under_the_shortcut_at_the_stated_rate_and_not_under_the_projection(oblique):
    C, N, P, d = 3, 6, 4, 1e-6
    X = manifold.random_point(C, N, P, seed=0)
    U, omega, _ = np.linalg.svd(problem.class_means(X), full_matrices=False)

    @jax.jit
    def growth_of_drift(u):
        """Of the drift along u, relative to it, by the shortcut and by the projection."""
        off = jnp.tensordot(jnp.eye(P) + d / 2 * jnp.outer(u, u), X, axes=1)
        Z, E = -jax.grad(loss.central_path_loss)(off), problem.deviations(off)
        S = manifold.sym(problem.cross(E, Z)) / (C * N)
        shortcut = Z - jnp.tensordot(S, off if oblique else E, axes=1)
        velocities = shortcut, manifold.projection(off, Z, oblique)
        turned = [2 * problem.cross(E, problem.deviations(velocity)) / (C * N) for velocity in velocities]
        return [u @ change @ u / d for change in turned]

    for u, w in zip(U.T[: C - 1], omega, strict=False):
        by_shortcut, by_projection = growth_of_drift(jnp.asarray(u))
        assert float(by_shortcut) == pytest.approx(2 * w**2 / (C * N * (C + w**2) ** 2), rel=1e-5)
        assert float(by_projection) == pytest.approx(0, abs=1e-8)


def test_means_of_total_covariance_one_are_as_accurate_as_they_say():
    rng, lost = np.random.default_rng(0), 0.0
    for _ in range(DRAWS):
        largest = 10 ** rng.uniform(-2, 7)
        omega = largest * spread(rng, 3, 10 ** rng.uniform(0, 6))
        M = orthogonal(rng, 6)[:, :3] * omega @ orthogonal(rng, 3) @ problem.contrasts(4).T
        w, U = mpmath.eigsy(mpmath.eye(6) + exactly(M) * exactly(M).T / 4)
        root = U * mpmath.diag([1 / mpmath.sqrt(value) for value in w]) * U.T
        exact = np.array((root * exactly(M)).tolist(), dtype=float)
        scale = EPS * max(1, largest)
        assert np.abs(means_of_total_covariance_one(jnp.asarray(M)) - exact).max() <= SOME_TEN * scale
        v, V = np.linalg.eigh(np.eye(6) + M @ M.T / 4)
        lost = max(lost, np.abs((V / np.sqrt(v)) @ (V.T @ M) - exact).max() / scale)
    assert lost > 1e3  # by the eigendecomposition


def starts_and_times(rng, k, C, N, count):
    """Over the whole stated domain, half of them where growth begins."""
    start, time = rng.uniform(-100, 70, count), rng.uniform(-30, 280, count)
    begins = np.log10(float(C) ** 2 * N) + (2 - k) * np.maximum(2 * start - np.log10(C), 0)
    return 10 ** np.where(np.arange(count) % 2, np.minimum(begins + rng.uniform(-3, 3, count), 280), time), 10**start


@pytest.mark.parametrize("C", [2, 10**6])
@pytest.mark.parametrize("near", [None, 0.0, 1.0, 2.0, LOWEST_K])
def test_growth_and_elapsed_for_any_k_are_as_accurate_as_they_say(near, C):
    """For k anywhere between its bounds, and close to where another formula holds."""
    N, count, rng = 3, 12, np.random.default_rng([C, 0 if near is None else int(near) + 100])
    for _ in range(3):
        k = rng.uniform(LOWEST_K, 2) if near is None else near + 10 ** rng.uniform(-14, -1) * rng.choice([-1, 1])
        k = float(np.clip(k, LOWEST_K, 2))
        law, exact = Law(jnp.asarray(k), C, N), ExactLaw(2.0 - k, C)
        t, omega0 = starts_and_times(rng, k, C, N, count)
        y = np.asarray(growth(law, jnp.asarray(t), jnp.asarray(omega0)))
        for found, time, start in zip(y.tolist(), t.tolist(), omega0.tolist(), strict=True):
            right = exact.growth(mpf(time) / (C * C * N), start, found)
            assert abs(found - right) <= 8 * EPS * max(right, 1), (k, time, start)
        grown = 10 ** rng.uniform(-14, 2, count)
        times = np.asarray(elapsed(law, jnp.asarray(omega0), jnp.asarray(grown)))
        for found, y, start in zip(times.tolist(), grown.tolist(), omega0.tolist(), strict=True):
            x, right = mpf(start) ** 2 / C, exact.integral(mpf(start) ** 2 / C, mpf(y)) * C * C * N
            roundings = 1 + (2 - k) * mpmath.log1p(x * mpmath.exp(2 * mpf(y)))
            assert right > 1e300 or abs(found / right - 1) <= 8 * EPS * roundings, (k, y, start)


def test_a_law_below_the_lowest_k_is_refused_where_it_would_lose_its_digits():
    with pytest.raises(ValueError, match="Need -50 <= k <= 2, got k = -200"):
        Law(-200.0, 4, 12)


def test_rounding_of_the_means_in_the_unnormalized_flow_is_what_its_largest_omega_allows():
    C = 2
    R = jnp.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    plain, omega = flows.FLOWS["unnormalized"], np.geomspace(1, horizon.LARGEST_UNNORMALIZED, 30)
    omega_of = jax.jit(lambda B: OBSERVE["means"](B, plain, R)["omega"][0])
    for w in omega:
        B = np.full((C - 1, C - 1), w / np.sqrt(1 + w**2 / C))
        moved = B * (1 + 1e-3 / (1 + w**2 / C))  # a relative error of the state
        before, after = (float(omega_of(jnp.asarray(b))) for b in (B, moved))
        assert after / before - 1 == pytest.approx(1e-3, rel=2e-3)
    assert EPS * (1 + omega[-1] ** 2 / C) == pytest.approx(4.4e-8, rel=0.02)
