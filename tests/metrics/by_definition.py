"""What `cp.measure` returns, by its definitions and written out slowly; unbalanced features, and those of any kind."""

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

SCALARS = ("loss", "loss_nc1", "loss_nc23", "loss_ls_perp", "nc1", "equinorm", "equiangularity", "max_angle")


def by_loops(h, y):
    """M, Sigma_W, pi of rows h (n, P) with labels 0..C-1, all of which occur, example by example."""
    n, C = len(y), max(y) + 1
    M = np.stack([sum(h[i] for i in range(n) if y[i] == c) / np.sum(y == c) for c in range(C)], axis=1)
    Sigma_W = sum(np.outer(h[i] - M[:, y[i]], h[i] - M[:, y[i]]) for i in range(n)) / n
    return M, Sigma_W, np.array([np.mean(y == c) for c in range(C)])


def spread_of(columns):
    """Equinorm, equiangularity and max_angle of the columns, over pairs."""
    C = columns.shape[1]
    norms = [np.sqrt(np.sum(columns[:, c] ** 2)) for c in range(C)]
    cosines = [columns[:, c] @ columns[:, d] / (norms[c] * norms[d]) for c in range(C) for d in range(C) if c != d]
    return (
        np.std(norms) / np.mean(norms),
        np.std(cosines),
        np.mean([abs(cosine + 1 / (C - 1)) for cosine in cosines]),
    )


def omega_by_definition(M, Sigma_W, pi, rank_within):
    """Singular values of Sigma_W^(-1/2) Mbar as Sigma_W + delta I has them for delta to 0, with its rank known."""
    Mbar = M - (M @ pi)[:, None]
    w, U = np.linalg.eigh(Sigma_W)
    w, U = w[::-1], U[:, ::-1]
    A = np.diag(w[:rank_within] ** -0.5) @ U[:, :rank_within].T @ Mbar
    B = U[:, rank_within:].T @ Mbar
    size = max(1e-3, np.linalg.norm(Mbar))
    _, s, Vt = np.linalg.svd(B)
    infinite = int(np.sum(s > 1e-7 * size)) if len(B) else 0
    values = np.linalg.svd(A @ Vt[infinite:].T, compute_uv=False) if rank_within else np.zeros(0)
    K = min(len(Sigma_W), len(pi) - 1)
    rank = np.linalg.matrix_rank(Mbar, tol=1e-7 * size)
    finite = values[: max(0, rank - infinite)]
    return np.concatenate([np.full(infinite, np.inf), finite, np.zeros(K - infinite - len(finite))])


def slow(h, y, W, b, lam, rank_within):
    """What `cp.measure` returns, by its definitions."""
    n, C = len(y), max(y) + 1
    M, Sigma_W, pi = by_loops(h, y)
    Mbar = M - (M @ pi)[:, None]
    Sigma_B = sum(pi[c] * np.outer(Mbar[:, c], Mbar[:, c]) for c in range(C))
    extended = np.column_stack([h, np.ones(n)])
    Y = np.eye(C)[y]
    rows = np.vstack([extended / np.sqrt(n), np.sqrt(lam) * np.eye(extended.shape[1])])
    targets = np.vstack([Y / np.sqrt(n), np.zeros((extended.shape[1], C))])
    best = np.linalg.lstsq(rows, targets, rcond=1e-8)[0].T

    def loss(W_ext):
        errors = [np.sum((W_ext @ extended[i] - Y[i]) ** 2) for i in range(n)]
        return 0.5 * np.mean(errors) + 0.5 * lam * np.sum(W_ext**2)

    within = sum(np.sum((best[:, :-1] @ (h[i] - M[:, y[i]])) ** 2) for i in range(n)) / n + lam * np.sum(best**2)
    nearest = [int(np.argmin([np.sum((h[i] - M[:, c]) ** 2) for c in range(C)])) for i in range(n)]
    decided = [int(np.argmax(W @ h[i] + b)) for i in range(n)]
    given = np.column_stack([W, b])
    found = dict(zip(("equinorm", "equiangularity", "max_angle"), spread_of(Mbar), strict=True))
    return found | {
        "loss": loss(given),
        "loss_nc1": 0.5 * within,
        "loss_nc23": loss(best) - 0.5 * within,
        "loss_ls_perp": loss(given) - loss(best),
        "nc1": np.trace(Sigma_W @ np.linalg.pinv(Sigma_B, rtol=1e-9, hermitian=True)) / C,
        "self_duality": np.sum((W.T / np.linalg.norm(W) - Mbar / np.linalg.norm(Mbar)) ** 2),
        "ncc_mismatch": np.mean(np.array(nearest) != np.array(decided)),
        "omega": omega_by_definition(M, Sigma_W, pi, rank_within),
    }


SIZES = [10, 20, 200, 50]


def unbalanced(P=8, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), SIZES)
    return 2 * rng.standard_normal((4, P))[y] + rng.standard_normal((len(y), P)), y


def same(one, other, but=(), rtol=1e-9):
    for name in ("omega", *SCALARS, "ncc_mismatch"):
        if name not in but:
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=1e-13, err_msg=name)


@st.composite
def features(draw):
    """Rows, labels, and the rank of Sigma_W, of a chosen rank with condition 100, in a chosen type.

    Entries are small multiples of a power of 2, which every type holds exactly, where a rank is to be exact.
    """
    C, P = draw(st.integers(2, 5)), draw(st.integers(1, 7))
    counts = draw(st.lists(st.integers(1, 9), min_size=C, max_size=C))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["full", "dead units", "collapsed", "dependent", "equal means"]))
    y = rng.permutation(np.repeat(np.arange(C), counts))
    h = rng.integers(-8, 9, (C, P))[y] + rng.integers(-8, 9, (len(y), P))
    if kind == "dead units":
        h[:, rng.integers(0, P)] = 3
    elif kind == "collapsed":
        h = rng.integers(-8, 9, (C, P))[y]
    elif kind == "dependent":
        h[:, -1] = h[:, 0] - h[:, P // 2]
    elif kind == "equal means":
        a, b = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
        h[b] = h[np.resize(a, len(b))] if len(b) % len(a) == 0 else h[a[:1]]
        if len(b) % len(a):
            h[a] = h[a[:1]]
    h = h / 4.0
    means = np.stack([h[y == c].mean(axis=0) for c in range(C)])
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16, ml_dtypes.bfloat16]))
    rows = h.astype(dtype)
    assert np.array_equal(rows.astype(float), h)
    return rows, h, y, int(np.linalg.matrix_rank(h - means[y], tol=1e-8))
