"""Class means, within-class covariance, priors: the moments of features, and the singular values of the SNR matrix.

    mu_c    = Ave_i h_{i,c}                                      M = [mu_1 ... mu_C]
    mu_G    = sum_c pi_c mu_c                                    Mbar = M - mu_G 1^T
    SNR     = Sigma_W^(-1/2) Mbar                                singular values omega_1 >= ... >= omega_{C-1}

mu_G is the mean of the examples, so the priors pi_c = N_c / n enter. `singular_values` is the only function of the
project that gives omega; whoever calls it differs in the whitening alone, A = T Mbar with T^T T = Sigma_W^(-1): by a
Cholesky factor where Sigma_W has full rank (`problem.snr_singular_values`, compiled and differentiable), by
eigenvectors on the range of Sigma_W where it may not (`resolved.snr`).

Everything here is array-namespace code: it takes arrays of NumPy or of JAX, traced or not, and imports no JAX.

Source: Han, Papyan & Donoho (2022), Section 1.1 (Eq. 1), Section 3.2 (Definition 2).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from central_path.metrics.namespace import namespace


class Moments(NamedTuple):
    """Class means M (P, C), within-class covariance Sigma_W (P, P) and priors pi (C,).

    All that the loss and NC1-NC3 need of the features.

    For any class sizes: pi_c = N_c / n, Sigma_W averages over examples, mu_G is the mean of the examples (not of the
    class means).
    """

    M: Float[Any, "P C"]
    Sigma_W: Float[Any, "P P"]
    pi: Float[Any, " C"]

    @property
    def mu_G(self) -> Float[Any, " P"]:
        """Global mean sum_c pi_c mu_c."""
        return self.M @ self.pi

    @property
    def Mbar(self) -> Float[Any, "P C"]:
        """Class means about the global mean."""
        return self.M - self.mu_G[:, None]

    @property
    def Sigma_B(self) -> Float[Any, "P P"]:
        """Between-class covariance sum_c pi_c (mu_c - mu_G)(mu_c - mu_G)^T."""
        return (self.Mbar * self.pi[None, :]) @ self.Mbar.T

    @property
    def Sigma_T(self) -> Float[Any, "P P"]:
        """Total covariance Sigma_W + Sigma_B."""
        return self.Sigma_W + self.Sigma_B


def between_factor(m: Moments, weights: Float[Any, " C"] | None = None) -> tuple[Float[Any, "P K"], Float[Any, " K"]]:
    """U and s of Mbar diag(pi)^(1/2) = U diag(s) V^T, so that Sigma_B = U diag(s)^2 U^T; K = min(P, C - 1) of them.

    With other `weights` of the classes in the place of pi, of Sigma_B about the same mu_G.
    """
    return weighted_factor(m.Mbar, m.pi if weights is None else weights)


def weighted_factor(Mbar: Float[Any, "P C"], weights: Float[Any, " C"]) -> tuple[Float[Any, "P K"], Float[Any, " K"]]:
    """U and s of Mbar diag(weights)^(1/2), for class means Mbar about a weighted mean of them."""
    xp, (P, C) = namespace(Mbar), Mbar.shape
    A = Mbar * xp.sqrt(weights)[None, :]
    if C > P:  # V is not needed: of A^T = Q R the small R^T = U diag(s) (Q^T V)^T
        found = xp.linalg.qr(A.T, mode="r")
        A = (found[1] if isinstance(found, tuple) else found).T
    U, s, _ = xp.linalg.svd(A, full_matrices=False)
    return U[:, : C - 1], s[: C - 1]


def equal_priors(C: int) -> Float[np.ndarray, " C"]:
    """Priors 1/C of C balanced classes."""
    return np.full(C, 1 / C)


def contrasts(C: int) -> Float[np.ndarray, "C C-1"]:
    """Helmert's orthonormal basis Q of the vectors of length C that sum to zero: Q^T Q = I, Q Q^T = I - 11^T/C."""
    return contrasts_of(equal_priors(C))


def contrasts_of(pi: Float[Any, " C"]) -> Float[Any, "C C-1"]:
    """An orthonormal basis Q of the vectors orthogonal to the priors pi > 0: for equal ones Helmert's.

    Column j is (a_1 a_{j+1}, ..., a_j a_{j+1}, -s_j, 0, ..., 0) / (s_j s_{j+1})^(1/2), a = pi / pi_1, s_j = a_1^2 + ...
    + a_j^2. Mbar pi = 0, so Mbar Q has all singular values of Mbar but the one that is 0 for every data set.
    """
    xp = pi.__array_namespace__()
    a = pi / pi[0]
    s = xp.cumsum(a**2)
    rows, columns = np.arange(len(pi))[:, None], np.arange(1, len(pi))[None, :]
    below = xp.where(rows == columns, -s[None, :-1], xp.zeros((), dtype=a.dtype))
    return xp.where(rows < columns, a[:, None] * a[None, 1:], below) / xp.sqrt(s[:-1] * s[1:])[None, :]


def singular_values(
    A: Float[Any, "*many r C"], pi: Float[Any, " C"], within: Float[np.ndarray, "C-1 k"] | None = None
) -> Float[Any, "*many K"]:
    """Omega, descending, of whitened class means A = T Mbar, T^T T = Sigma_W^(-1): min(r, C - 1) values.

    With `within`, an orthonormal basis of a subspace in the coordinates of `contrasts_of(pi)`, of A on it alone.
    """
    basis = contrasts_of(pi)
    return singular_values_of_contrasts(A @ (basis if within is None else basis @ within))


def singular_values_of_contrasts(A: Float[Any, "*many r K"]) -> Float[Any, "*many L"]:
    """Omega, descending, of whitened contrasts A = T Mbar Q, Q any orthonormal basis of the span of `contrasts_of`."""
    return A.__array_namespace__().linalg.svd(A, compute_uv=False)
