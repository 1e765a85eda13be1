"""What `central_path.measure` returns: NC1 to NC4, omega and the decomposition of the loss, of features as they come.

Every number has its definition from one place: omega and ranks from `resolved`, NC1 to NC4 from `collapse`, the loss
from `decomposition`. What exists is returned. What does not exist is NaN, and what is infinite or 0 because the
features do not vary is so; the reason stands in `reasons` under the name of the number.

NumPy only: nothing is compiled, and JAX is not imported.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from central_path.metrics import catalogue, collapse
from central_path.metrics.arrays import is_one_hot, plain, read_features, read_labels
from central_path.metrics.decomposition import Solve, decompose, least_squares
from central_path.metrics.namespace import namespace
from central_path.metrics.resolved import DOUBLE, SNR, Between, Rounding, between, resolved_range, snr
from central_path.metrics.samples import check_lengths, moments_of_rows, variances_of_rows
from central_path.metrics.snr import Moments

Reasons = dict[str, str]
GRADED = (
    "Class means differ along one direction by a length of which that along another is less than the rounding of "
    "float64: scale the coordinates."
)


@dataclass(frozen=True)
class Measurement(Mapping[str, Any]):
    """NC1 to NC4, omega and the loss in its parts; each number also by its name, as `found["nc1"]`.

    `omega` has min(P, C - 1) values in descending order, where C is the number of classes with examples. `reasons` says
    for a number that is NaN, and for values of omega that are infinite or 0, why it is so. `classifier` is "given",
    "given, without bias" or "least squares". `further` has the metrics of the `catalogue` by their names, by which
    `found["..."]` finds them too.
    """

    loss: float
    loss_nc1: float
    loss_nc23: float
    loss_ls_perp: float
    omega: Float[np.ndarray, " K"]
    nc1: float
    equinorm: float
    equiangularity: float
    max_angle: float
    self_duality: float
    ncc_mismatch: float
    rank_within: int
    rank_between: int
    classifier: str
    reasons: Reasons
    further: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """All numbers, `classifier` and `reasons` by their names."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "further"}
        return own | dict(self.further)

    def __getitem__(self, name: str) -> Any:
        found = self.to_dict()
        if name not in found:
            raise KeyError(f"Need one of {', '.join(self)}, got {name!r}.")
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


def measure(
    features: Any, labels: Any, *, W: Any = None, b: Any = None, lam: float = 0.0, C: int | None = None
) -> Measurement:
    """As `central_path.measure`."""
    # Features and labels in whatever form they come; classes without examples stay out of the moments.
    (rows, eps), given = read_features(features), read_labels(labels)
    check_lengths(rows, given)
    one_hot, _ = plain(labels)
    C = one_hot.shape[1] if C is None and is_one_hot(one_hot) else C
    weights = None if W is None else read_classifier(W, "W", 2)
    codes, present, C = numbered(given, C, None if weights is None else len(weights))
    m = moments_of_rows(rows, codes, len(present))
    if not np.isfinite(m.Sigma_W).all():
        raise ValueError(
            f"Need features whose squares are finite, got entries up to {np.abs(rows).max():.3g}: "
            "divide the features by their largest entry."
        )
    # The classifier: given, or the one of least squares, of all C outputs.
    rounding, whole = Rounding.of(m, eps), with_absent(m, present, C)
    bias = weights is None or b is not None
    solve = solver(whole, rounding, lam, bias=bias, n=len(rows))
    if weights is None:
        if b is not None:
            raise ValueError("Need W with b, got b alone: give both, or neither for the classifier of least squares.")
        weights, offset = least_squares(whole, lam=lam, solve=solve)
        classifier = "least squares"
    else:
        offset = read_classifier(b, "b", 1) if b is not None else np.zeros(len(weights))
        classifier = "given" if bias else "given, without bias"
    P = rows.shape[1]
    if weights.shape != (C, P) or offset.shape != (C,):
        raise ValueError(
            f"Need W of shape {(C, P)} and b of shape {(C,)} for {C} classes, got {weights.shape} and {offset.shape}: "
            "give a row of W for every class; labels that are 0 to C - 1 may leave classes out."
        )
    # The loss and NC4 are about the outputs, omega and NC1 to NC3 about the classes that have examples.
    parts = parts_of_loss(weights, offset, whole, lam=lam, bias=bias, solve=solve)
    decided = collapse.decide_by_classifier(weights, offset, rows)
    nearest = present[collapse.decide_by_center(m.M, rows)]
    spread = between(m, rounding)
    spectrum = snr(spread, rounding, n=len(rows))
    more = {"last_layer": weights, "variances": variances_of_rows(rows, codes, m)}
    numbers, reasons = collapse_of(m, weights[present], spread, **more)
    further = {name: numbers.pop(name) for name in catalogue.METRICS}
    reasons |= why_omega(spectrum, spread, P, len(rows) - len(present))
    return Measurement(
        loss=sum(parts.values()),
        **parts,
        omega=spectrum.omega,
        **numbers,
        ncc_mismatch=float(np.mean(decided != nearest)),
        rank_within=spectrum.rank,
        rank_between=spread.rank,
        classifier=classifier,
        reasons=reasons,
        further=further,
    )


