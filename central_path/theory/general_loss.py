"""L_LS for any class priors, weight decay and covariance, and its gradient with respect to the moments of the features.

With D = diag(pi), M~ = [M; 1^T], A = Sigma_W + lambda I, and lambda_b the decay of the bias (lambda, or 0),

    L_LS = 1/2 tr (D^(-1) + M~^T diag(A, lambda_b)^(-1) M~)^(-1)

where lambda_b = 0 means the inverse on the vectors that sum to zero. In the coordinates of classes

    B = M D^(1/2) [Q, s],   s = pi^(1/2),  Q an orthonormal basis of the vectors orthogonal to s

the first C - 1 columns have B_c B_c^T = Sigma_B and the last column is mu_G. With c^2 = lambda_b / (1 + lambda_b), and
J the diagonal matrix of C - 1 ones and c, let B~ = B J, T = J [Q, s]^T D [Q, s] J. Then

    L_LS = 1/2 tr (T K^(-1)),      K = I + B~^T A^(-1) B~,      V = A^(-1) B~ K^(-1),      W_LS = D^(1/2) [Q, s] J V^T

for every lambda and lambda_b, nothing is subtracted, and lambda_b = 0 is no special case. The gradient is

    -dL/dB = V T K^(-1) J,            S = dL/dSigma_W = 1/2 V T V^T

The sum over examples of |dh|^2 is n (|dB|^2 + ...), so gradient flow on the features moves B by -(1/n) dL/dB, and the
deviations from the class means from the left, E' = -(2/n) S E. The two parts of the loss are

    L_NC2/3 = 1/2 tr (J K^(-1) T K^(-1) J),      L_NC1 = 1/2 tr (T K^(-1) (K - J^2) K^(-1))

For equal priors T = I/C and the eigenvalues of K are 1 + omega_j^2/C at lambda = 0 (Lemma 1).

Source: Han, Papyan & Donoho (2022), Proposition 1, Lemma 1; the form for any priors and decay is derived here.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.metrics.snr import contrasts_of


class Classes(NamedTuple):
    """Matrices that the priors make: B = M to_contrasts, M = B to_means, and the one-hot targets' second moments.

    `to_contrasts` = D^(1/2) [Q, s], `to_means` its inverse, `targets` = [Q, s]^T D [Q, s].
    """

    pi: Float[Any, " C"]
    to_contrasts: Float[Any, "C C"]
    to_means: Float[Any, "C C"]
    targets: Float[Any, "C C"]


def classes_of(pi: Float[np.ndarray, " C"], turn: Float[np.ndarray, "K K"] | None = None) -> Classes:
    """The matrices of priors pi > 0; `turn` is an orthogonal matrix that chooses the basis Q.

    Raises:
        ValueError: unless the priors are positive and sum to 1.
    """
    if not (np.all(pi > 0) and abs(np.sum(pi) - 1) < 1e-9):
        raise ValueError(f"Need positive priors that sum to 1, got {pi}: drop the classes without examples.")
    s = np.sqrt(pi)
    Q = contrasts_of(s)
    basis = np.concatenate([Q if turn is None else Q @ turn, s[:, None]], axis=1)
    return Classes(pi, s[:, None] * basis, basis.T / s[None, :], basis.T @ (pi[:, None] * basis))


def bias_weight(lam: float | Float[Array, ""], *, decay_bias: bool) -> Float[Array, ""]:
    """The number c of the bias: (lambda/(1 + lambda))^(1/2) where the bias decays as the weights do, 0 where not."""
    return jnp.sqrt(jnp.asarray(lam) / (1 + jnp.asarray(lam))) if decay_bias else jnp.zeros(())


def weighted(B: Float[Array, "R C"], c: Float[Array, ""]) -> Float[Array, "R C"]:
    """B J: the last column times c."""
    return B.at[:, -1].multiply(c)


def targets(classes: Classes, c: Float[Array, ""]) -> Float[Array, "C C"]:
    """T = J [Q, s]^T D [Q, s] J."""
    return weighted(weighted(jnp.asarray(classes.targets), c).T, c)


class Response(NamedTuple):
    """The answer of the least-squares classifier to B~: Y = A^(-1) B~, X = B~^T Y, and Cholesky's factor of I + r X.

    V = Y (I + r X)^(-1) and K^(-1) = (I - (1 - r) X)(I + r X)^(-1). With Y = A^(-1) B~ itself r is 1. If Y = S^(-1) B~
    of a matrix S = A + beta B~ B~^T, then r = 1 - beta, and A is not needed.
    """

    Y: Float[Array, "P C"]
    X: Float[Array, "C C"]
    r: Float[Array, ""]
    factor: Float[Array, "C C"]

    @classmethod
    def of(cls, B: Float[Array, "P C"], Y: Float[Array, "P C"], r: Float[Array, ""]) -> "Response":
        """From B~ and Y."""
        X = B.T @ Y
        X = (X + X.T) / 2
        whole = jnp.eye(len(X), dtype=X.dtype) + r * X
        return cls(Y, X, r, jnp.linalg.cholesky(whole, symmetrize_input=False))

    def shrink(self, Z: Float[Array, "C k"]) -> Float[Array, "C k"]:
        """(I + r X)^(-1) Z."""
        return jax.scipy.linalg.cho_solve((self.factor, True), Z)

    @property
    def K_inverse(self) -> Float[Array, "C C"]:
        """K^(-1), which is what the outputs lack of the targets: W~ M~ - I in the coordinates of classes, negative."""
        return self.shrink(self.unshrunk_K_inverse)

    @property
    def unshrunk_K_inverse(self) -> Float[Array, "C C"]:
        """I - (1 - r) X."""
        return jnp.eye(len(self.X), dtype=self.X.dtype) - (1 - self.r) * self.X

    @property
    def V(self) -> Float[Array, "P C"]:
        """A^(-1) B~ K^(-1): the classifier in the coordinates of classes."""
        return self.shrink(self.Y.T).T


def respond(B: Float[Array, "P C"], A: Float[Array, "P P"]) -> Response:
    """To B~ and A = Sigma_W + lambda I > 0, by Cholesky's factor of A."""
    factor = jnp.linalg.cholesky(A)
    return Response.of(B, jax.scipy.linalg.cho_solve((factor, True), B), jnp.ones((), B.dtype))


