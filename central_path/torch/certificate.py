"""Beside each number the floor below which it is rounding, and what else decides how far it can be trusted.

A number h that is stored with eps, the distance of 1 from the next number, has an error spread evenly over one spacing,
which lies between eps |h|/2 and eps |h|. Over magnitudes that are spread evenly in the logarithm its variance is

    r^2 = (3/(8 log 2)) eps^2 h^2/12.

Independent roundings add R = diag(Ave h_p^2) r^2/h^2 to Sigma_W. So the floors are, at exact collapse,

    NC1                 tr(R Sigma_B^+)/C
    equinorm            (Ave_c m_c^T Q m_c/|m_c|^2)^(1/2)/Ave |m_c|      m_c = mu_c - mu_G, Q = R or R/N (below)
    angles              (2 tr(Q)/P)^(1/2)/Ave |m_c|
    self-duality        C tr(Q)/|Mbar|_F^2
    losses              tr(W R W^T)/2, W the classifier that enters
    nc1_..., cdnv_...   the number itself with Sigma_W = R and class variances tr(R)
    nc2_etf_kothapalli  (2 (C - 1) tr(Q)/P)^(1/2)/Ave |m_c|
    nc3_..._zhu         ((C - 1) tr(Q)/P)^(1/2)/Ave |m_c|
    nc3_..._wu          tr(Q)/(2 (Ave |m_c|)^2); unc3_wu: this times (2/P)^(1/2), the spread of a sum of P squares

The other numbers have none: those of the classifier alone are of weights, and gnc2, NC4, ranks and omega are not sums
of small terms.

Class means average N roundings if the examples of a class differ by more than one spacing, Q = R/N; otherwise all round
alike, Q = R. The floor of NC1 is where a measured NC1 is twice the true one. Below it the measured one is no constant:
it is too large by more than that, or 0 once all examples of a class are stored as the same number. What the layers of a
network round beside the storage of the features is not in it, except that `precision` names the coarsest type in use.

`sampling` has the standard error that NC1 and L_NC1 have as estimates of a distribution's from n examples, for
Gaussian deviations: none where the training set itself is what is described, as in the theory.
"""

from dataclasses import dataclass, field
from math import inf, isfinite, log, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from central_path.metrics import catalogue, collapse
from central_path.metrics.resolved import Between
from central_path.metrics.snr import Moments
from central_path.torch.precision import eps_of

SHARE = 3 / (8 * log(2)) / 12  # variance of a rounding, in (eps h)^2


@dataclass(frozen=True)
class Certificate:
    """How far the numbers can be trusted.

    `floors` and `sampling` are by the names of the numbers. `precision` is the coarsest type that the features passed
    through, `eps` the distance of 1 from the next number in it. `rank_within` is known if omega was asked for.
    `condition_between` is the condition number of Sigma_B, infinite where class means are affinely dependent.
    `batchnorm` says where the statistics of batch normalization come from: "none" where there is none, "running" for
    those of the training steps, which lag behind the weights, "re-estimated", or "unknown".

    Example:
        >>> import torch
        >>> from central_path.torch import NeuralCollapse
        >>> metric = NeuralCollapse(num_classes=2)
        >>> targets = torch.arange(40) % 2
        >>> metric.update(torch.eye(2, 3)[targets] + 0.1 * torch.randn(40, 3), targets)
        >>> certificate = metric.compute().certificate
        >>> certificate.precision, certificate.n, certificate.rank_between
        ('float32', 40, 1)
        >>> 0 < certificate.floors["nc1/papyan2020"] < 1e-10  # what rounding alone gives
        True
    """

    precision: str
    eps: float
    n: int
    smallest_class: int
    empty_classes: int
    rank_between: int
    condition_between: float
    rank_within: int | None = None
    batchnorm: str = "unknown"
    floors: dict[str, float] = field(default_factory=dict)
    sampling: dict[str, float] = field(default_factory=dict)


def rounding_variance(m: Moments, precision: str) -> Float[Tensor, " P"]:
    """The mean variance that storing adds to each coordinate of features with these moments."""
    return SHARE * eps_of(precision) ** 2 * (torch.diagonal(m.Sigma_W) + m.M.square() @ m.pi)


def floors(
    m: Moments, r2: Float[Tensor, " P"], spread: Between, *, n: int, classifiers: dict[str, Tensor]
) -> dict[str, float]:
    """By the short names of the numbers; `classifiers` are the W that enter the losses of these names."""
    if spread.rank == 0:
        return {}
    C, P = len(m.pi), len(r2)
    rounded = spread.moments._replace(Sigma_W=torch.diag(r2))
    alike = float(torch.trace(m.Sigma_W)) < float(r2.sum())
    q2 = r2 if alike else r2 * C / n
    square = m.Mbar.square()
    norm2 = square.sum(dim=0)
    size = float(norm2.sqrt().mean())
    return {
        "nc1": float(collapse.nc1(rounded, rank=spread.rank, factor=(spread.U, spread.s))),
        "equinorm": float(((q2 @ square) / norm2.clamp(min=1e-300)).mean().sqrt()) / size,
        "equiangularity": float((2 * q2.sum() / P).sqrt()) / size,
        "max_angle": float((2 * q2.sum() / P).sqrt()) / size,
        "self_duality": float(C * q2.sum() / norm2.sum()),
        **{name: float((W.square() @ r2).sum()) / 2 for name, W in classifiers.items()},
        **_of_catalogue(rounded, r2, q2, size, spread),
    }


def _of_catalogue(
    rounded: Moments, r2: Float[Tensor, " P"], q2: Float[Tensor, " P"], size: float, spread: Between
) -> dict[str, float]:
    """Floors of `metrics.catalogue`: of `rounded`, moments whose deviations are rounding alone; size is Ave |m_c|."""
    C, P = rounded.M.shape[1], len(r2)
    alone = {"m": rounded, "variances": r2.sum().expand(C), "rank": spread.rank, "tolerance": spread.tolerance}
    found, _ = catalogue.values(coincide=False, only=catalogue.OF_DEVIATIONS, **alone)
    of_means = float(q2.sum()) / size**2
    return {
        **{name: value for name, value in found.items() if isfinite(value)},
        "nc2_etf_kothapalli2023": sqrt(2 * (C - 1) / P * of_means),
        "nc3_self_duality_zhu2021": sqrt((C - 1) / P * of_means),
        "nc3_self_duality_wu2024": of_means / 2,
        "unc3_wu2024": of_means / sqrt(2 * P),
    }


def sampling(numbers: dict[str, float], *, n: int, C: int, P: int) -> dict[str, float]:
    """Standard errors of NC1 and L_NC1 over draws of n examples, with n - C degrees of freedom along each direction."""
    share = sqrt(2 / ((n - C) * min(P, max(C - 1, 1)))) if n > C else inf
    return {name: numbers[name] * share for name in ("nc1", "loss_nc1") if isfinite(numbers.get(name, inf))}
