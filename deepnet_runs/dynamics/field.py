"""The field test: the velocity of a network's features beside that of each model of neural collapse.

At one checkpoint, with the classifier that is best for the features (the central path), let G = grad_H L_LS. Gradient
flow on the network's parameters moves the features at dH/dt = -Theta G. Its A = U^T (dSNR/dt) V (`snr_frame`) is
compared with that of

    free            dH/dt = -G: the unconstrained-features premise, Theta = I
    class_means     dH/dt = -G_M, the class-mean part of G: a kernel that moves class means only
    block           dH/dt = -(a G_M + w G_E), a = <Theta G_M, G_M>/|G_M|^2 and w the same of the within-class part
    block_best      the same with the ratio b = w/a that agrees best
    law_0, 1, 2     A = diag of the laws' rates (1/N)(1 + omega^2/C)^k omega/(C + omega^2)^2, balanced classes
    sample_kernel   dH/dt = -K G, K = tr_P Theta/P: one kernel between examples for every feature direction
    common_factor   A = diag(omega), as law_2: every omega grows by one factor, whatever its cause

and with random velocities. For any class sizes and decay G = (1/n) W_LS^T (W_LS h + b_LS - y), because L is stationary
at the least-squares classifier.

Source: Han, Papyan & Donoho (2022), Eq. 5; Mixon et al. (2020) for unconstrained features; Seleznova et al. (2023) for
the block kernel. The test is this project's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from central_path.metrics.decomposition import least_squares
from deepnet_runs.dynamics import agreement
from deepnet_runs.dynamics.agreement import Agreement, Match
from deepnet_runs.dynamics.snr_frame import SNRFrame, class_means, moments_of

LAWS = {"law_0": 0, "law_1": 1, "law_2": 2}
MODELS = ("free", "class_means", "block", "block_best", *LAWS, "sample_kernel", "common_factor")
DRAWS = 1000  # random velocities
Features = Float[np.ndarray, "n P"]


def gradient(H: Features, labels: Int[np.ndarray, " n"], lam: float = 0.0) -> Features:
    """grad_H L_LS of features with labels 0 to C - 1 and weight decay lam of the last layer.

    Raises:
        ValueError: if lam < 0.
    """
    m = moments_of(H, labels)
    W, b = least_squares(m, lam=lam)
    residual = H @ W.T + b
    residual[np.arange(len(H)), labels] -= 1
    return residual @ W / len(H)


@dataclass(frozen=True)
class Velocity:
    """The gradient in its parts about the global mean, and what the kernel makes of each.

    Attributes:
        means: G_M (n, P), the class means of G about its mean.
        within: G_E (n, P), deviations from class means.
        of_means: Theta G_M.
        of_within: Theta G_E.
        of_overall: Theta of the mean of G.
        of_sample_kernel: K G of each draw of K, (m, n, P), or None.
    """

    means: Features
    within: Features
    of_means: Features
    of_within: Features
    of_overall: Features
    of_sample_kernel: Float[np.ndarray, "m n P"] | None = None

    @property
    def total(self) -> Features:
        """dH/dt = -Theta G."""
        return -(self.of_overall + self.of_means + self.of_within)


@dataclass(frozen=True)
class Field:
    """What the field test finds at one checkpoint. A number that does not exist is NaN.

    Attributes:
        n: examples.
        C: classes.
        P: feature dimension.
        lam: weight decay of the last layer in L_LS.
        rank_within: rank of Sigma_W.
        signal_lost: share of |Mbar|^2 outside the range of Sigma_W.
        omega: (K,) singular values of the SNR matrix, descending.
        rates: (K, K) A of the network.
        turning: share of |A|^2 off the diagonal.
        outside: share of |(dSNR/dt) V|^2 outside the span of U.
        residual_share: share of |A|^2 that is left when diag(omega) is projected out.
        velocity_cosine: cos(V, -G) in feature space: 1 if features are free.
        rate_means: a = <Theta G_M, G_M>/|G_M|^2.
        rate_within: the same of G_E.
        b: rate_within/rate_means.
        leak_means: share of |Theta G_M|^2 in deviations from class means.
        leak_within: share of |Theta G_E|^2 in class means.
        mobility: exponent k over the directions.
        mobility_error: its standard error over the directions.
        mobility_directions: how many directions grow.
        models: by name, the agreement of each.
        random: median and 95 % quantile of |cosine| of random velocities with A: whole, residual.
    """

    n: int
    C: int
    P: int
    lam: float
    rank_within: int
    signal_lost: float
    omega: list[float]
    rates: list[list[float]]
    turning: float
    outside: float
    residual_share: float
    velocity_cosine: float
    rate_means: float
    rate_within: float
    b: float
    leak_means: float
    leak_within: float
    mobility: float
    mobility_error: float
    mobility_directions: int
    models: dict[str, Agreement]
    random: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """The keys of a line of field.jsonl, less the epoch."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return own | {"models": {name: found.to_dict() for name, found in self.models.items()}}

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> "Field":
        """The field of a line; null is NaN.

        Raises:
            ValueError: if a key is missing.
        """
        missing = [f.name for f in fields(cls) if f.name not in line]
        if missing:
            raise ValueError(f"need {', '.join(missing)} in a line of field.jsonl")
        own: dict[str, Any] = {f.name: np.nan if line[f.name] is None else line[f.name] for f in fields(cls)}
        own["models"] = {
            name: Agreement(
                *(Match(**{k: np.nan if x is None else x for k, x in found[part].items()}) for part in PARTS),
                turning=np.nan if found["turning"] is None else found["turning"],
            )
            for name, found in line["models"].items()
        }
        return cls(**own)

    def __str__(self) -> str:
        rows = [f"{'':15}{'cosine':>8}{'error':>8}{'p':>8}   without the common factor: cosine, p"]
        for name, found in self.models.items():
            w, r = found.whole, found.residual
            rows.append(f"{name:15}{w.cosine:8.3f}{w.error:8.3f}{w.p:8.3f}{r.cosine:11.3f}{r.p:8.3f}")
        q = self.random
        head = (
            f"cos(V, -G) = {self.velocity_cosine:.3f}, b = {self.b:.3g}, turning {self.turning:.0%} of |A|^2, "
            f"{self.residual_share:.0%} of |A|^2 beyond the common factor, mobility exponent {self.mobility:.2f}"
        )
        chance = f"random velocities: |cosine| below {q['whole']['q95']:.3f} and {q['residual']['q95']:.3f} in 95 %"
        return "\n".join([head, *rows, chance])


