"""Neural collapse at the end of the flows: Corollary 2 and Theorem 3."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from theory_checks import compiled, definitions, instances
from theory_checks.paths import PATH_REASON, PATH_TOLERANCE, Path, fitted_slope, follow
from theory_checks.registry import Draw, Finding, claim, identity, refutation

POWER = {0: 0.25, 1: 0.5}  # omega ~ t^power
LATE = {0: 1e8, 1: 1e6}  # omega^2 is then some thousands
SLOPE_REASON = "the next order, a few C/omega^2 < 1e-2, over a decade and a half"


def _late(rng: np.random.Generator, k: int) -> Path:
    """A path far beyond the onset of growth."""
    H = instances.with_snr(rng, instances.GENERIC, np.array([3.0, 2.0, 1.0]))
    return follow(H, k, t_max=LATE[k])


def _ends(path: Path) -> tuple[np.ndarray, list[dict[str, float]]]:
    """The last decade and a half of a path: times, and the collapse metrics of the flow's own features."""
    chosen = np.flatnonzero(path.ts > path.ts[-1] / 30)
    metrics = [compiled.metrics_of(compiled.moments_of(path.X[i]), compiled.samples(path.X[i])[0]) for i in chosen]
    return path.ts[chosen], metrics


RATES = {
    "nc1": lambda k: -2 * POWER[k],
    "equinorm": lambda k: -1.0,
    "equiangularity": lambda k: -1.0,
    "max_angle": lambda k: -1.0,
    "self_duality": lambda k: -2.0,
}


@claim(
    "Corollary 2",
    source="Section 3.3, Corollary 2, Equations 10 and 11",
    statement="SNR_t/omega_max(t) -> U0 V0^T, and the renormalized features over omega_max(t) -> (U0 V0^T) kron "
    "1_N^T; (NC1) to (NC4) occur.",
    assumptions="Flows with k < 2 (`riemannian` and `renormalized`), all omega_j(0) > 0.",
    fault="U0 V0^T of the features before renormalization; rates of a flow that keeps all ratios of omega.",
    figure="growth",
)
def corollary_2(draw: Draw) -> Iterator[Finding]:
    """Full features integrated far into collapse: the distance from the limits, and the rate at which it falls."""
    for _ in range(draw.repeats):
        for k, name in ((0, "riemannian"), (1, "renormalized")):
            path = _late(draw.rng, k)
            _, _, C, N = path.X.shape
            aligned = definitions.align(path.X[0])
            limit = aligned.U[:, : C - 1] @ aligned.V[:, : C - 1].T
            mixed = np.einsum("pq,qcn->pcn", np.diag(np.geomspace(1.0, 5.0, len(limit))), path.X[0])
            before = definitions.svd_of_snr(definitions.statistics_of(mixed).Mbar)
            wrong = before[0][:, : C - 1] @ before[2][:, : C - 1].T
            X, omega = path.X[-1], path.omega[-1]
            law = np.asarray(path.law.omega(path.ts[-1], path.omega[0]))
            distance, fault = (np.linalg.norm(definitions.align(X).snr / omega[0] - end, 2) for end in (limit, wrong))
            kwargs: dict[str, Any] = {"tolerance": PATH_TOLERANCE, "reason": PATH_REASON}
            yield identity(
                f"Equation 10: distance from the limit, against the law's 1 - min/max, {name}",
                distance,
                1 - law[-1] / law[0],
                fault=fault,
                scale=1.0,
                **kwargs,
            )
            E = definitions.stack(path.X[0] - path.X[0].mean(axis=2, keepdims=True))
            ends = (end @ np.kron(np.eye(C), np.ones((1, N))) + E / law[0] for end in (limit, wrong))
            shrink = (1 - law[-1] / law[0]) / PATH_TOLERANCE
            right, bad = ends
            yield identity(
                f"Equation 11: X/omega_max less E(0)/omega_max, against the limit, {name}",
                definitions.stack(X) / omega[0],
                right,
                fault=bad,
                scale=1.0,
                tolerance=PATH_TOLERANCE * max(1.0, 1.5 * shrink),
                reason="the law's 1 - min/max at the last time, which is the limit's own distance",
            )
            ts, metrics = _ends(path)
            ratio_kept = [m | {"nc1": metrics[0]["nc1"]} for m in metrics[:1] * len(metrics)]
            for metric, rate in RATES.items():
                slope = fitted_slope(ts, np.array([m[metric] for m in metrics]))
                still = fitted_slope(ts, np.array([m[metric] for m in ratio_kept]))
                yield identity(
                    f"rate of {metric}, {name}",
                    slope,
                    rate(k),
                    fault=rate(k) + slope - still,
                    scale=1.0,
                    tolerance=0.04,
                    reason=SLOPE_REASON,
                )
            yield identity(
                f"NC4: ncc_mismatch at the end, {name}",
                metrics[-1]["ncc_mismatch"],
                0.0,
                fault=1 / len(X[0]),
                scale=1.0,
                reason=" counts",
            )


@claim(
    "Theorem 3",
    source="Section 3, Theorem 3",
    expected="holds as amended",
    statement="Under continually renormalized gradient flow from features with zero global mean, Neural Collapse "
    "emerges on the renormalized features.",
    amendment="If all omega_j(0) > 0, which needs affinely independent class means and P >= C - 1: omega_j = 0 stays "
    "0. Rates: NC1 ~ t^(-1/2) for `riemannian`, t^(-1) for `renormalized`; NC2 ~ t^(-1) for both.",
    assumptions="Balanced classes, with the bias, Sigma_W = I.",
    fault="class means on a line, two of whose omega_j are 0.",
)
def theorem_3(draw: Draw) -> Iterator[Finding]:
    """The law's end state from full features; and the same flow from class means on a line."""
    for _ in range(draw.repeats):
        line = instances.with_snr(draw.rng, instances.GENERIC, np.array([2.0, 1e-12, 1e-12]))
        for k, name in ((0, "riemannian"), (1, "renormalized")):
            path = _late(draw.rng, k)
            law = np.asarray(path.law.omega(path.ts[-1], path.omega[0]))
            end = compiled.metrics_of(compiled.moments_of(path.X[-1]), compiled.samples(path.X[-1])[0])
            expected = np.sum(law**-2.0)
            stuck = follow(line, k, t_max=300.0)
            away = compiled.metrics_of(compiled.moments_of(stuck.X[-1]), compiled.samples(stuck.X[-1])[0])
            yield identity(
                f"NC1 at the end, against sum 1/omega^2 of the law, {name}",
                end["nc1"],
                expected,
                fault=away["nc1"],
                tolerance=PATH_TOLERANCE,
                reason=PATH_REASON,
            )
            spread = law[0] / law[-1] - 1
            nc2 = max(end[metric] for metric in ("equinorm", "equiangularity", "max_angle"))
            worst = max(away[metric] for metric in ("equinorm", "equiangularity", "max_angle"))
            yield identity(
                f"NC2 at the end, beyond 2 (max/min omega - 1), {name}",
                max(0.0, nc2 - 2 * spread),
                0.0,
                fault=worst,
                scale=1.0,
                tolerance=PATH_TOLERANCE,
                reason=PATH_REASON,
            )
            yield refutation(f"max_angle from class means on a line, {name}", away["max_angle"], at_least=0.1)
            yield refutation(
                f"omega_1/omega_2 from class means on a line, {name}",
                stuck.omega[-1, 0] / stuck.omega[-1, 1],
                at_least=1e6,
            )
