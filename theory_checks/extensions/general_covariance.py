"""The unnormalized flow from a general Sigma_T(0): no closed form, and no neural collapse of the features themselves.

With A = Sigma_T^(-1), which is conserved, and S = Sigma_T^(-1/2) Mbar Mbar^T Sigma_T^(-1/2)/C, whose eigenvalues are
s_j = omega_j^2/(C + omega_j^2) with eigenvectors u_j, and right singular vectors v_j of the SNR matrix:

    dS/dt        = (A (I-S) S + S (I-S) A)/(C^2 N)
    v_i . dv_j/dt = sqrt(s_i s_j) (u_i^T A u_j) (2 - s_i - s_j)/((s_j - s_i) C^2 N)

so v_j turn unless the u_j are eigenvectors of A. Where they are, A u_j = u_j/sigma_j, everything is solved: s_j is
logistic with rate 2/(sigma_j C^2 N), U and V are at rest, and the class means go to U diag(sqrt(C sigma_j)) V^T, which
is no Simplex ETF unless the sigma_j are equal. In general S tends to a projection Pi of rank C - 1, and NC1 to

    tr(Sigma_T^(1/2) (I - Pi) Sigma_T^(1/2) (Sigma_T^(1/2) Pi Sigma_T^(1/2))^+)/C,

which is 0 only if the ranges of Sigma_T^(1/2) Pi and Sigma_T^(1/2) (I - Pi) are orthogonal.

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from central_path.metrics import collapse
from central_path.theory.manifold import inverse_root
from central_path.theory.problem import class_means, contrasts, covariance, global_mean, moments
from theory_checks.extensions.features_along_flows import means
from theory_checks.extensions.laws import NOTE
from theory_checks.framework import definitions, instances, paths
from theory_checks.framework.paths import PATH_REASON, PATH_TOLERANCE, UNNORMALIZED
from theory_checks.framework.registry import Draw, Finding, claim, identity

OMEGA0 = np.array([6.0, 5.0, 4.0])
LATE = 14.0  # of C^2 N: with eigenvalues of Sigma_T up to 2, 1 - s_j is then e^-14 of what it was


def _signal(X):
    """S (P, P) of features, and the right singular vectors (C-1, C-1) of Sigma_T^(-1/2) M Q."""
    C = X.shape[1]
    root = inverse_root(covariance(X - global_mean(X)[:, None, None]))
    G = root @ class_means(X) @ contrasts(C) / np.sqrt(C)
    return G @ G.T, jnp.linalg.eigh(G.T @ G)[1]


@jax.jit
def _velocity(X):
    """S, V, and their derivatives along the features' own velocity."""
    (S, V), (dS, dV) = jax.jvp(_signal, (X,), (UNNORMALIZED.features_field(X),))
    return S, V, dS, dV


@jax.jit
def compiled_collapse(X):
    """NC1, equinorm and equiangularity of features, by the package."""
    m = moments(X)
    return collapse.nc1(m), collapse.equinorm(m.Mbar), collapse.equiangularity(m.Mbar)


def _turning(S: np.ndarray, A: np.ndarray, C: int, N: int) -> np.ndarray:
    """v_i . dv_j/dt by the formula above, in ascending order of s."""
    s, U = (a[..., -(C - 1) :] for a in np.linalg.eigh(S))
    a = U.T @ A @ U
    gaps = np.where(np.eye(C - 1, dtype=bool), np.inf, s[None, :] - s[:, None])
    return np.sqrt(np.outer(s, s)) * a * (2 - s[None, :] - s[:, None]) / gaps / (C**2 * N)


def _instantaneous(draw: Draw) -> Iterator[Finding]:
    """The formulas for dS/dt and the turning of V, at random features."""
    H = instances.random_features(draw.rng, instances.GENERIC)
    P, C, N = H.shape
    S, V, dS, dV = (np.asarray(a) for a in _velocity(H))
    A = np.linalg.inv(definitions.statistics_of(H).Sigma_T)
    isotropic = np.eye(P) * np.trace(A) / P
    formula, wrong = (B @ (np.eye(P) - S) @ S + S @ (np.eye(P) - S) @ B for B in (A, isotropic))
    how = {"condition": float(np.linalg.cond(A)) ** 2, "reason": "200 eps, times the condition of Sigma_T squared"}
    yield identity("dS/dt along the features", dS, formula / (C**2 * N), fault=wrong / (C**2 * N), **how)
    s = np.linalg.eigvalsh(S)[-(C - 1) :]
    turning = np.abs(V.T @ dV)  # eigenvectors have no sign
    formula = np.abs(_turning(S, A, C, N))
    gaps = float(np.min(np.diff(s)))
    how = {
        "condition": float(np.linalg.cond(A)) ** 2 / gaps,
        "reason": "200 eps, times the condition of Sigma_T squared, over the smallest gap of s",
    }
    yield identity("turning rate of the right singular vectors", turning, formula, fault=np.zeros_like(formula), **how)


def _equinorm(Mbar: np.ndarray) -> float:
    norms = np.linalg.norm(Mbar, axis=0)
    return float(np.std(norms) / np.mean(norms))


def _equiangularity(Mbar: np.ndarray) -> float:
    unit = Mbar / np.linalg.norm(Mbar, axis=0)
    return float(np.std((unit.T @ unit)[~np.eye(Mbar.shape[1], dtype=bool)]))


