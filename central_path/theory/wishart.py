"""Moments of random features, and class means as renormalized, drawn from their own distribution: no feature is made.

Features of `samples.random_features` are h = mu_c + e with standard normal mu_c and e. Their class means and their
within-class covariance are independent,

    M Q ~ sqrt(1 + 1/N) x a P x (C-1) matrix of standard normal entries,    CN Sigma_W ~ Wishart_P(C(N-1)),

and omega depends on B = M Q through B^T Sigma_W^(-1) B alone. With B = U R (U orthonormal and independent of R, R upper
triangular) that is R^T S^(-1) R, where S = (U^T Sigma_W^(-1) U)^(-1) and

    CN S ~ Wishart_(C-1)(C(N-1) - P + C - 1),    R_jj^2 ~ (1 + 1/N) chi^2_(P-j+1),    R_ij ~ sqrt(1 + 1/N) N(0, 1).

So S^(-1/2) R Q^T, a (C-1) x C matrix, has the distribution of the class means in a basis of their span, at a cost that
depends neither on N nor on P.

Source: Bartlett (1933) for both triangular factors; Muirhead (1982), Theorem 3.2.10 for the distribution of S.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from central_path.metrics.samples import check_sizes


def _bartlett(rng: np.random.Generator, size: int, freedom: int) -> Float[np.ndarray, "r r"]:
    """Lower triangular A with A A^T ~ Wishart_size(freedom)."""
    A = np.tril(rng.standard_normal((size, size)), -1)
    A[np.diag_indices(size)] = np.sqrt(rng.chisquare(freedom - np.arange(size)))
    return A


def random_means(C: int, N: int, P: int, *, seed: int) -> Float[np.ndarray, "r C"]:
    """Means of C classes, as renormalized, in a basis of the r = C - 1 dimensions that they span.

    Their singular values have the distribution of the omega of `samples.random_features`; for one seed the two are
    different draws.

    Raises:
        ValueError: as `samples.check_sizes`.
    """
    check_sizes(C, N, P)
    rng, r = np.random.default_rng(seed), C - 1
    R = _bartlett(rng, r, P).T * np.sqrt(1 + 1 / N)
    A = _bartlett(rng, r, C * (N - 1) - P + r)
    B = solve_triangular(A, R, lower=True, overwrite_b=True) * np.sqrt(C * N)
    j = np.arange(1, C)
    scaled = B / np.sqrt(j * (j + 1.0))  # B Q^T for Helmert's Q: its columns are 1, ..., 1, -j and zeros
    tail = np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([tail, np.zeros((r, 1))], axis=1) - np.concatenate([np.zeros((r, 1)), scaled * j], axis=1)


def random_moments(C: int, N: int, P: int, *, seed: int) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P P"]]:
    """Class means M and a lower triangular L with Sigma_W = L L^T, of the distribution of random features.

    For one seed they are another draw than `samples.random_features`.

    Raises:
        ValueError: as `samples.check_sizes`.
    """
    check_sizes(C, N, P)
    rng = np.random.default_rng(seed)
    M = np.sqrt(1 + 1 / N) * rng.standard_normal((P, C))
    return M, _bartlett(rng, P, C * (N - 1)) / np.sqrt(C * N)
