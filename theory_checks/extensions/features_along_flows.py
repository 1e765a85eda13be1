"""What the features themselves do along the flows: deviations, X X^T, logistic s_j.

    k = 0, 1                      E(t) = E(0)
    k = 2, Sigma_T(0) = I         (I - U U^T) E constant, u_j^T E scales by sqrt((C + omega_j(0)^2)/(C + omega_j(t)^2))
    k = 2, any start              X X^T and the global mean constant, hence Sigma_T
    k = 2, Sigma_T(0) = I         s_j = omega_j^2/(C + omega_j^2) logistic with rate 2/(C^2 N); Mbar = U sqrt(C s) V^T

The factor of u_j^T E follows from dE/dt = -(Mbar Mbar^T/C) E/(C^2 N), whose eigenvalues are s_j/(C^2 N), integrated
along omega' = omega/(C^2 N).

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator

import numpy as np

from central_path.flows import FLOWS
from central_path.theory.laws import Law
from theory_checks.extensions.laws import NOTE, follow, log_omega, on_path, sizes, starts
from theory_checks.framework import definitions, paths
from theory_checks.framework.paths import RENORMALIZED, UNNORMALIZED, Path
from theory_checks.framework.registry import Draw, Finding, claim


def means(path: Path) -> np.ndarray:
    """Centred class means (T, P, C)."""
    M = path.X.mean(axis=3)
    return M - M.mean(axis=2, keepdims=True)


def _left(A: np.ndarray, X: np.ndarray) -> np.ndarray:
    return np.einsum("qp,...pcn->...qcn", A, X)


def _start_vectors(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """U (P, C-1) and V (C, C-1) of the class means at the start."""
    U, _, Vt = np.linalg.svd(means(path)[0], full_matrices=False)
    K = path.omega.shape[1]
    return U[:, :K], Vt[:K].T


def _shrunk(path: Path, U: np.ndarray, E0: np.ndarray) -> np.ndarray:
    """E(t) as `unnormalized` should have it."""
    C, _ = sizes(path)
    factor = np.sqrt((C + path.omega[:1] ** 2) / (C + path.omega**2))
    along = _left(U.T, E0)
    return E0[None] + np.einsum("pk,tk,kcn->tpcn", U, factor - 1, along)


@claim(
    "Frozen deviations",
    source=f"{NOTE}, Theorem 3.1",
    statement="In the Riemannian and the renormalized flow the within-class deviations E never move. In the "
    "unnormalized flow from Sigma_T = I they shrink in range(U) only, u_j^T E by the factor sqrt((C + "
    "omega_j(0)^2)/(C + omega_j^2)).",
    assumptions="Sigma_W(0) = I (k = 0, 1) or Sigma_T(0) = I (k = 2).",
    fault="the behaviour of the other kind of flow: E shrinking for k = 0, 1, frozen for k = 2.",
)
def frozen_deviations(draw: Draw) -> Iterator[Finding]:
    """E of features that an autodiff gradient and a general projection moved."""
    for H in starts(draw):
        for flow in FLOWS.values():
            path = follow(H, flow)
            E = path.X - path.X.mean(axis=3, keepdims=True)
            U, _ = _start_vectors(path)
            frozen, shrunk = np.broadcast_to(E[0], E.shape), _shrunk(path, U, E[0])
            if flow is not UNNORMALIZED:
                yield on_path(f"E(t) = E(0), k = {path.k}", E, frozen, path, fault=shrunk)
                continue
            along, right, wrong = (_left(U.T, A) for A in (E, shrunk, frozen))
            yield on_path("U^T E shrinks by its factor, k = 2", along, right, path, fault=wrong, magnified=False)
            rest = np.eye(len(U)) - U @ U.T
            outside = _left(rest, E)
            everywhere = outside * np.sqrt(np.mean(shrunk**2) / np.mean(frozen**2))
            still = _left(rest, frozen)
            yield on_path("(I - U U^T) E constant, k = 2", outside, still, path, fault=everywhere, magnified=False)


def _grams(path: Path) -> np.ndarray:
    """X X^T/(CN) along a path."""
    return np.einsum("tpcn,tqcn->tpq", path.X, path.X) / (path.X.shape[2] * path.X.shape[3])


@claim(
    "Conservation of X X^T",
    source=f"{NOTE}, Theorem 3.1",
    statement="The plain gradient flow of L_LS on the features conserves X X^T and the global mean, hence Sigma_T.",
    assumptions="Sigma_W(0) > 0; any global mean, any Sigma_T(0).",
    fault="the renormalized flow, in which Sigma_T grows with omega^2; the mean of one class for the global mean.",
)
def conservation(draw: Draw) -> Iterator[Finding]:
    """X X^T along `unnormalized`, from Sigma_T = I and from features as they are; and along `renormalized`."""
    for H in starts(draw):
        other = _grams(follow(H, RENORMALIZED))
        C, N = H.shape[1:]
        fastest = 1 / np.linalg.eigvalsh(definitions.statistics_of(H).Sigma_T)[0]  # of all omega, over C^2 N
        as_they_are = paths.follow(H, UNNORMALIZED, t_max=C**2 * N * np.log(10) / fastest, as_they_are=True)
        for start, path in (("Sigma_T(0) = I", follow(H, UNNORMALIZED)), ("features as they are", as_they_are)):
            seen = _grams(path)
            fault = seen - (other - other[:1])
            yield on_path(f"X X^T from {start}", seen, np.broadcast_to(seen[0], seen.shape), path, fault=fault)
            moved = path.X.mean(axis=(2, 3)) - path.X[0].mean(axis=(1, 2))
            of_one_class = path.X[:, :, 0].mean(axis=2) - path.X[0, :, 0].mean(axis=1)
            size, fault = float(np.std(path.X[0])), moved - of_one_class
            yield on_path(f"global mean from {start} is at rest", moved, 0 * moved, path, fault=fault, scale=size)


def _logistic(path: Path, s0: np.ndarray, rate: float) -> np.ndarray:
    C, N = sizes(path)
    return 1 / (1 + (1 / s0 - 1) * np.exp(-rate * path.ts[:, None] / (C**2 * N)))


def total_signal(X: np.ndarray) -> np.ndarray:
    """s_1 >= ... >= s_{C-1} of features: eigenvalues of Sigma_T^(-1/2) Mbar Mbar^T Sigma_T^(-1/2)/C by definition."""
    s = definitions.statistics_of(X)
    whiten = definitions.root(s.Sigma_T, -0.5)
    C = X.shape[1]
    return np.linalg.svd(whiten @ s.Mbar, compute_uv=False)[: C - 1] ** 2 / C


@claim(
    "Logistic law",
    source=f"{NOTE}, Theorem 3.2",
    statement="In the unnormalized flow from Sigma_T(0) = I, s_j = omega_j^2/(C + omega_j^2) is logistic, ds/dt = 2 s "
    "(1-s)/(C^2 N). The flow's own class means are U diag(sqrt(C s_j)) V^T with U, V at rest, so they become a "
    "Simplex ETF, while every omega_i/omega_j stays what it was.",
    assumptions="lambda = 0, balanced classes, bias included, Sigma_T(0) = I.",
    fault="half the rate; for the ratios, those of the renormalized flow.",
)
def logistic_law(draw: Draw) -> Iterator[Finding]:
    """s_j, class means and ratios of features along `unnormalized`."""
    for H in starts(draw):
        path = follow(H, UNNORMALIZED)
        C, N = sizes(path)
        U, V = _start_vectors(path)
        s = np.stack([total_signal(X) for X in path.X[::6]])
        some = Path(path.ts[::6], path.X[::6], path.omega[::6], path.flow)
        right, wrong = (_logistic(some, s[0], rate) for rate in (2.0, 1.0))
        yield on_path("s_j(t) logistic", s, right, path, fault=wrong, magnified=False)
        built, misbuilt = (np.einsum("pk,tk,ck->tpc", U, np.sqrt(C * v), V) for v in (right, wrong))
        yield on_path("class means U diag(sqrt(C s)) V^T", means(some), built, path, fault=misbuilt, magnified=False)
        last = means(path)[-1]
        law = C * np.eye(C) - np.ones((C, C)) - C * (V * (1 - _logistic(path, s[0], 2.0)[-1])[None, :]) @ V.T
        not_yet = C * (V * s[0][None, :]) @ V.T
        yield on_path("Gram matrix on its way to C Phi", last.T @ last, law, path, fault=not_yet, magnified=False)
        ratio = path.omega[:, :-1] / path.omega[:, 1:]
        if ratio.size:
            law_1 = np.exp(log_omega(Law(1, C, N), path))
            still = np.broadcast_to(ratio[0], ratio.shape)
            yield on_path("omega_i/omega_j constant", ratio, still, path, fault=law_1[:, :-1] / law_1[:, 1:])