def read_classifier(values: Any, name: str, axes: int) -> np.ndarray:
    """A weight matrix or a bias in float64.

    Raises:
        ValueError: unless it is real and finite, with so many axes.
    """
    array, _ = plain(values)
    if array.ndim != axes or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        shape = "(C, P)" if axes == 2 else "(C,)"
        raise ValueError(
            f"Need {name} of shape {shape} with finite real entries, got shape {array.shape} of {array.dtype}: give "
            "the weight and bias of the last layer."
        )
    return array.astype(np.float64)


def numbered(
    labels: Shaped[np.ndarray, " n"], C: int | None, outputs: int | None
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " K"], int]:
    """Codes 0..K-1 of the K classes with examples, the number of each among all C classes, and C.

    Labels are names, numbered in sorted order, unless C is given, or W has another number of rows than there are names
    and all labels are integers below it: then they are the numbers of the classes.

    Raises:
        ValueError: for fewer than two classes with examples, or labels that are no numbers below C.
    """
    names, codes = np.unique(labels, return_inverse=True)
    K = len(names)
    if K < 2:
        raise ValueError(f"Need at least 2 classes, got {K}: neural collapse compares classes.")
    integers = names.dtype.kind in "iub"
    within = outputs if C is None else C
    are_numbers = within is not None and integers and int(names[0]) >= 0 and int(names[-1]) < within
    if within is not None and are_numbers and (C is not None or outputs != K):
        return codes, names.astype(np.int64), within
    if C is not None and not (C == K and not integers):
        raise ValueError(
            f"Need labels that are integers from 0 to C - 1 = {C - 1}, or C names, got {K} different ones from "
            f"{names[0]} to {names[-1]}: number the classes, or leave C out."
        )
    return codes, np.arange(K), K


def with_absent(m: Moments, present: Int[np.ndarray, " K"], C: int) -> Moments:
    """Moments of all C classes: those without examples have the prior 0, and a mean that counts nowhere."""
    if len(present) == C:
        return m
    M, pi = np.repeat(m.mu_G[:, None], C, axis=1), np.zeros(C)
    M[:, present], pi[present] = m.M, m.pi
    return Moments(M, m.Sigma_W, pi)


def solver(m: Moments, rounding: Rounding, lam: float, *, bias: bool, n: int) -> Solve | None:
    """For lambda = 0 the solution of least norm on what of the second moments the features resolve.

    So too for a lambda that the largest of the second moments rounds away; for any other the solution is unique: None.
    """
    second_moment = m.Sigma_T if bias else m.Sigma_T + namespace(m.M).outer(m.mu_G, m.mu_G)
    if lam > len(second_moment) * DOUBLE * float(second_moment.trace()):
        return None
    seen = resolved_range(second_moment, rounding, n=n)
    return lambda S, B: seen.solve(B)


