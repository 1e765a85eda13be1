"""Neural collapse as the limit of the flows: Corollary 2 of Section 3.3, and Theorem 3, which announces it.

Every limit is approached: quantities are followed along full features over decades of time, their rates are fitted
together with the next orders, and the values are compared with those of the explicit dynamics. The explicit dynamics
keep the singular vectors of the start and move its singular values by the law.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from central_path.flows import AbstractFlow
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.extrapolation import fitted_rate
from theory_checks.framework.paths import EQUATION_5, PATH_REASON, PATH_TOLERANCE, Path, follow
from theory_checks.framework.registry import Draw, Finding, claim, identity, refutation

POWER = {"riemannian": 0.25, "renormalized": 0.5}  # omega ~ t^power
BEGIN, END = 1e4, 1e8  # of the times over which rates are fitted
LATEST = 1e11  # where the rules of NC4 differ on one point in 1e9 or less
NEW_POINTS = 500
RATES = {
    "nc1": lambda power: -2 * power,
    "equinorm": lambda power: -1.0,
    "equiangularity": lambda power: -1.0,
    "max_angle": lambda power: -1.0,
    "self_duality": lambda power: -2.0,
}
RATE_TOLERANCE = 5e-4
RATE_REASON = "orders beyond those fitted, and log t/t, over four decades"


def _late(rng: np.random.Generator, flow: AbstractFlow, t_max: float) -> Path:
    """A path far beyond the onset of growth."""
    omega0 = rng.uniform(0.7, 1.4) * np.array([3.0, 2.0, 1.0])
    return follow(instances.with_snr(rng, instances.GENERIC, omega0), flow, t_max=t_max)


def _window(path: Path) -> list[int]:
    """Indices of the times over which rates are fitted."""
    return np.flatnonzero((path.ts >= BEGIN) & (path.ts <= END)).tolist()


def _measured(X: np.ndarray, h: np.ndarray | None = None) -> dict[str, float]:
    """The package's metrics of features (P, C, N); NC4 on new points (n, P), or on the examples."""
    return compiled.metrics_of(compiled.moments_of(X), compiled.samples(X)[0] if h is None else h)


def of_means(Mbar: np.ndarray) -> dict[str, float]:
    """NC1 to NC3 at Sigma_W = I from class means (P, C) alone, with W_LS by its formula."""
    P, C = Mbar.shape
    W = np.linalg.solve(np.eye(P) + Mbar @ Mbar.T / C, Mbar).T / C
    metrics = definitions.collapse_metrics(Mbar, W, np.full(C, 1 / C), np.zeros((1, P)))
    return metrics | {"nc1": float(np.sum(np.linalg.svd(Mbar, compute_uv=False)[: C - 1] ** -2.0))}


def _predicted(path: Path, i: int) -> np.ndarray:
    """Class means (P, C) of the explicit dynamics at time i: the law's omega between the start's singular vectors."""
    aligned, C = definitions.align(path.X[0]), path.X.shape[2]
    omega = np.asarray(path.law.omega(path.ts[i], path.omega[0]))
    return (aligned.U[:, : C - 1] * omega) @ aligned.V[:, : C - 1].T


def _rule_changes(X: np.ndarray, h: np.ndarray) -> float:
    """Share of new points h, at the scale of the class means of X, on which classifier and nearest center differ."""
    size = np.linalg.norm(X.mean(axis=2), axis=0).mean()
    return _measured(X, size * h)["ncc_mismatch"]


@claim(
    "Corollary 2",
    source="Section 3.3, Corollary 2, Equations 10 and 11",
    expected="holds as amended",
    statement="SNR_t/omega_max(t) -> U0 V0^T, and the renormalized features over omega_max(t) -> (U0 V0^T) kron "
    "1_N^T; (NC1) to (NC4) occur.",
    amendment="If the class means are affinely independent at the start: omega_j = 0 stays 0.",
    assumptions="Flows with k < 2 (`riemannian` and `renormalized`).",
    fault="U0 V0^T of the features before renormalization; rates of metrics that stay; NC4 at the start.",
    figure="growth",
)
def corollary_2(draw: Draw) -> Iterator[Finding]:
    """Full features followed far into collapse: the distances from the limits, the rates at which they fall, NC4."""
    for _ in range(draw.repeats):
        for flow in EQUATION_5:
            name, power = flow.name, POWER[flow.name]
            path = _late(draw.rng, flow, END)
            window = _window(path)
            yield from _limits(path, window, name)
            metrics = [_measured(path.X[i]) for i in window]
            for metric, rate in RATES.items():
                found = fitted_rate(path.ts[window], np.array([m[metric] for m in metrics]), step=2 * power)
                yield identity(
                    f"rate of {metric}, {name}",
                    found,
                    rate(power),
                    fault=rate(power) + found,
                    tolerance=RATE_TOLERANCE,
                    reason=RATE_REASON,
                    of="amended",
                )
            last, h = _late(draw.rng, flow, LATEST), draw.rng.standard_normal((NEW_POINTS, len(path.X[0])))
            yield identity(
                f"NC4: new points on which the rules differ, {name}",
                _rule_changes(last.X[-1], h),
                0.0,
                fault=_rule_changes(last.X[0], h),
                scale=1.0,
                reason=" counts",
                of="amended",
            )
            yield refutation(f"max_angle from class means on a line, {name}", _on_a_line(draw.rng, flow), at_least=0.05)


