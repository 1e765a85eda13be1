"""The least-squares classifier and the exact decomposition of the MSE loss, from the moments of the features.

    W~_LS      = D M~^T (Ave h~h~^T + lambda I)^(-1),                 D = diag(pi)
    L_NC1      = 1/2 tr(W~_LS (Sigma~_W + lambda I) W~_LS^T)
    L_NC2/3    = 1/2 sum_c pi_c ||W~_LS mu~_c - e_c||^2
    L_LS_perp  = 1/2 tr((W~ - W~_LS)(Ave h~h~^T + lambda I)(W~ - W~_LS)^T)
    L          = L_NC1 + L_NC2/3 + L_LS_perp                          for every W~ and any class sizes

All of it is computed about the global mean, W~ mu~_c = W (mu_c - mu_G) + (b + W mu_G). For a classifier without bias
the same holds with W, h in the place of W~, h~ (`bias=False`): it is compared with the best classifier without bias.

Array-namespace code: it takes arrays of NumPy, of JAX, traced or not, or tensors of PyTorch, and imports neither. What
is of C x C entries is computed in tiles of TILE classes.

Source: Han, Papyan & Donoho (2022), Proposition 1, Theorems 1 and 2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float

from central_path.metrics.namespace import eye_like, namespace
from central_path.metrics.snr import Moments

TILE = 1024  # classes at a time  # pragma: no mutate

Solve = Callable[[Any, Any], Any]  # S (P, P) >= 0 and B (P, R) to the X of least norm with S X = B


def _solver(lam: float) -> Solve:
    """S^(-1) B, for lambda = 0 by the pseudo-inverse: eigenvalues below 10 P eps times the largest are taken for 0."""

    def solve(S, B):
        xp = namespace(S)
        if lam > 0:
            return xp.linalg.solve(S, B)
        return xp.linalg.pinv(S, rtol=10 * len(S) * float(xp.finfo(S.dtype).eps), hermitian=True) @ B

    return solve


def _least_squares_about_mean(
    m: Moments, lam: float, targets: Float[Any, "R C"] | None, *, bias: bool, solve: Solve | None
) -> tuple[Float[Any, "R P"], Float[Any, " R"]]:
    """W_LS and its outputs b_LS + W_LS mu_G at the global mean, with the bias eliminated.

    With the targets of the classes as columns of Y, I in the paper, the bias that goes with W is (Y pi - W mu_G)/(1 +
    lambda), which leaves, with kappa = lambda/(1 + lambda),

        W_LS = (Y D Mbar^T + kappa Y pi mu_G^T)(Sigma_T + kappa mu_G mu_G^T + lambda I)^(-1).

    The two terms with mu_G are put in by the formula of Sherman and Morrison: with W_0 and z = (Sigma_T + lambda
    I)^(-1) mu_G of the problem without them and s = mu_G^T z,

        W_LS = W_0 + kappa/(1 + kappa s) (Y pi - W_0 mu_G) z^T,   W_LS mu_G = (W_0 mu_G + kappa s Y pi)/(1 + kappa s).

    So the only matrix that is inverted is Sigma_T + lambda I, whose condition number mu_G does not enter. Without bias
    kappa is 1 and the matrix is inverted as it stands: nothing centres the features.
    """
    if not lam >= 0:
        raise ValueError(f"Need lam >= 0, got lam = {lam}: a negative weight decay has no minimiser.")
    xp = namespace(m.M)
    kappa = lam / (1 + lam)
    mean_target = m.pi if targets is None else targets @ m.pi
    target = m.Mbar * m.pi[None, :]
    target = target if targets is None else target @ targets.T
    second_moment = m.Sigma_T + lam * eye_like(m.M, len(m.mu_G))
    solve = solve or _solver(lam)
    if not bias:
        W = solve(second_moment + xp.outer(m.mu_G, m.mu_G), target + xp.outer(m.mu_G, mean_target)).T
        return W, W @ m.mu_G
    solved = solve(second_moment, xp.concat([target, m.mu_G[:, None]], axis=1))
    W_0, z = solved[:, :-1].T, solved[:, -1]
    s, W_0_mu = m.mu_G @ z, W_0 @ m.mu_G
    W = W_0 + kappa / (1 + kappa * s) * xp.outer(mean_target - W_0_mu, z)
    W_mu = (W_0_mu + kappa * s * mean_target) / (1 + kappa * s)
    return W, (mean_target + lam * W_mu) / (1 + lam)


def _squares(
    A: Float[Any, "R P"], at_mean: Float[Any, " R"], m: Moments, less: Callable[[int, int], Any] | None
) -> Float[Any, ""]:
    """sum_c pi_c ||A (mu_c - mu_G) + at_mean - y_c||^2, y_c from `less`: the columns of given numbers; 0 without it."""
    xp, C, Mbar = namespace(m.M), m.M.shape[1], m.Mbar
    total = 0.0
    for begin in range(0, C, TILE):
        end = min(begin + TILE, C)
        error = A @ Mbar[:, begin:end] + at_mean[:, None]
        error = error if less is None else error - less(begin, end)
        total = total + xp.sum(m.pi[None, begin:end] * error**2)
    return total


def _columns(m: Moments, targets: Float[Any, "R C"] | None) -> Callable[[int, int], Any]:
    """Columns of the targets, one-hot unless given."""
    if targets is not None:
        return lambda begin, end: targets[:, begin:end]
    return lambda begin, end: eye_like(m.M, m.M.shape[1], end - begin, k=-begin)


def loss(W: Float[Any, "C P"], b: Float[Any, " C"], m: Moments, *, lam: float) -> Float[Any, ""]:
    """L of the classifier (W, b) on features with moments m, as it is defined: no least-squares classifier enters."""
    xp = namespace(m.M)
    squares = xp.sum(W @ m.Sigma_W * W) + _squares(W, b + W @ m.mu_G, m, _columns(m, None))
    return 0.5 * (squares + lam * (xp.sum(W**2) + xp.sum(b**2)))


def least_squares(
    m: Moments,
    *,
    lam: float,
    targets: Float[Any, "R C"] | None = None,
    bias: bool = True,
    solve: Solve | None = None,
) -> tuple[Float[Any, "R P"], Float[Any, " R"]]:
    """W_LS (C, P) and b_LS (C,) of Proposition 1, for any class priors. lam is a number, not a traced value.

    For lam = 0 and singular Sigma_T this is the W of least norm (pseudo-inverse) with its bias; others fit as well.
    `targets` are what R outputs should be on each class, one-hot (R = C) unless given. Without `bias` b_LS is 0.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics.decomposition import decompose, least_squares
        >>> from central_path.metrics.samples import moments_of_rows
        >>> y = np.repeat([0, 1, 2], 20)
        >>> m = moments_of_rows(np.eye(3)[y] + 0.1 * np.random.default_rng(0).standard_normal((60, 3)), y, 3)
        >>> W, b = least_squares(m, lam=1e-3)
        >>> W.shape, b.shape, bool(abs(decompose(W, b, m, lam=1e-3).loss_ls_perp) < 1e-15)
        ((3, 3), (3,), True)

    Raises:
        ValueError: if lam < 0.
    """
    W, at_mean = _least_squares_about_mean(m, lam, targets, bias=bias, solve=solve)
    return W, at_mean - W @ m.mu_G


class Decomposition(NamedTuple):
    """The three parts of the loss (Theorems 1 and 2)."""

    loss_nc1: Float[Any, ""]
    loss_nc23: Float[Any, ""]
    loss_ls_perp: Float[Any, ""]

    @property
    def loss_ls(self) -> Float[Any, ""]:
        """L_LS = L_NC1 + L_NC2/3."""
        return self.loss_nc1 + self.loss_nc23

    @property
    def total(self) -> Float[Any, ""]:
        """L = L_LS + L_LS_perp."""
        return self.loss_ls + self.loss_ls_perp


def decompose(
    W: Float[Any, "R P"],
    b: Float[Any, " R"],
    m: Moments,
    *,
    lam: float,
    targets: Float[Any, "R C"] | None = None,
    bias: bool = True,
    solve: Solve | None = None,
) -> Decomposition:
    """L of the classifier (W, b) on features with moments m, in its three parts (Theorems 1 and 2).

    For any class priors and any lam >= 0; `targets` and `bias` as for `least_squares`, b = 0 without bias. An identity,
    to the rounding that the page of `loss` states. At lam = 0 an eigenvalue of Sigma_T below 10 P eps times the largest
    counts as zero; class means that differ along its eigenvector leave up to (10 P eps)^(1/2) of L between L and the
    sum of the parts.

    Raises:
        ValueError: if lam < 0.
    """
    xp = namespace(m.M)
    W_LS, at_mean_LS = _least_squares_about_mean(m, lam, targets, bias=bias, solve=solve)
    b_LS = at_mean_LS - W_LS @ m.mu_G if bias else 0 * b
    dW, db, d_at_mean = W - W_LS, b - b_LS, b + W @ m.mu_G - at_mean_LS
    errors = _squares(W_LS, at_mean_LS, m, _columns(m, targets))
    away = _squares(dW, d_at_mean, m, None)
    decay, decay_away = (lam * (xp.sum(V**2) + xp.sum(v**2)) for V, v in ((W_LS, b_LS), (dW, db)))
    return Decomposition(
        loss_nc1=0.5 * (xp.sum(W_LS @ m.Sigma_W * W_LS) + decay),
        loss_nc23=0.5 * errors,
        loss_ls_perp=0.5 * (xp.sum(dW @ m.Sigma_W * dW) + away + decay_away),
    )
