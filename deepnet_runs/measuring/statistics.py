"""The quantities of a row from class statistics, by the functions of `central_path`, in float64.

    decomposition   `central_path.decomposition` of the network's own last layer, with the optimiser's own lambda
    NC1 to NC3      `central_path.collapse`, of the training and of the test features
    SNR matrix      singular values omega and right singular vectors V of Sigma_W^(-1/2) Mbar (`central_path.resolved`)
    A2              how far from the mean label the last layer maps the global mean: |W mu_G + b - pi| / |pi|

Ranks are judged at the precision of the features. Metrics are over the classes that have examples, the loss is over all
outputs. For unbalanced sets omega is descriptive: the laws need balance.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from central_path.metrics import measurement, resolved
from central_path.metrics.decomposition import Decomposition
from central_path.metrics.resolved import Between, Rounding
from central_path.metrics.snr import Moments

FEW_CLASSES = 100  # of which a row records singular vectors: C^2 numbers, and most of a row's work for 1000

OF_COLUMNS = ("equinorm", "equiangularity", "max_angle")  # metrics of class means here, of a classifier there


class MeasuredMoments(NamedTuple):
    """Moments of n features: `whole` of all C classes, `m` of the K `present` that have examples."""

    whole: Moments
    m: Moments
    present: Int[np.ndarray, " K"]
    rounding: Rounding
    n: int

    @property
    def between(self) -> Between:
        """The spectrum of Sigma_B."""
        return resolved.between(self.m, self.rounding)


def seen(
    arrays: tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P P"], Float[np.ndarray, " C"]], *, n: int, eps: float
) -> MeasuredMoments:
    """`ClassStatistics.arrays` of n features that came with the precision eps."""
    M, Sigma_W, pi = arrays
    present = np.flatnonzero(pi)
    m = Moments(M[:, present], Sigma_W, pi[present])
    return MeasuredMoments(measurement.with_absent(m, present, len(pi)), m, present, Rounding.of(m, eps), n)


def decomposition(
    W: Float[np.ndarray, "C P"],
    b: Float[np.ndarray, " C"],
    of: MeasuredMoments,
    *,
    lam: float,
    k: float = 1.0,
    M: float = 1.0,
    covariances: Iterable[np.ndarray] = (),
) -> dict[str, float]:
    """`loss_nc1`, `loss_nc23`, `loss_ls_perp`, whose sum is the loss; the rescaled one needs all class covariances."""
    if k == 1 and M == 1:
        solve = measurement.solver(of.whole, of.rounding, lam, bias=True, n=of.n)
        return measurement.parts_of_loss(W, b, of.whole, lam=lam, bias=True, solve=solve)
    parts = _rescaled(W, b, of.whole, covariances, k=k, M=M, lam=lam)
    return {name: float(value) for name, value in zip(parts._fields, parts, strict=True)}


def _rescaled(W, b, m: Moments, covariances: Iterable[np.ndarray], *, k: float, M: float, lam: float) -> Decomposition:
    import jax.numpy as jnp  # for this loss alone

    from central_path import rescaled  # imports JAX too
    from central_path.theory.problem import require_float64

    require_float64()
    in_jax = Moments(*(jnp.asarray(a) for a in m))
    return rescaled.decompose(jnp.asarray(W), jnp.asarray(b), in_jax, covariances, k=k, M=M, lam=lam)


def collapse_metrics(W: Float[np.ndarray, "C P"], of: MeasuredMoments) -> dict[str, float]:
    """NC1 to NC3 and the metrics of the catalogue; NaN where the features do not determine them."""
    found, _ = measurement.collapse_of(of.m, W[of.present], of.between)
    return {f"{name}_means" if name in OF_COLUMNS else name: value for name, value in found.items()}


def classifier_metrics(W: Float[np.ndarray, "C P"]) -> dict[str, float]:
    """NC2 of the classifier."""
    found, _ = measurement.collapse_of_columns(W.T, 0.0, "A row of W is 0")
    return {f"{name}_classifier": value for name, value in found.items()}


def mean_output_gap(W: Float[np.ndarray, "C P"], b: Float[np.ndarray, " C"], m: Moments) -> float:
    """|W mu_G + b - pi| / |pi|: 0 for the least-squares bias with lambda = 0 (assumption A2 of the paper)."""
    return float(np.linalg.norm(W @ m.mu_G + b - m.pi) / np.linalg.norm(m.pi))


def snr(of: MeasuredMoments) -> resolved.SNR:
    """Singular values and, of up to FEW_CLASSES classes, right singular vectors V (C, K), 0 for absent classes."""
    C = len(of.whole.pi)
    found = resolved.snr(of.m, of.rounding, n=of.n, vectors=C <= FEW_CLASSES)
    if found.V is None or len(of.present) == C:
        return found
    V = np.zeros((C, found.V.shape[1]))
    V[of.present] = found.V
    return found._replace(V=V)
