"""Unconstrained features under MSE with decay on W, H and b: the soft threshold, and what the decay of b decides.

    min over W (C, P), H (P, CN), b (C,) of  1/(2CN) ||W H + b 1^T - Y||^2 + lW/2 ||W||^2 + lH/2 ||H||^2 + lb/2 ||b||^2

With c = sqrt(N lW lH) and J = 11^T the end state is W H = (z1 Pi + z0 J/C) (x) 1_N^T, b = beta 1, z1 = (1 - C c)_+ and

    no bias             z0 = z1, beta = 0                                  an orthogonal frame
    C c >= lb/(1+lb)    z0 = 0, beta = 1/(C (1 + lb))                      a Simplex ETF
    otherwise           z0 = 1 - C c (1 + 1/lb), beta = c/lb               a tilted frame between them

Class means about their mean are a Simplex ETF in all three. The decay of H acts on each example.

Source: Tirer & Bruna (2022), arXiv 2202.08087; Zhou et al. (2022), arXiv 2203.01238; derived anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models.frames import centring, labels_of
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend

SCALES = (0.01, 0.3, 1.0, 5.0)  # of a start's entries, by its seed
NO_BIAS = float("inf")  # the decay of b that leaves none


@final
@dataclass(frozen=True)
class Regularised(Model):
    """Sizes and decays; lb = infinity is the model without bias."""

    C: int = 4
    P: int = 6
    N: int = 5
    lW: float = 5e-3
    lH: float = 1e-3
    lb: float = 0.0

    name = "regularised"
    source = "Tirer & Bruna (2022), Zhou et al. (2022)"
    minimised = "MSE with decay on W, H, b"
    constraint = "none"
    end_state = "ETF, orthogonal or tilted frame by the decay of b; the origin if C c >= 1"
    planted = "C c without its factor C"

    @classmethod
    def instances(cls) -> tuple["Regularised", ...]:
        """The three regimes of the bias, a larger problem, and one beyond the threshold."""
        return (
            cls(),
            cls(lb=NO_BIAS),
            cls(lb=0.05),
            cls(C=10, P=12, N=3, lW=1e-3, lH=1e-3, lb=5e-3),
            cls(lW=0.1, lH=0.2, lb=0.01),
        )

    @property
    def c(self) -> float:
        """sqrt(N lW lH)."""
        return float(np.sqrt(self.N * self.lW * self.lH))

    def frame(self, price: float) -> tuple[float, float, float]:
        """z1, z0 and beta for C c = price."""
        z1 = max(1 - price, 0.0)
        if np.isinf(self.lb):
            return z1, z1, 0.0
        if price >= self.lb / (1 + self.lb):
            return z1, 0.0, 1 / (self.C * (1 + self.lb))
        return z1, 1 - price * (1 + 1 / self.lb), price / (self.C * self.lb)

    @property
    def labels(self) -> np.ndarray:
        """N of each class."""
        return labels_of(self.C, self.N)

    def start(self, seed: int) -> Point:
        """Normal entries, small or large by the seed."""
        shapes = {"W": (self.C, self.P), "H": (self.P, self.C * self.N), "b": (self.C,)}
        return self.constrain(random_point(seed, shapes, SCALES[seed % len(SCALES)]))

    def constrain(self, point: Point) -> Point:
        """No bias where there is none."""
        return point | {"b": jnp.zeros_like(point["b"])} if np.isinf(self.lb) else point

    def loss(self, point: Point) -> Float[Array, ""]:
        """The mean squared error and the decay."""
        W, H, b = point["W"], point["H"], point["b"]
        error = W @ H + b[:, None] - np.eye(self.C)[:, self.labels]
        decay = self.lW * jnp.sum(W**2) + self.lH * jnp.sum(H**2)
        if np.isfinite(self.lb):
            decay += self.lb * jnp.sum(b**2)
        return jnp.sum(error**2) / (2 * self.C * self.N) + decay / 2

    def run(self, point: Point) -> ModelPath:
        """L-BFGS."""
        return descend(self, point, OptimizerSettings("lbfgs", 2000))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, W W^T, logits without bias, and b."""
        W = point["W"]
        return {VALUE: self.loss(point), "W W^T": W @ W.T, "W H": W @ point["H"], "b": point["b"]}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The soft threshold, by the regime of the bias."""
        del point
        C, c = self.C, self.c
        z1, z0, beta = self.frame(c if fault else C * c)
        Z = z1 * centring(C) + z0 / C
        data = ((C - 1) / C * (1 - z1) ** 2 + (1 - z0 - C * beta) ** 2 / C) / 2
        decay = c * ((C - 1) * z1 + z0) + (self.lb * C * beta**2 / 2 if np.isfinite(self.lb) else 0.0)
        return {
            VALUE: np.asarray(data + decay),
            "W W^T": np.sqrt(self.N * self.lH / self.lW) * Z,
            "W H": np.repeat(Z, self.N, axis=1),
            "b": np.full(C, beta),
        }

    def layer(self, point: Point) -> Layer:
        """W, b and the free features."""
        return Layer(point["W"], point["b"], point["H"].T, self.labels)

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The thresholds from both sides, as sizes of the frame that descent finds there."""
        tilt = 0.05  # lb/(1 + lb) = 1/21 = C c at the threshold of the tilt
        reason = "the optimum is flat there: sizes to the root of the loss's rounding"
        for name, model in (
            ("tilt z0, C c 10 % below lb/(1 + lb)", _at(cls(lb=tilt), 0.9 * tilt / (1 + tilt))),
            ("tilt z0, C c 10 % above lb/(1 + lb)", _at(cls(lb=tilt), 1.1 * tilt / (1 + tilt))),
        ):
            found = model._tilt()
            faulty = model.frame(model.c)[1]
            yield Fact(name, found, model.frame(model.C * model.c)[1], 1e-6, reason, found - faulty)
        for share in (0.99, 1.01):
            model = _at(cls(), share)
            found, faulty = model._size(), model.frame(model.c)[0]
            name = f"size z1 at C c = {share}"
            yield Fact(name, found, max(1 - share, 0.0), 1e-6, reason, found - faulty)

    def _logits(self) -> np.ndarray:
        point = self.run(self.start(1)).point
        return np.asarray(point["W"] @ point["H"]).reshape(self.C, self.C, self.N).mean(axis=2)

    def _tilt(self) -> float:
        return float(self._logits().sum() / self.C)

    def _size(self) -> float:
        return float(np.trace(centring(self.C) @ self._logits()) / (self.C - 1))

    @classmethod
    def panels(cls) -> list[Chart]:
        """The frame's two sizes against the decay, as found by descent and in closed form."""
        prices = np.linspace(0.02, 1.1, 60)
        model, few = cls(lb=0.5), np.array([0.05, 0.2, 0.3, 0.4, 0.6, 0.8, 0.95, 1.05])
        runs = [_at(model, price) for price in few]
        lines = (
            Series("z1: between classes", few, [run._size() for run in runs]),
            Series("z0: along 1", few, [run._tilt() for run in runs]),
            Series("z1, closed form", prices, [model.frame(price)[0] for price in prices], "predicted"),
            Series("z0, closed form", prices, [model.frame(price)[1] for price in prices], "predicted"),
        )
        return [Chart("Tilted frame to ETF to origin, lb = 0.5", "C c, size of the decay", "size of the frame", lines)]


def _at(model: Regularised, price: float) -> Regularised:
    """The model with the decay of features for which C c is a given number."""
    return replace(model, lH=(price / model.C) ** 2 / (model.N * model.lW))