def _from_total(draw: Draw, sigma: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with OMEGA0 whose Sigma_T has eigenvalues sigma, the first C - 1 along U or along random directions.

    Returns them with U and V (C-1 columns) of Sigma_T^(-1/2) Mbar.
    """
    X = np.asarray(paths.renormalized(instances.with_snr(draw.rng, instances.GENERIC, OMEGA0)))
    M = X.mean(axis=2)
    P, C = M.shape
    U, _, Vt = np.linalg.svd(M)
    basis = U if axes == "along U" else np.linalg.qr(draw.rng.standard_normal((P, P)))[0]
    change = (basis * np.sqrt(sigma)) @ basis.T @ definitions.root(np.eye(P) + M @ M.T / C, -0.5)
    return np.einsum("pq,qcn->pcn", change, X), U[:, : C - 1], Vt[: C - 1].T


def _logistic(ts: np.ndarray, sigma: np.ndarray, C: int, N: int) -> np.ndarray:
    """s_j where u_j is an eigenvector of Sigma_T with eigenvalue sigma_j."""
    s0 = OMEGA0**2 / (C + OMEGA0**2)
    return 1 / (1 + (1 / s0 - 1) * np.exp(-2 * ts[:, None] / (sigma * C**2 * N)))


def _aligned(draw: Draw) -> Iterator[Finding]:
    """A start whose u_j are eigenvectors of Sigma_T: solved, and without NC2."""
    C, N, P = instances.GENERIC
    sigma = np.array([1.0, 2.0, 1.5])
    H, U, V = _from_total(draw, np.concatenate([sigma, np.linspace(1.0, 2.0, P - C + 1)]), "along U")
    path = paths.follow(H, UNNORMALIZED, t_max=LATE * C**2 * N, as_they_are=True)
    s, unweighted = _logistic(path.ts, sigma, C, N), _logistic(path.ts, np.full(C - 1, 1.5), C, N)
    law, wrong = (np.einsum("pk,tk,ck->tpc", U, np.sqrt(C * v * sigma), V) for v in (s, unweighted))
    yield identity(
        "class means from a Sigma_T(0) with axes along U",
        means(path),
        law,
        fault=wrong,
        tolerance=PATH_TOLERANCE,
        reason=PATH_REASON,
    )
    limit = U @ np.diag(np.sqrt(C * sigma)) @ V.T
    left = float(np.max(1 - s[-1]))
    for name, seen, by_hand in (
        ("equinorm", compiled_collapse(path.X[-1])[1], _equinorm),
        ("equiangularity", compiled_collapse(path.X[-1])[2], _equiangularity),
    ):
        yield identity(
            f"{name} tends to a limit that is not 0",
            seen,
            by_hand(limit),
            fault=by_hand(U @ V.T),
            scale=1.0,
            tolerance=8 * left + PATH_TOLERANCE,
            reason="8 (1 - s_j) at the end, for the quotients of norms and angles",
        )


def _generic(draw: Draw) -> Iterator[Finding]:
    """A start with random axes of Sigma_T: NC1 as a trace stays."""
    C, N, P = instances.GENERIC
    sigma = np.linspace(1.0, 2.0, P)
    H, _, _ = _from_total(draw, sigma, "random")
    path = paths.follow(H, UNNORMALIZED, t_max=LATE * C**2 * N, as_they_are=True)
    Sigma_T = definitions.statistics_of(H).Sigma_T
    root = definitions.root(Sigma_T, 0.5)
    G = np.linalg.solve(root, means(path)[-1])
    U = np.linalg.svd(G)[0][:, : C - 1]
    within = root @ (np.eye(P) - U @ U.T) @ root
    limit = np.trace(within @ np.linalg.pinv(root @ U @ U.T @ root, rcond=1e-9)) / C
    slowest = np.max((1 / OMEGA0**2 * C) * np.exp(-2 * LATE / sigma[-1]))
    how = {"scale": 1.0, "tolerance": 3 * sigma[-1] / sigma[0] * slowest + PATH_TOLERANCE}
    yield identity(
        "NC1 tends to a limit that is not 0",
        compiled_collapse(path.X[-1])[0],
        limit,
        fault=0.0,
        reason="3 cond(Sigma_T) (1 - s_j), which falls at least at rate 2 min eig(A)/(C^2 N)",
        **how,
    )
    s = np.linalg.svd(G, compute_uv=False)[: C - 1] ** 2 / C
    yield identity(
        "all s_j tend to 1",
        s,
        np.ones_like(s),
        fault=OMEGA0**2 / (C + OMEGA0**2),
        tolerance=float(slowest) + PATH_TOLERANCE,
        reason="1 - s_j falls at least at rate 2 min eig(A)/(C^2 N)",
    )


@claim(
    "General Sigma_T(0)",
    source=f"{NOTE}, Theorem 6.4",
    statement="In the unnormalized flow from any Sigma_T(0), dS/dt = (A (I-S) S + S (I-S) A)/(C^2 N) with A = "
    "Sigma_T^(-1): singular vectors turn, all s_j tend to 1, and neither NC1 (as a trace) nor NC2 of the class means "
    "need appear.",
    assumptions="lambda = 0, balanced classes, bias included, Sigma_T(0) > 0.",
    fault="the equations for Sigma_T proportional to I: A a multiple of I, no turning, NC1 and NC2 tending to 0.",
)
def general_sigma_t(draw: Draw) -> Iterator[Finding]:
    """Derivatives at random features, and late times from two kinds of start."""
    for _ in range(draw.repeats):
        for part in (_instantaneous, _aligned, _generic):
            yield from part(draw)