PARTS = ("whole", "residual")


def quotient(X: Features, Y: Features) -> float:
    """<X, Y>/|Y|^2, NaN of nothing."""
    size = float(np.sum(Y**2))
    return float(np.sum(X * Y)) / size if size else np.nan


def share(X: Features, labels: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """Shares of |X|^2 in class means about the global mean, and in deviations from class means."""
    total = float(np.sum(X**2))
    if not total:
        return np.nan, np.nan
    M = class_means(X, labels)[labels]
    return float(np.sum((M - X.mean(axis=0)) ** 2)) / total, float(np.sum((X - M) ** 2)) / total


def law_rates(omega: Float[np.ndarray, " K"], k: int | float, C: int, N: int | None) -> Float[np.ndarray, "K K"]:
    """A of the law with exponent k; NaN unless classes are balanced."""
    if N is None:
        return np.full((len(omega), len(omega)), np.nan)
    return np.diag((1 + omega**2 / C) ** k * omega / (C + omega**2) ** 2 / N)


def compare(
    H: Features,
    labels: Int[np.ndarray, " n"],
    velocity: Velocity,
    *,
    lam: float = 0.0,
    draws: int = DRAWS,
    seed: int = 0,
) -> Field:
    """The field test of features and their velocity.

    Raises:
        ValueError: if the features have no omega.
    """
    frame = SNRFrame.of(H, labels)
    random = frame.random_rates(draws, np.random.default_rng(seed))
    C, N, omega = len(frame.pi), frame.N, frame.omega
    common = np.diag(omega)
    A = frame.rates(velocity.total)
    B, D = frame.rates(-velocity.means), frame.rates(-velocity.within)
    a, w = quotient(velocity.of_means, velocity.means), quotient(velocity.of_within, velocity.within)
    # The models' rates, each compared with A as it is and without the common factor.
    rates = {"free": B + D, "class_means": B, "block": a * B + w * D}
    rates |= {name: law_rates(omega, k, C, N) for name, k in LAWS.items()} | {"common_factor": common}
    rest, rest_random = agreement.without(A, common), agreement.without(random, common)
    models = {
        name: Agreement(
            agreement.match(A, X, random),
            agreement.match(rest, agreement.without(X, common), rest_random),
            agreement.turning(X),
        )
        for name, X in rates.items()
    }
    rest_B, rest_D = agreement.without(B, common), agreement.without(D, common)
    best = agreement.match_mixture(A, B, D, random)
    b = best.b if best.b is not None and np.isfinite(best.b) else 0.0
    models["block_best"] = Agreement(
        best, agreement.match_mixture(rest, rest_B, rest_D, rest_random), agreement.turning(B + b * D)
    )
    if velocity.of_sample_kernel is not None:
        each = np.stack([frame.rates(-KG) for KG in velocity.of_sample_kernel])
        models["sample_kernel"] = Agreement(
            _with_error(A, each, random, None),
            _with_error(rest, each, rest_random, common),
            agreement.turning(each.mean(axis=0)),
        )
    quantiles: dict[str, dict[str, float]] = {}
    for part, X, Y in (("whole", random, A), ("residual", rest_random, rest)):
        median, q95 = np.quantile(np.abs(agreement.cosine(X, Y)), [0.5, 0.95])
        quantiles[part] = {"median": float(median), "q95": float(q95)}
    k, k_error, grows = agreement.mobility(A, omega, C, N) if N is not None else (np.nan, np.nan, 0)
    G = velocity.means + velocity.within
    return Field(
        n=len(H),
        C=C,
        P=H.shape[1],
        lam=lam,
        rank_within=len(frame.s),
        signal_lost=frame.signal_lost,
        omega=omega.tolist(),
        rates=A.tolist(),
        turning=agreement.turning(A),
        outside=frame.outside(velocity.total),
        residual_share=float(np.sum(rest**2) / np.sum(A**2)),
        velocity_cosine=float(np.sum(velocity.total * -G) / np.linalg.norm(velocity.total) / np.linalg.norm(G)),
        rate_means=a,
        rate_within=w,
        b=w / a if a else np.nan,
        leak_means=share(velocity.of_means, labels)[1],
        leak_within=share(velocity.of_within, labels)[0],
        mobility=k,
        mobility_error=k_error,
        mobility_directions=grows,
        models={name: models[name] for name in MODELS if name in models},
        random=quantiles,
    )


def _with_error(
    A: np.ndarray, each: Float[np.ndarray, "m K K"], random: np.ndarray, factor: np.ndarray | None
) -> Match:
    """Of the mean of estimated rates, with the jackknife's standard error of the cosine."""
    m = len(each)

    def part(X: np.ndarray) -> np.ndarray:
        return X if factor is None else agreement.without(X, factor)

    left = (each.sum(axis=0) - each) / (m - 1)
    cosines = agreement.cosine(part(left), A)
    error = float(np.sqrt((m - 1) / m * np.sum((cosines - cosines.mean()) ** 2)))
    return replace(agreement.match(A, part(each.mean(axis=0)), random), cosine_error=error)