def parts_of_loss(
    response: Response, T: Float[Array, "C C"], c: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """L_LS, L_NC1 and L_NC2/3, none of them by a difference."""
    K_inverse = response.K_inverse
    explained = response.shrink(response.X)  # I - K^(-1)
    last = K_inverse[:, -1]
    loss_nc1 = jnp.sum(T * (K_inverse @ explained)) + (1 - c**2) * (last @ T @ last)
    loss_nc23 = jnp.sum(weighted(K_inverse, c) * (T @ weighted(K_inverse, c)))
    return 0.5 * jnp.sum(T * K_inverse), 0.5 * loss_nc1, 0.5 * loss_nc23


def general_loss(
    M: Float[Array, "P C"],
    Sigma_W: Float[Array, "P P"],
    pi: Float[np.ndarray, " C"],
    *,
    lam: float | Float[Array, ""],
    decay_bias: bool = True,
) -> Float[Array, ""]:
    """L_LS of class means, within-class covariance and priors, for Sigma_W + lambda I > 0. Differentiable.

    Raises:
        ValueError: as `classes_of`.
    """
    classes, c = classes_of(pi), bias_weight(lam, decay_bias=decay_bias)
    B = weighted(M @ classes.to_contrasts, c)
    response = respond(B, Sigma_W + jnp.asarray(lam) * jnp.eye(len(M), dtype=M.dtype))
    return 0.5 * jnp.sum(targets(classes, c) * response.K_inverse)


def general_gradient(
    M: Float[Array, "P C"],
    Sigma_W: Float[Array, "P P"],
    pi: Float[np.ndarray, " C"],
    *,
    lam: float | Float[Array, ""],
    decay_bias: bool = True,
) -> tuple[Float[Array, "P C"], Float[Array, "P P"]]:
    """dL_LS/dM and S = sym(dL_LS/dSigma_W) in closed form.

    Raises:
        ValueError: as `classes_of`.
    """
    classes, c = classes_of(pi), bias_weight(lam, decay_bias=decay_bias)
    B = weighted(M @ classes.to_contrasts, c)
    response = respond(B, Sigma_W + jnp.asarray(lam) * jnp.eye(len(M), dtype=M.dtype))
    V, T = response.V, targets(classes, c)
    return -weighted(V @ (T @ response.K_inverse), c) @ classes.to_contrasts.T, 0.5 * (V @ T @ V.T)


def classifier_of(response: Response, classes: Classes, c: Float[Array, ""]) -> Float[Array, "C P"]:
    """W_LS = D^(1/2) [Q, s] J V^T."""
    return weighted(jnp.asarray(classes.to_contrasts), c) @ response.V.T
