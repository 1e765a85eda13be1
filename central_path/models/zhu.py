"""Unconstrained features under cross-entropy with decay on W, H and b.

    min over W (C, P), H (P, CN), b (C,) of  Ave CE(W h + b, y) + lW/2 ||W||^2 + lH/2 ||H||^2 + lb/2 ||b||^2

With c = sqrt(N lW lH), P >= C - 1 and C c < 1 the global minimum is a Simplex ETF of known size: W H = a Pi (x) 1_N^T,
where a = log(1/c - (C-1)), and b = 0; with C c >= 1 it is the origin. For lW, lH > 0 every other critical point is a
strict saddle. Zhu et al. prove it for P > C; it holds for every P >= C - 1. Let G (C, CN), (softmax - Y)/(CN), be the
gradient by the logits: at a critical point G H^T = -lW W and W^T G = -lH H, and as the columns of G sum to 0, so do
those of W, whose rank is at most C - 1. The point is a global minimum if the largest singular value sigma_1(G) is at
most sqrt(lW lH), because the problem is convex in W H, with the nuclear norm in place of both decays. Now either

    W u = 0 for a unit vector u. Then H^T u = 0, and with the first singular vectors x, v of G the curvature along
    dW = (lH/lW)^(1/4) x u^T, dH = -(lW/lH)^(1/4) u v^T is 2 (sqrt(lW lH) - sigma_1(G)): negative, or the minimum;
    or P = C - 1 is the rank of W. Then G G^T W = lW lH W: all nonzero singular values of G are sqrt(lW lH).

For P < C - 1 there is no Simplex ETF of C vectors, the minimum is another one, and the argument says nothing.

The decay of H acts on each example: at fixed lH more examples mean a larger c.

Source: Zhu, Ding, Zhou, Li, You, Sulam & Qu (2021), arXiv 2105.02375; closed forms and saddles derived anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from central_path.models.frames import centring, cross_entropy, labels_of, simplex_etf
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend

SCALES = (0.01, 0.3, 1.0, 5.0)  # of a start's entries, by its seed
OPTIMISERS = (
    OptimizerSettings("sgd", 100_000, rate=1.0),
    OptimizerSettings("adam", 40_000, rate=1e-2),
    OptimizerSettings("lbfgs", 2000),
)
STARTS = 20


@final
@dataclass(frozen=True)
class Zhu(Model):
    """Sizes and decays; `fixed_W`, if positive, holds W at a Simplex ETF with W W^T = fixed_W Pi."""

    C: int = 4
    P: int = 6
    N: int = 5
    lW: float = 5e-3
    lH: float = 1e-3
    lb: float = 1e-2
    fixed_W: float = 0.0

    name = "zhu"
    source = "Zhu et al. (2021)"
    minimised = "cross-entropy with decay on W, H, b"
    constraint = "none"
    end_state = "Simplex ETF of size a = log(1/c - (C-1)), the origin if C c >= 1"
    planted = "C in place of C - 1 in a"

    @classmethod
    def instances(cls) -> tuple["Zhu", ...]:
        """Several sizes, one near the threshold and one beyond it, and W fixed."""
        return (
            cls(),
            cls(C=3, P=2, N=4, lW=1e-3, lH=2e-4, lb=0.0),
            cls(C=10, P=12, N=3, lW=1e-3, lH=1e-3),
            cls(lW=0.02, lH=0.5),
            cls(fixed_W=2.0),
        )

    @property
    def c(self) -> float:
        """sqrt(N lW lH): half of the price of a unit of the nuclear norm of the logits."""
        return float(np.sqrt(self.N * self.lW * self.lH))

    @property
    def size(self) -> float:
        """The a of W H = a Pi (x) 1_N^T."""
        return self._size(self.C - 1)

    def _size(self, others: int) -> float:
        if self.fixed_W:
            price = self.N * self.lH / self.fixed_W
            low, high = 0.0, 50.0  # e^-a/(1 + (C-1) e^-a) = price a falls on the left and rises on the right
            for _ in range(200):
                a = (low + high) / 2
                low, high = (a, high) if np.exp(-a) / (1 + others * np.exp(-a)) > price * a else (low, a)
            return low
        return float(np.log(1 / self.c - others)) if self.C * self.c < 1 else 0.0

    @property
    def labels(self) -> np.ndarray:
        """N of each class."""
        return labels_of(self.C, self.N)

    def classifier(self, point: Point) -> Float[Array, "C P"]:
        """W, fixed or not."""
        return jnp.asarray(np.sqrt(self.fixed_W * (1 - 1 / self.C)) * self._etf) if self.fixed_W else point["W"]

    @property
    def _etf(self) -> np.ndarray:
        return simplex_etf(self.C, self.P).T

    def start(self, seed: int) -> Point:
        """Normal entries, small or large by the seed."""
        shapes = {"W": (self.C, self.P), "H": (self.P, self.C * self.N), "b": (self.C,)}
        if self.fixed_W:
            del shapes["W"]
        return random_point(seed, shapes, SCALES[seed % len(SCALES)])

    def loss(self, point: Point) -> Float[Array, ""]:
        """Mean cross-entropy and the decay."""
        W, H, b = self.classifier(point), point["H"], point["b"]
        decay = self.lH * jnp.sum(H**2) + self.lb * jnp.sum(b**2)
        if not self.fixed_W:
            decay += self.lW * jnp.sum(W**2)
        return jnp.mean(cross_entropy(W @ H + b[:, None], self.labels)) + decay / 2

    def run(self, point: Point) -> ModelPath:
        """L-BFGS."""
        return descend(self, point, OPTIMISERS[2])

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, W W^T, logits and b, of which a multiple of 1 is free without decay."""
        W, H, b = self.classifier(point), point["H"], point["b"]
        return {
            VALUE: self.loss(point),
            "W W^T": W @ W.T,
            "W H": W @ H,
            "b": b - jnp.mean(b) if self.lb == 0 else b,
        }

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The global minimum."""
        del point
        a, Pi = self._size(self.C if fault else self.C - 1), centring(self.C)
        data = np.log1p((self.C - 1) * np.exp(-a))
        size = self.fixed_W or a * np.sqrt(self.N * self.lH / self.lW)
        price = self.N * self.lH * a**2 / (2 * self.fixed_W) if self.fixed_W else self.c * a
        return {
            VALUE: np.asarray(data + (self.C - 1) * price),
            "W W^T": size * Pi,
            "W H": np.repeat(a * Pi, self.N, axis=1),
            "b": np.zeros(self.C),
        }

    def layer(self, point: Point) -> Layer:
        """W, b and the free features."""
        return Layer(self.classifier(point), point["b"], point["H"].T, self.labels)

    # the landscape

    def curvature(self, point: Point, direction: Point) -> float:
        """Second derivative of the loss along a direction, by forward over reverse differentiation."""
        _, turned = jax.jvp(jax.grad(self.loss), (point,), (direction,))
        return float(sum(jnp.sum(turned[key] * direction[key]) for key in point))

    def lowest_curvature_at_the_origin(self) -> float:
        """Smallest eigenvalue of the Hessian in (W, H) at the origin, by autodiff."""
        origin = jax.tree.map(jnp.zeros_like, {key: self.start(0)[key] for key in ("W", "H")})
        flat, build = ravel_pytree(origin)
        b = jnp.zeros(self.C)
        hessian = jax.hessian(lambda x: self.loss({**build(x), "b": b}))(flat)
        return float(jnp.linalg.eigvalsh(hessian)[0])

    def rank_one_saddle(self) -> tuple[Point, Point]:
        """A critical point that tells two halves of the (even number of) classes apart, and a direction down from it.

        With s = (+1, ..., -1) it is W H = t s (s^T (x) 1_N^T), t = 1/2 log((2 - C c)/(C c)).
        """
        s = np.repeat([1.0, -1.0], self.C // 2)
        t = 0.5 * np.log((2 - self.C * self.c) / (self.C * self.c))
        ratio = (self.N * self.lH / self.lW) ** 0.25
        u, v = np.eye(self.P)[0], np.eye(self.P)[1]
        point = {
            "W": np.sqrt(t) * ratio * np.outer(s, u),
            "H": np.sqrt(t) / ratio * np.outer(u, np.repeat(s, self.N)),
            "b": np.zeros(self.C),
        }
        x = np.zeros(self.C)
        x[:2] = np.array([1, -1]) / np.sqrt(2)  # two classes of one half
        balance = (self.lH / self.lW) ** 0.25
        down = {
            "W": balance * np.outer(x, v),
            "H": np.outer(v, np.repeat(x, self.N)) / (balance * np.sqrt(self.N)),
            "b": np.zeros(self.C),
        }
        return jax.tree.map(jnp.asarray, (point, down))

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """Every optimiser and start ends at the same value; the origin and another saddle, with their curvatures."""
        yield from _same_end(cls())
        for model in (cls(), cls(lW=0.02, lH=0.5)):
            half, apart = (model.lW + model.lH) / 2, (model.lW - model.lH) / 2
            found = model.lowest_curvature_at_the_origin()
            predicted, faulty = (float(half - np.sqrt(apart**2 + 1 / (model.C**2 * n))) for n in (model.N, 1))
            name = f"curvature of the origin, C c = {model.C * model.c:.2g}"
            yield Fact(name, found, predicted, 1e-13, "rounding of an eigenvalue", found - faulty)
        saddle, down = cls().rank_one_saddle()
        gradient = max(float(jnp.max(jnp.abs(g))) for g in jax.grad(cls().loss)(saddle).values())
        off = {**saddle, "W": 1.01 * saddle["W"]}
        faulty = max(float(jnp.max(jnp.abs(g))) for g in jax.grad(cls().loss)(off).values())
        yield Fact("gradient at the rank-one saddle", gradient, 0.0, 1e-15, "rounding", faulty)
        C, N, lW, lH = cls.C, cls.N, cls.lW, cls.lH
        predicted, faulty = (float(2 * (np.sqrt(lW * lH) - 1 / (C * np.sqrt(n)))) for n in (N, 1))
        found = cls().curvature(saddle, down)
        yield Fact("curvature down from the rank-one saddle", found, predicted, 1e-14, "rounding", found - faulty)

    @classmethod
    def panels(cls) -> list[Chart]:
        """The loss above its minimum under three optimisers."""
        model, lines = cls(), []
        least = float(model.predicted({})[VALUE])
        for how in OPTIMISERS:
            path = descend(model, model.start(0), how)
            lines.append(Series(how.kind, path.x[1:], np.maximum(path.ys["loss"][1:] - least, 1e-17)))
        return [Chart("Any optimiser", "step", "loss above the minimum", tuple(lines), log_x=True, log_y=True)]


def _same_end(model: Zhu) -> Iterator[Fact]:
    """L-BFGS from many starts, the slower optimisers from fewer."""
    reason = "rounding of the loss, and what the optimiser leaves"
    wrong = float(model.predicted({}, fault=True)[VALUE])
    least = float(model.predicted({})[VALUE])
    for how in OPTIMISERS:
        seeds = range(STARTS if how.kind == "lbfgs" else 3)
        worst = max((float(descend(model, model.start(seed), how).ys["loss"][-1]) for seed in seeds), key=abs)
        name = f"highest loss from {len(seeds)} starts, {how.kind}"
        yield Fact(name, worst, least, 1e-12, reason, worst - wrong)