def parts_of_loss(
    W: Float[Any, "C P"],
    b: Float[Any, " C"],
    m: Moments,
    *,
    lam: float,
    bias: bool,
    solve: Solve | None,
) -> dict[str, float]:
    """`loss_nc1`, `loss_nc23`, `loss_ls_perp`: sums of squares, which only rounding makes negative."""
    parts = decompose(W, b, m, lam=lam, bias=bias, solve=solve)
    return {name: max(0.0, float(value)) for name, value in zip(parts._fields, parts, strict=True)}


def why_omega(spectrum: SNR, spread: Between, P: int, most: int) -> Reasons:
    """Why singular values of the SNR matrix are infinite or 0; the rank of Sigma_W is at most `most` = n - C."""
    K, zeros, said = len(spectrum.omega), int(np.count_nonzero(spectrum.omega == 0)), []
    if spectrum.infinite:
        few = f", at most n - C = {most}" if most < P else ""
        said.append(
            f"infinite: {spectrum.infinite} of {K}, because class means differ along directions in which no example "
            f"differs from its class mean (rank of Sigma_W: {spectrum.rank} of P = {P}{few})"
        )
    if zeros:
        said.append(
            f"zero: {zeros} of {K}, because the class means span {spread.rank} dimensions (to the precision in which "
            "the features came)"
        )
    return {"omega": "; ".join(said)} if said else {}


def collapse_of(
    m: Moments, W: Float[Any, "K P"] | None, spread: Between, **more: Any
) -> tuple[dict[str, float], Reasons]:
    """`nc1`, `equinorm`, `equiangularity`, `max_angle`, `self_duality` and the `catalogue`'s metrics, and reasons.

    Without W none that needs it. `more` are the other arguments of the catalogue's metrics. This and
    `collapse_of_columns` take tensors of PyTorch too.
    """
    coincide = spread.rank == 0
    more |= {"m": spread.moments, "rank": spread.rank, "tolerance": spread.tolerance}
    further, undefined = catalogue.values(coincide=coincide, W=W, **more)
    if coincide:
        names = ("nc1", "equinorm", "equiangularity", "max_angle", *(() if W is None else ("self_duality",)))
        same = dict.fromkeys(names, catalogue.SAME)
        return dict.fromkeys(names, np.nan) | further, same | undefined
    numbers, reasons = {"nc1": float(collapse.nc1(m, rank=spread.rank, factor=(spread.U, spread.s)))}, {}
    if np.isnan(numbers["nc1"]):
        reasons["nc1"] = GRADED
    columns, why = collapse_of_columns(m.Mbar, spread.tolerance, "The mean of a class is the global mean")
    numbers, reasons = numbers | columns, reasons | why
    if W is not None and bool((W != 0).any()):
        numbers["self_duality"] = float(collapse.self_duality(W, m.Mbar))
    elif W is not None:
        numbers["self_duality"], reasons["self_duality"] = np.nan, "W is 0: it has no direction."
    return numbers | further, reasons | undefined


def collapse_of_columns(A: Float[Any, "P C"], tolerance: float, what: str) -> tuple[dict[str, float], Reasons]:
    """`equinorm`, `equiangularity`, `max_angle` of the columns of A; one of norm 0 has an angle with no other."""
    norms = namespace(A).linalg.norm(A, axis=0)
    if not norms.max() > tolerance:
        names = ("equinorm", "equiangularity", "max_angle")
        return dict.fromkeys(names, np.nan), dict.fromkeys(names, f"{what}, for all classes.")
    equinorm = float(collapse.equinorm(A))
    if norms.min() > tolerance:
        angles = float(collapse.equiangularity(A)), float(collapse.max_angle(A))
        return {"equinorm": equinorm, "equiangularity": angles[0], "max_angle": angles[1]}, {}
    why = f"{what} (number {int(norms.argmin())} of 0 to {len(norms) - 1}): its angle with the others is not defined."
    angles = ("equiangularity", "max_angle")
    return {"equinorm": equinorm, **dict.fromkeys(angles, np.nan)}, dict.fromkeys(angles, why)
