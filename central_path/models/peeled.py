"""The layer-peeled model of two groups of classes in four scalars, and the ratio at which the minority collapses.

In the logits Z (K x K, a column a class) the layer-peeled model is convex: the budgets on W and H say no more than
||Z||_* <= tau = K sqrt(E_W E_H). Symmetry within K_A classes of n_A examples and K_B classes of n_B leaves

    Z = a_A Pi_A + a_B Pi_B + e (d_A 1_A - d_B 1_B)^T,    e = K_B/K 1_A - K_A/K 1_B,    kappa^2 = ||e||^2 = K_A K_B/K

with Pi_A, Pi_B the centring within a group. d_A is how far a majority example's logits stand above the minority's. With
D^2 = K_A d_A^2 + K_B d_B^2, R = n_A/n_B and a class's shares p_A = R p_B = R/(R K_A + K_B), minimise

    K_A p_A l_A + K_B p_B l_B    subject to    (K_A - 1) a_A + (K_B - 1) a_B + kappa D = tau
    l_A = log(1 + (K_A - 1) e^-a_A + K_B e^(-a_A (1 - 1/K_A) - d_A)),    l_B likewise.

Let q1, q2 be the probabilities of another majority class and of a minority class on a majority example, r1, r2 those of
another minority class and of a majority class on a minority example, and nu the price of tau. At the minimum

    p_A (K_A q1 + K_B q2) = nu,    p_A K_B q2 = nu kappa d_A/D,    p_B K_A r2 = nu kappa d_B/D
    p_B (K_B r1 + K_A r2) = nu,    or a_B = 0 and p_B <= nu: the minority has collapsed.

At the threshold R* both hold: a_B = 0 and R* (K_A q1 + K_B q2) = 1. With small budgets there is a second one: from R0
on d_A = d_B = 0 and the minority classifiers vanish; there a_A = tau/(K_A - 1) and, at this a_A,

    R0^2 (K_A K_B/K (K_A q1 + K_B q2)^2 - K_A K_B^2 q2^2) = K_A^2 K_B/K^2, infinite where the left side is not positive.

Source: derived here; the problem is that of Fang, He, Long & Su (2021), arXiv 2101.12699.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import root

CLOSE = 1e-10  # of the equations of the minimum, relative to the largest share


class Scalars(NamedTuple):
    """The minimum: singular values within the groups a_A, a_B, distances between the groups d_A, d_B, the price nu."""

    a_A: float
    a_B: float
    d_A: float
    d_B: float
    nu: float


@dataclass(frozen=True)
class Peeled:
    """K_A classes with R times as many examples as K_B others, and tau = K sqrt(E_W E_H)."""

    K_A: int
    K_B: int
    R: float
    tau: float

    def __post_init__(self):
        """Refuse what the four scalars do not describe."""
        if min(self.K_A, self.K_B) < 2 or self.R < 1:
            raise ValueError(f"Need K_A >= 2, K_B >= 2 and R >= 1, got {self.K_A}, {self.K_B} and {self.R}.")

    @property
    def K(self) -> int:
        """Classes."""
        return self.K_A + self.K_B

    @property
    def kappa(self) -> float:
        """sqrt(K_A K_B/K)."""
        return float(np.sqrt(self.K_A * self.K_B / self.K))

    @property
    def shares(self) -> tuple[float, float]:
        """Of the examples, a majority and a minority class: p_A and p_B."""
        total = self.R * self.K_A + self.K_B
        return self.R / total, 1 / total

    def classes(self) -> Float[np.ndarray, " K"]:
        """Shares of all classes, the majority first."""
        return np.repeat(self.shares, (self.K_A, self.K_B))

    def D(self, d_A: float, d_B: float) -> float:
        """Norm of the distances between the groups."""
        return float(np.sqrt(self.K_A * d_A**2 + self.K_B * d_B**2))

    @cached_property
    def minimum(self) -> Scalars:
        """From R0 on in closed form, from R* on with a_B = 0, below by following the minimum from the balanced one.

        Raises:
            ValueError: where the equations are not solved.
        """
        if self.vanishing() <= self.R:
            return self._vanished
        R, a_A, d_A, d_B = _threshold(self.K_A, self.K_B, self.tau)
        if self.R >= R:

            def collapsed(x: np.ndarray) -> Scalars:
                return Scalars(x[0], 0.0, *x[1:])

            steps = np.geomspace(R, self.R, 2 + int(2 * np.log2(self.R / R)))
            return self._follow(collapsed, np.array([a_A, d_A, d_B, replace(self, R=R).shares[1]]), steps)

        a = self.tau / (self.K - 1)
        balanced = np.array([a, a, a / self.K_A, a / self.K_B, 1 / (np.exp(a) + self.K - 1)])
        return self._follow(lambda x: Scalars(*x), balanced, np.geomspace(1, self.R, 2 + int(2 * np.log2(self.R))))

    def _follow(self, form: Callable[[np.ndarray], Scalars], x: np.ndarray, steps: np.ndarray) -> Scalars:
        for R in steps:
            peeled = replace(self, R=float(R))
            x = root(lambda x, p=peeled: p.equations(form(x))[: len(x)], x, tol=1e-14).x
        found = form(x)
        left = np.max(np.abs(self.equations(found)[: len(x)]))
        if not left <= CLOSE * self.shares[0] or min(found) < 0:
            raise ValueError(f"Need budgets and a ratio that the solver copes with, got {self}: it found {found}.")
        return Scalars(*(float(value) for value in found))

    def equations(self, s: Scalars) -> Float[np.ndarray, "5"]:
        """What vanishes at the minimum, the equation of a_B last."""
        (p_A, p_B), (_, q1, q2), (_, r1, r2) = self.shares, self.majority(s), self.minority(s)
        D = self.D(s.d_A, s.d_B)
        used = (self.K_A - 1) * s.a_A + (self.K_B - 1) * s.a_B + self.kappa * D
        return np.array(
            [
                p_A * (self.K_A * q1 + self.K_B * q2) - s.nu,
                p_A * self.K_B * q2 - s.nu * self.kappa * s.d_A / D,
                p_B * self.K_A * r2 - s.nu * self.kappa * s.d_B / D,
                used / self.tau - 1,
                p_B * (self.K_B * r1 + self.K_A * r2) - s.nu,
            ]
        )

    def majority(self, s: Scalars) -> tuple[float, float, float]:
        """Loss of a majority example, and the probabilities there of another majority and of a minority class."""
        return _group(self.K_A, self.K_B, s.a_A, s.d_A)

    def minority(self, s: Scalars) -> tuple[float, float, float]:
        """The same of a minority example: of another minority and of a majority class."""
        return _group(self.K_B, self.K_A, s.a_B, s.d_B)

    @property
    def value(self) -> float:
        """The least mean cross-entropy."""
        p_A, p_B = self.shares
        l_A, l_B = self.majority(self.minimum)[0], self.minority(self.minimum)[0]
        return float(self.K_A * p_A * l_A + self.K_B * p_B * l_B)

    def matrices(self) -> tuple[Float[np.ndarray, "K K"], Float[np.ndarray, "K K"]]:
        """Z at the minimum, and |Z| = (Z Z^T)^(1/2), to which W W^T is proportional."""
        K_A, K_B, K, (a_A, a_B, d_A, d_B, _) = self.K_A, self.K_B, self.K, self.minimum
        within = np.zeros((K, K))
        within[:K_A, :K_A] = a_A * (np.eye(K_A) - 1 / K_A)
        within[K_A:, K_A:] = a_B * (np.eye(K_B) - 1 / K_B)
        e = np.repeat([K_B / K, -K_A / K], (K_A, K_B))
        apart = np.repeat([d_A, -d_B], (K_A, K_B))
        return within + np.outer(e, apart), within + self.D(d_A, d_B) / self.kappa * np.outer(e, e)

    @property
    def cosine(self) -> float:
        """Between two minority classifiers, (g - a_B/K_B)/(g + a_B (1 - 1/K_B)) with g = kappa D K_A/(K K_B).

        NaN where they vanish.
        """
        _, a_B, d_A, d_B, _ = self.minimum
        g = self.kappa * self.D(d_A, d_B) * self.K_A / (self.K * self.K_B)
        if g == 0:
            return float("nan")
        return (g - a_B / self.K_B) / (g + a_B * (1 - 1 / self.K_B))

    def threshold(self) -> float:
        """R*, whatever R is."""
        return _threshold(self.K_A, self.K_B, self.tau)[0]

    @property
    def _vanished(self) -> Scalars:
        s = Scalars(self.tau / (self.K_A - 1), 0.0, 0.0, 0.0, 0.0)
        _, q1, q2 = self.majority(s)
        return s._replace(nu=float(self.shares[0] * (self.K_A * q1 + self.K_B * q2)))

    def vanishing(self) -> float:
        """R0 >= R*, whatever R is."""
        _, q1, q2 = self.majority(self._vanished)
        excess = (self.kappa * (self.K_A * q1 + self.K_B * q2)) ** 2 - self.K_A * (self.K_B * q2) ** 2
        return float(self.K_A / self.K * np.sqrt(self.K_B / excess)) if excess > 0 else float("inf")


def _group(own: int, others: int, a: float, d: float) -> tuple[float, float, float]:
    """Loss, and the probability of each class of the own and of the other group, for an example."""
    near, far = np.exp(-a), np.exp(-a * (1 - 1 / own) - d)
    rest = (own - 1) * near + others * far
    return np.log1p(rest), near / (1 + rest), far / (1 + rest)


@cache
def _threshold(K_A: int, K_B: int, tau: float) -> tuple[float, float, float, float]:
    """R*, and a_A, d_A, d_B there."""

    def equations(x: np.ndarray) -> np.ndarray:
        a_A, d_A, d_B, log_R = x
        peeled = Peeled(K_A, K_B, max(float(np.exp(log_R)), 1.0), tau)
        return peeled.equations(Scalars(a_A, 0.0, d_A, d_B, peeled.shares[1]))[:4]

    K = K_A + K_B
    found = root(equations, [tau / K, tau / (2 * K), tau / (2 * K), 1.0], tol=1e-14).x
    if not np.max(np.abs(equations(found))) <= CLOSE or np.min(found) < 0:
        raise ValueError(f"Need budgets that the solver copes with, got tau = {tau:g} for {K_A} + {K_B} classes.")
    a_A, d_A, d_B, log_R = (float(value) for value in found)
    return float(np.exp(log_R)), a_A, d_A, d_B
