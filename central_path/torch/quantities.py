"""From class statistics to numbers by the names of their definitions, on the device of the statistics.

Every definition is that of `central_path.metrics`, whose functions take tensors. Only numbers leave the device.

    nc1/papyan2020                            tr(Sigma_W Sigma_B^+)/C
    nc2_equinorm/papyan2020                   Std over Ave of |mu_c - mu_G|; ..._classifier/...: of the rows of W
    nc2_equiangularity, nc2_max_angle         of the angles between them
    nc3_self_duality/papyan2020               |W^T/|W|_F - Mbar/|Mbar|_F|_F^2
    nc4_mismatch/papyan2020                   share of examples that the nearest class mean decides otherwise
    loss, loss_nc1, loss_nc23, loss_ls_perp   /han2022: L and its parts
    omega_max/han2022, omega_min/han2022      of the singular values of Sigma_W^(-1/2) Mbar
    nc1/zhu2021, cdnv/galanti2022, ...        the metrics of `central_path.metrics.catalogue`

Source: Papyan, Han & Donoho (2020), Figures 2 to 7; Han, Papyan & Donoho (2022), Theorems 1 and 2, Definition 2.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from central_path.metrics import catalogue, decomposition, measurement, resolved
from central_path.metrics.decomposition import Solve
from central_path.metrics.resolved import DOUBLE, Rounding
from central_path.metrics.snr import Moments
from central_path.torch import certificate
from central_path.torch.certificate import Certificate
from central_path.torch.collect import ClassStatistics
from central_path.torch.precision import eps_of

PAPYAN, HAN = "papyan2020", "han2022"
NAMES = {
    "nc1": f"nc1/{PAPYAN}",
    "equinorm": f"nc2_equinorm/{PAPYAN}",
    "equiangularity": f"nc2_equiangularity/{PAPYAN}",
    "max_angle": f"nc2_max_angle/{PAPYAN}",
    "equinorm_classifier": f"nc2_equinorm_classifier/{PAPYAN}",
    "equiangularity_classifier": f"nc2_equiangularity_classifier/{PAPYAN}",
    "max_angle_classifier": f"nc2_max_angle_classifier/{PAPYAN}",
    "self_duality": f"nc3_self_duality/{PAPYAN}",
    "ncc_mismatch": f"nc4_mismatch/{PAPYAN}",
    "loss": f"loss/{HAN}",
    "loss_nc1": f"loss_nc1/{HAN}",
    "loss_nc23": f"loss_nc23/{HAN}",
    "loss_ls_perp": f"loss_ls_perp/{HAN}",
    "omega_max": f"omega_max/{HAN}",
    "omega_min": f"omega_min/{HAN}",
    **{name: catalogue.by_definition(name) for name in catalogue.METRICS},
}
FEW_CLASSES = 100  # of which singular vectors are kept: C^2 numbers, and most of the work for 1000
PARTS = ("loss_nc1", "loss_nc23", "loss_ls_perp")
SINGULAR = (
    "The second moments of the features are singular, or nearly, at their precision: at lam = 0 the least-squares "
    "classifier needs their rank; ask for omega=True, or give lam > 0."
)


class NotFiniteError(ValueError):
    """The squares of the features, or the last layer, are infinite or NaN."""


class Numbers(dict[str, float]):
    """Numbers by the names of their definitions, and as attributes what is no single number.

    Attributes:
        reasons: why a number is NaN, and why values of omega are infinite or 0, by the number's name ("omega").
        certificate: floors, precision, ranks.
        omega: (K,) the singular values of the SNR matrix, descending, or None unless asked for.
        snr_right: (C, K) their right singular vectors, likewise, for up to FEW_CLASSES classes.

    Example:
        >>> import torch
        >>> from central_path.torch import NeuralCollapse
        >>> metric = NeuralCollapse(num_classes=3)
        >>> metric.update(torch.ones(30, 4), torch.arange(30) % 3)  # every example has the same features
        >>> found = metric.compute(omega=True)  # Numbers
        >>> found["nc1/papyan2020"], found.reasons["nc1/papyan2020"]
        (nan, 'All class means coincide to the precision of the features.')
    """

    def __init__(
        self,
        values: dict[str, float],
        reasons: dict[str, str],
        certificate: Certificate,
        omega: np.ndarray | None = None,
        snr_right: np.ndarray | None = None,
    ):
        super().__init__(values)
        self.reasons, self.certificate, self.omega, self.snr_right = reasons, certificate, omega, snr_right

    def __reduce__(self) -> Any:
        return Numbers, (dict(self), self.reasons, self.certificate, self.omega, self.snr_right)


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    return {NAMES.get(name, name): value for name, value in found.items()}


def numbers_of(
    statistics: ClassStatistics,
    W: Tensor | None,
    b: Tensor | None,
    lam: float,
    *,
    C: int,
    classes: list[int] | None = None,
    precision: str = "float64",
    omega: bool = False,
    losses: bool = True,
    **about: Any,
) -> Numbers:
    """All numbers of the features' statistics and a last layer W (C, P), b (C,); `about` goes into the certificate.

    Without `losses` none of L and its parts, which cost a solution of P equations.

    Raises:
        ValueError: as `NeuralCollapse.compute`.
    """
    present = (statistics.counts > 0).nonzero()[:, 0]
    n = int(statistics.counts.sum())
    if len(present) < 2:
        raise ValueError(
            f"Need at least 2 classes with examples, got {len(present)}: neural collapse compares classes."
        )
    whole = statistics.moments()
    m = Moments(whole.M[:, present], whole.Sigma_W, whole.pi[present])
    if not bool(torch.isfinite(m.Sigma_W).all()):
        raise NotFiniteError("Need features whose squares are finite: divide the features by their largest entry.")
    W, b = _classifier(W, b, C, len(m.M), classes, m)
    rounding = Rounding.of(m, eps_of(precision))
    spread = resolved.between(m, rounding)
    more = {"last_layer": W, "variances": statistics.variances[present]}
    values, reasons = measurement.collapse_of(m, None if W is None else W[present], spread, **more)
    if W is not None:
        columns, why = measurement.collapse_of_columns(W.T, 0.0, "A row of W is 0")
        values |= {f"{name}_classifier": value for name, value in columns.items()}
        reasons |= {f"{name}_classifier": reason for name, reason in why.items()}
    parts, why, classifiers = {}, {}, {}
    if losses:
        parts, why, classifiers = _losses(W, b, _with_absent(m, present, whole), rounding, lam, n=n, eigen=omega)
    r2 = certificate.rounding_variance(m, precision)
    found = certificate.floors(m, r2, spread, n=n, classifiers=classifiers)
    spectrum = resolved.snr(spread, rounding, n=n, vectors=len(whole.pi) <= FEW_CLASSES) if omega else None
    values, reasons = values | parts, reasons | why
    if spectrum is not None:
        reasons |= measurement.why_omega(spectrum, spread, len(m.M), n - len(present))
        values |= {"omega_max": float(spectrum.omega[0]), "omega_min": float(spectrum.omega[-1])}
    said = Certificate(
        precision=precision,
        eps=eps_of(precision),
        n=n,
        smallest_class=int(statistics.counts[present].min()),
        empty_classes=len(statistics.counts) - len(present),
        rank_between=spread.rank,
        condition_between=spread.condition,
        rank_within=None if spectrum is None else spectrum.rank,
        floors=_renamed({name: floor for name, floor in found.items() if name in values}),
        sampling=_renamed(certificate.sampling(values, n=n, C=len(present), P=len(m.M))),
        **about,
    )
    values_of_omega = None if spectrum is None else spectrum.omega
    return Numbers(_renamed(values), _renamed(reasons), said, values_of_omega, _right(spectrum, present, whole))


def _right(spectrum: resolved.SNR | None, present: Tensor, whole: Moments) -> np.ndarray | None:
    """Right singular vectors, 0 for classes without examples."""
    if spectrum is None or spectrum.V is None:
        return None
    V = np.zeros((len(whole.pi), spectrum.V.shape[1]))
    V[present.cpu().numpy()] = spectrum.V
    return V


def _with_absent(m: Moments, present: Tensor, whole: Moments) -> Moments:
    """Moments of all classes: the mean of one without examples, which counts nowhere, is the global one."""
    if len(present) == len(whole.pi):
        return m
    M = m.mu_G[:, None].repeat(1, len(whole.pi))
    M[:, present] = m.M
    return Moments(M, whole.Sigma_W, whole.pi)


def _classifier(
    W: Tensor | None, b: Tensor | None, C: int, P: int, classes: list[int] | None, m: Moments
) -> tuple[Tensor | None, Tensor | None]:
    """The last layer on the device of the moments, its rows those of the classes that are measured."""
    if W is None:
        if b is not None:
            raise ValueError("Need W with b, got b alone: give both, or neither.")
        return None, None
    if W.shape != (C, P) or (b is not None and b.shape != (C,)):
        raise ValueError(
            f"Need weight of shape {(C, P)} and bias of shape {(C,)} for {C} classes and features of width {P}, got "
            f"{tuple(W.shape)} and {None if b is None else tuple(b.shape)}: give the last layer of the network."
        )
    if not all(bool(value.isfinite().all()) for value in (W, b) if value is not None):
        raise NotFiniteError("Need a finite last layer, got NaN or infinite entries: the network has diverged.")
    rows = slice(None) if classes is None else torch.tensor(classes, device=W.device)
    return W[rows].to(m.M.device), None if b is None else b[rows].to(m.M.device)


def _losses(
    W: Tensor | None, b: Tensor | None, m: Moments, rounding: Rounding, lam: float, *, n: int, eigen: bool
) -> tuple[dict[str, float], dict[str, str], dict[str, Tensor]]:
    """L and its parts (without W those of the least-squares classifier), reasons, and the classifier behind each."""
    if not lam >= 0:
        raise ValueError(f"Need lam >= 0, got lam = {lam}: a negative weight decay has no minimiser.")
    bias = W is None or b is not None
    values: dict[str, float] = {}
    classifiers: dict[str, Tensor] = {}
    offset = torch.zeros_like(m.pi) if b is None else b
    if W is not None:
        values["loss"], classifiers["loss"] = float(decomposition.loss(W, offset, m, lam=lam)), W
    solve = _solver(m, rounding, lam, bias=bias, n=n, eigen=eigen)
    names = PARTS if W is not None else PARTS[:2]
    if solve is None:
        return values | dict.fromkeys(names, np.nan), dict.fromkeys(names, SINGULAR), classifiers
    W_LS, b_LS = decomposition.least_squares(m, lam=lam, bias=bias, solve=solve)
    given = (W_LS, b_LS if bias else offset) if W is None else (W, offset)
    parts = measurement.parts_of_loss(*given, m, lam=lam, bias=bias, solve=solve)
    classifiers |= {"loss_nc1": W_LS, "loss_nc23": W_LS}
    if W is not None:
        classifiers["loss_ls_perp"] = W
    return values | {name: parts[name] for name in names}, {}, classifiers


def _solver(m: Moments, rounding: Rounding, lam: float, *, bias: bool, n: int, eigen: bool) -> Solve | None:
    """S^(-1) B, worked out once; None where it needs an eigendecomposition that was not asked for."""
    P = len(m.mu_G)
    S = m.Sigma_T if bias else m.Sigma_T + torch.outer(m.mu_G, m.mu_G)
    if lam > P * DOUBLE * float(torch.trace(S)):  # as in `measurement.solver`: the solution is unique
        solve: Solve | None = torch.linalg.solve
    elif eigen:
        solve = measurement.solver(m, rounding, lam, bias=bias, n=n)
    else:
        solve = _by_cholesky(S, rounding)
    if solve is None:
        return None
    known: list[Tensor] = []

    def once(S: Tensor, B: Tensor) -> Tensor:
        if not known:
            known.append(solve(S, B))
        return known[0]

    return once


def _by_cholesky(S: Float[Tensor, "P P"], rounding: Rounding) -> Solve | None:
    """S^(-1) B where the features surely resolve all of S; otherwise None.

    With the correlations R = L L^T, the smallest eigenvalue is at least 1/|R^(-1)|_1, to be compared with the rounding
    along any direction, as in `resolved`.
    """
    variance = torch.diagonal(S)
    if not bool((variance > rounding.total).all()):
        return None
    scale, P = variance.sqrt(), len(S)
    scaled = rounding.scaled(scale, variance > 0)
    L, failed = torch.linalg.cholesky_ex(S / (scale[:, None] * scale[None, :]))
    if int(failed):
        return None
    least = 1 / float(torch.cholesky_inverse(L).abs().sum(dim=0).max())
    if not least > float((scaled.own + P * scaled.shared).max()) + P * P * DOUBLE:
        return None
    return lambda _, B: torch.cholesky_solve(B / scale[:, None], L) / scale[:, None]