def _limits(path: Path, window: list[int], name: str) -> Iterator[Finding]:
    """Equations 10 and 11: distances from the limits at the times of the window, and their rates."""
    _, _, C, N = path.X.shape
    aligned = definitions.align(path.X[0])
    limit = aligned.U[:, : C - 1] @ aligned.V[:, : C - 1].T
    mixed = np.einsum("pq,qcn->pcn", np.diag(np.geomspace(1.0, 5.0, len(limit))), path.X[0])
    U, _, V = definitions.svd_of_snr(definitions.statistics_of(mixed).Mbar)
    wrong = U[:, : C - 1] @ V[:, : C - 1].T
    law = np.stack([np.asarray(path.law.omega(path.ts[i], path.omega[0])) for i in window])
    compare = partial(identity, reason=PATH_REASON, of="amended")
    scaled = [definitions.align(path.X[i]).snr / path.omega[i, 0] for i in window]
    distance, fault = (np.array([np.linalg.norm(A - end, 2) for A in scaled]) for end in (limit, wrong))
    yield compare(
        f"Equation 10: distance from the limit, against the law's 1 - min/max, {name}",
        distance,
        1 - law[:, -1] / law[:, 0],
        fault=fault,
        tolerance=1e-5,
    )
    compare_rates = partial(identity, tolerance=RATE_TOLERANCE, reason=RATE_REASON, of="amended")
    found, still = (fitted_rate(path.ts[window], x, step=2 * POWER[path.flow.name]) for x in (distance, fault))
    yield compare_rates(f"Equation 10: rate of the distance, {name}", found, -1.0, fault=found - still - 1.0)
    ends = [np.kron(end, np.ones((1, N))) for end in (limit, wrong)]
    stacked = [definitions.stack(path.X[i]) / path.omega[i, 0] for i in window]
    distance, fault = (np.array([np.linalg.norm(A - end) for A in stacked]) for end in ends)
    E = path.X[0] - path.X[0].mean(axis=2, keepdims=True)
    expected = np.sqrt(np.sum(E**2) + N * np.sum((law - law[:, :1]) ** 2, axis=1)) / law[:, 0]
    yield compare(
        f"Equation 11: distance from the limit, against that of frozen deviations and the law, {name}",
        distance,
        expected,
        fault=fault,
        tolerance=PATH_TOLERANCE,
    )
    found, still = (fitted_rate(path.ts[window], x, step=2 * POWER[path.flow.name]) for x in (distance, fault))
    rate = -POWER[path.flow.name]
    yield compare_rates(f"Equation 11: rate of the distance, {name}", found, rate, fault=found - still + rate)


def _on_a_line(rng: np.random.Generator, flow: AbstractFlow) -> float:
    """NC2's max_angle at the end of the flow from class means on a line, of which all but one omega_j are 0."""
    line = instances.with_snr(rng, instances.GENERIC, np.array([2.0, 0.0, 0.0]))
    C, N, _ = instances.GENERIC
    return _measured(follow(line, flow, t_max=20.0 * C**2 * N, saves=3).X[-1])["max_angle"]


@claim(
    "Theorem 3",
    source="Section 3, Theorem 3",
    expected="holds as amended",
    statement="Under continually renormalized gradient flow from features with zero global mean, Neural Collapse "
    "emerges on the renormalized features, with explicit dynamics.",
    amendment="If the class means are affinely independent at the start, so that all omega_j(0) > 0: omega_j = 0 stays "
    "0. Rates: NC1 ~ t^(-1/2) for `riemannian`, t^(-1) for `renormalized`; NC2 ~ t^(-1) for both.",
    assumptions="Balanced classes, with the bias, Sigma_W = I, P > C.",
    fault="the law of the other flow.",
)
def theorem_3(draw: Draw) -> Iterator[Finding]:
    """Metrics of full features along the flow, against those of the explicit dynamics; class means on a line."""
    for _ in range(draw.repeats):
        for flow, not_it in zip(EQUATION_5, EQUATION_5[::-1], strict=True):
            name, path = flow.name, _late(draw.rng, flow, END)
            other = path._replace(flow=not_it)
            window = _window(path)[::4]
            measured = [_measured(path.X[i]) for i in window]
            right, wrong = ([of_means(_predicted(p, i)) for i in window] for p in (path, other))
            for metric in ("nc1", "equinorm", "equiangularity", "max_angle", "self_duality"):
                found, expected, fault = (np.array([m[metric] for m in way]) for way in (measured, right, wrong))
                yield identity(
                    f"{metric} along the flow, against the explicit dynamics, {name}",
                    found,
                    expected,
                    fault=fault,
                    tolerance=1e-5,
                    reason=PATH_REASON + ", over the smallest share of a metric in what it is computed from",
                    of="amended",
                )
            yield refutation(f"max_angle from class means on a line, {name}", _on_a_line(draw.rng, flow), at_least=0.05)
