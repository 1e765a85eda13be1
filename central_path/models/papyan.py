"""Why a Simplex ETF: the class means in a ball that noise confuses least.

Features are h = mu_c + sigma z, z ~ N(0, I), with c uniform and |mu_c| <= 1. The best rule is the nearest class mean;
as sigma -> 0 its error has the exponent -sigma^2 log P(error) -> beta = min over c != c' of |mu_c - mu_c'|^2/8. The
minimum is at most the mean, and sum over c != c' of |mu_c - mu_c'|^2 = 2C sum |mu_c|^2 - 2 |sum mu_c|^2 <= 2 C^2:

    beta <= C/(4(C-1)),   reached only by the Simplex ETF of radius 1, for P >= C - 1.

The means are found by minimising tau log sum over c != c' of exp(-|mu_c - mu_c'|^2/tau), which for every tau > 0 is at
least tau log(C(C-1)) - 2C/(C-1), by the same argument and Jensen's inequality, with equality only there.

Whether NC1 and NC2 imply NC3 and NC4 is the matter of `duality`.

Source: Papyan, Han & Donoho (2020), arXiv 2008.08186; the bounds proved anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import norm

from central_path.models import duality
from central_path.models.frames import centring, simplex_etf
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend

NOISE = 0.1  # of the features that the layer shows
DRAWS = 400_000
SIGMAS = np.geomspace(0.01, 0.5, 31)


@final
@dataclass(frozen=True)
class Papyan(Model):
    """Number of classes, dimensions, and the tau of the smooth least distance."""

    C: int = 4
    P: int = 6
    tau: float = 0.2

    name = "papyan"
    source = "Papyan, Han & Donoho (2020)"
    minimised = "minus the least distance of class means, smoothed"
    constraint = "|mu_c| <= 1"
    end_state = "Simplex ETF, exponent C/(4(C-1))"
    planted = "C for C - 1 in the distance"

    @classmethod
    def instances(cls) -> tuple["Papyan", ...]:
        """The fewest dimensions and more, two classes and many."""
        return cls(), cls(C=2, P=1), cls(C=3, P=2, tau=1.0), cls(C=8, P=9)

    @property
    def exponent(self) -> float:
        """beta*, of the ETF."""
        return self.C / (4 * (self.C - 1))

    def start(self, seed: int) -> Point:
        """Normal, in the ball."""
        return self.constrain(random_point(seed, {"M": (self.P, self.C)}, 0.5 / np.sqrt(self.P)))

    def constrain(self, point: Point) -> Point:
        """The nearest point of the ball."""
        norms = jnp.sqrt(jnp.maximum(jnp.sum(point["M"] ** 2, axis=0, keepdims=True), 1.0))
        return {"M": point["M"] / norms}

    def distances(self, point: Point) -> Float[Array, " pairs"]:
        """Squared, between different class means."""
        M = point["M"]
        squared = jnp.sum((M[:, :, None] - M[:, None, :]) ** 2, axis=0)
        return squared[~np.eye(self.C, dtype=bool)]

    def loss(self, point: Point) -> Float[Array, ""]:
        """Minus the least squared distance, up to tau log(C(C-1))."""
        return self.tau * jax.scipy.special.logsumexp(-self.distances(point) / self.tau)

    def run(self, point: Point) -> ModelPath:
        """L-BFGS."""
        return descend(self, point, OptimizerSettings("lbfgs", 2000))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, Gram matrix, exponent."""
        M = point["M"]
        return {VALUE: self.loss(point), "M^T M": M.T @ M, "exponent": jnp.min(self.distances(point)) / 8}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The ETF."""
        del point
        C = self.C
        others = C if fault else C - 1
        return {
            VALUE: np.asarray(self.tau * np.log(C * (C - 1)) - 2 * C / others),
            "M^T M": C / others * centring(C),
            "exponent": np.asarray(C / (4 * others)),
        }

    def layer(self, point: Point) -> Layer:
        """The nearest-mean rule, on examples with Sigma_W = NOISE^2 I: the means and NOISE sqrt(P) either way."""
        M, P = point["M"], self.P
        spread = NOISE * np.sqrt(P) * np.concatenate([np.eye(P), -np.eye(P)])
        features = (M.T[:, None, :] + spread[None, :, :]).reshape(-1, P)
        return Layer(M.T, -jnp.sum(M**2, axis=0) / 2, features, np.repeat(np.arange(self.C), 2 * P))

    # the error of the nearest class mean at the ETF

    def log_error(self, sigma: float) -> float:
        """Log P(error), by an integral: a Simplex ETF's error is that of C orthogonal signals with its distances."""
        x = np.sqrt(self.C / (self.C - 1)) / sigma  # of the orthogonal signals over sigma: their distance is x sqrt(2)
        z = np.linspace(-40.0, x + 40.0, 200_001)
        rival = np.log(-np.expm1((self.C - 1) * norm.logcdf(np.minimum(z, 8.0))))  # one is above the true class, at z
        rival = np.where(z > 8.0, np.log(self.C - 1) + norm.logsf(z), rival)  # never two, there, in float64
        terms = norm.logpdf(z - x) + rival
        top = np.max(terms)
        return float(top + np.log(np.sum(np.exp(terms - top)) * (z[1] - z[0])))

    def bounds(self, sigma: float) -> tuple[float, float]:
        """Log Q(d/2 sigma) and log (C-1) Q(d/2 sigma), Q the survival function: no rival, and all of them apart."""
        least = float(norm.logsf(np.sqrt(self.C / (2 * (self.C - 1))) / sigma))
        return least, least + float(np.log(self.C - 1))

    def sampled_error(self, sigma: float) -> float:
        """Share of samples about the ETF that another class mean is nearer to."""
        rng, E = np.random.default_rng(0), simplex_etf(self.C, self.P)
        labels = np.arange(DRAWS) % self.C
        features = E.T[labels] + sigma * rng.standard_normal((DRAWS, self.P))
        return float(np.mean(np.argmax(features @ E, axis=1) != labels))

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The error at the ETF, its exponent and bounds; Theorem 1 at collapse and as a limit."""
        model = cls()
        found, exact = model.sampled_error(0.5), float(np.exp(model.log_error(0.5)))
        reason, (least, most) = f"five standard errors of {DRAWS} draws", model.bounds(0.5)
        error = float(5 * np.sqrt(exact * (1 - exact) / DRAWS))
        yield Fact("P(error) at sigma = 0.5, by sampling", found, exact, error, reason, found - float(np.exp(least)))
        for sigma in (0.3, 0.1, 0.02):
            log_error, (least, most) = model.log_error(sigma), model.bounds(sigma)
            outside = max(least - log_error, log_error - most, 0.0)
            fault = least - model.log_error(sigma / 2)
            yield Fact(f"log P(error) outside its bounds, sigma = {sigma}", outside, 0.0, 1e-9, "the integral", fault)
        sigma, reason = 0.003, "order sigma^2 log(1/sigma)"
        for name, log_p in zip(("lower bound", "upper bound"), model.bounds(sigma), strict=True):
            found = -(sigma**2) * log_p
            yield Fact(f"exponent of the {name}, sigma = {sigma}", found, model.exponent, 1e-4, reason, found - 1 / 4)
        a, b = 0.01, 0.02
        found = (model.log_error(a) - model.log_error(b)) / (1 / b**2 - 1 / a**2)
        name = "exponent of P(error), its slope in 1/sigma^2"
        yield Fact(name, found, model.exponent, 2e-4, "order sigma^2", found - 1 / 4)
        yield from duality.facts(simplex_etf(model.C, model.P))

    @classmethod
    def panels(cls) -> list[Chart]:
        """The error's exponent, and NC3 as within-class variability vanishes."""
        model = cls()
        exact = np.array([-(sigma**2) * model.log_error(sigma) for sigma in SIGMAS])
        most, least = -(SIGMAS**2) * np.array([model.bounds(sigma) for sigma in SIGMAS]).T
        lines = (
            Series("P(error)", SIGMAS, exact),
            Series("lower bound of P", SIGMAS, most, "predicted"),
            Series("upper bound of P", SIGMAS, least, "predicted"),
            Series("C/(4(C-1))", SIGMAS, np.full(len(SIGMAS), model.exponent), "predicted"),
        )
        title = "Error at the Simplex ETF"
        return [
            Chart(title, "sigma", "-sigma^2 log P(error)", lines, log_x=True),
            duality.panel(simplex_etf(model.C, model.P)),
        ]
