"""Weight decay, direction by direction: a conserved number, a closed form of the time, and two time scales.

Where class means and within-class covariance have an axis in common, and class means one right singular vector along
it, let u be the between-class variance along the axis, v the within-class variance, tau the eigenvalue of T
(`general_loss`) of that vector: 1/C for balanced classes. In the unnormalized flow of n examples with the kernel (a,
b), decay lambda of the classifier, not of its bias, and lambda_H of every example's features,

    du/dt =  2 a u ((tau/n) (v + lambda)/(v + lambda + u)^2 - lambda_H)
    dv/dt = -2 b v ((tau/n) u/(v + lambda + u)^2 + lambda_H)

At lambda_H = 0 the quotient dv/du = -(b/a) v/(v + lambda) can be integrated: the number

    kappa = v + lambda log v + (b/a) u

stays, so v = lambda w with w + log w = (kappa - (b/a) u)/lambda - log lambda (Wright's omega function), and t(u) is one
quadrature of dt = n/(2 a tau) (v + lambda + u)^2/((v + lambda) u) du. For lambda = 0 kappa is what the flow conserves.

While v >> lambda the direction moves as without decay: u approaches its plateau U = (a/b) v(0) + u(0), and v/u falls as
exp(-2 b tau t/(n U)). Once v << lambda, the decay of the classifier alone keeps class means moving: for u >> lambda

    u^2 = U^2 + 4 a lambda tau t/n        with lambda_H:  u^2 = E^2 + (U^2 - E^2) exp(-4 a lambda_H t)

with E^2 = lambda tau/(n lambda_H). So there are two time scales, apart by U/lambda and a logarithm. NC1 comes in the
first, `time_of_within(lambda)`, at which v = lambda. Different directions have different plateaus, and NC2 comes in the
second, `time_of_growth` = n U^2/(4 a lambda tau), in which u^2 doubles. The decay of features ends growth at the time
1/(4 a lambda_H): NC2 is there before if E >> U; if E << U class means shrink to their end, and NC2 comes with it.

NumPy and SciPy only. Source: derived here.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import wrightomega

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
PANEL = 0.25  # of log u: the longest panel of the quadrature
HALVINGS = 50


class DecayedDirection(NamedTuple):
    """A direction that starts with between-class variance u and within-class variance v, lambda_H = 0.

    Example:
        >>> import numpy as np
        >>> from central_path.theory.decay import DecayedDirection
        >>> direction = DecayedDirection(u=0.1, v=1.0, tau=0.1, n=500, lam=1e-3)
        >>> round(direction.plateau, 6)  # where growth would end without decay
        1.1
        >>> bool(direction.within(np.array([2.0]))[0] < 1e-200)  # beyond it the within-class variance is gone
        True
    """

    u: float
    v: float
    tau: float
    n: float
    lam: float
    a: float = 1.0
    b: float = 1.0

    @property
    def kappa(self) -> float:
        """v + lambda log v + (b/a) u, which stays."""
        return self.v + self.lam * np.log(self.v) + self.b / self.a * self.u

    @property
    def plateau(self) -> float:
        """U, the u at which growth would end at lambda = 0. Needs b > 0."""
        return self.u + self.a / self.b * self.v

    def within(self, u: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """The v that belongs to u."""
        left = self.kappa - self.b / self.a * u
        return self.lam * wrightomega(left / self.lam - np.log(self.lam)) if self.lam else left

    def _between(self, v: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """The u that belongs to v; needs b > 0."""
        return self.a / self.b * (self.kappa - v - self.lam * np.log(v))

    def time(self, u: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """The times at which the values u, none below that of the start, are reached."""
        goals, start = np.log(np.asarray(u, float)), np.log(self.u)
        edges = [goals, [start], np.arange(start, np.max(goals), PANEL)]
        if self.b > 0:  # v halves from one edge to the next, until it is rounding beside lambda
            halvings = HALVINGS + (max(np.log2(self.v / self.lam), 0.0) if self.lam else 0.0)
            edges.append(np.log(self._between(self.v * 2.0 ** -np.arange(1, halvings))))
        fine = np.unique(np.concatenate(edges))
        fine = fine[(fine >= start) & (fine <= max(np.max(goals), start))]
        lengths = np.diff(fine)
        x = np.exp(fine[:-1, None] + lengths[:, None] * (1 + _NODES) / 2)
        A = self.within(x.ravel()).reshape(x.shape) + self.lam
        pieces = self.n / (2 * self.a * self.tau) * lengths / 2 * ((A + x) ** 2 / A @ _WEIGHTS)
        return np.concatenate([[0.0], np.cumsum(pieces)])[np.searchsorted(fine, goals)]

    def time_of_within(self, v: float) -> float:
        """The time at which the within-class variance is v, the first scale for v = lambda; needs b > 0."""
        return self.time(self._between(np.array([v]))).item()

    @property
    def time_of_growth(self) -> float:
        """The second scale: n U^2/(4 a lambda tau), in which u^2 doubles once v << lambda."""
        return self.n * self.plateau**2 / (4 * self.a * self.lam * self.tau)

    def late(self, t: Float[np.ndarray, " T"], lam_H: float = 0.0) -> Float[np.ndarray, " T"]:
        """u after the first scale, for lambda << u: (U^2 + 4 a lambda tau t/n)^(1/2), or the form with lambda_H."""
        rate = 4 * self.a * lam_H
        grown = -np.expm1(-rate * t) / rate if rate else t
        return np.sqrt(self.plateau**2 * np.exp(-rate * t) + 4 * self.a * self.lam * self.tau / self.n * grown)
