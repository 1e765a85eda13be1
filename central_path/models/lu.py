"""Cross-entropy on unit spheres, one example a class.

    min over w_1..w_C, mu_1..mu_C in R^P of  Ave_c log(1 + sum_{j != c} exp <w_j - w_c, mu_c>),  |w_c| = a, |mu_c| = r

without bias. For P >= C - 1 the minimum is log(1 + (C-1) exp(-a r C/(C-1))), reached by one Simplex ETF for both,
w_c/a = mu_c/r, and the same on balls |w_c| <= a, |mu_c| <= r. Gradient flow on the spheres approaches it as
e^(-rate t), where, with q the probability of a wrong class there and radii 1,

    rate = 2 q/(C-1)                                                  C >= 3, except
    rate = q/3 (9/2 - 9 q/8 - sqrt((9 q/8)^2 + (3/4)^2))              C = 3, P = 2
    rate = q                                                          C = 2, P >= 2

The slowest direction tilts the frame within its span, w_c by sum_j A_cj w_j with A symmetric, of zero diagonal and zero
row sums; for C = 2 and 3 there is none, and it tilts all of the frame into a new dimension.

Note: the loss is the mean over classes; the sum is C times it and C times as fast.

Source: Lu & Steinerberger (2020), arXiv 2012.08465; the bound proved anew by Jensen's inequality, the rates derived.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from central_path.models.frames import centring, cross_entropy, labels_of, simplex_etf
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend, flow

E_FOLDS = 30.0  # of the slowest direction, within a run
STARTS = 20
SIZES = ((3, 4), (4, 3), (5, 6), (10, 10))  # C and P


@final
@dataclass(frozen=True)
class Lu(Model):
    """Sizes, the radii a of w_c and r of mu_c, and balls in place of spheres."""

    C: int = 4
    P: int = 5
    a: float = 1.0
    r: float = 1.0
    balls: bool = False

    name = "lu"
    source = "Lu & Steinerberger (2020)"
    minimised = "cross-entropy, one example a class"
    constraint = "|w_c| = |mu_c| = 1"
    end_state = "Simplex ETF, W = M"
    planted = "exponent -a r in place of -a r C/(C-1)"

    @classmethod
    def instances(cls) -> tuple["Lu", ...]:
        """The fewest dimensions and more than enough, more classes, other radii, balls."""
        return cls(), cls(C=3, P=2), cls(C=10, P=12), cls(P=3, a=1.5, r=2.0), cls(balls=True)

    @property
    def q(self) -> float:
        """Softmax probability of each wrong class at the minimum."""
        off = np.exp(-self.a * self.r * self.C / (self.C - 1))
        return float(off / (1 + (self.C - 1) * off))

    @property
    def rate(self) -> float:
        """Of the slowest direction of the flow, for radii 1."""
        q = self.q
        if (self.C, self.P) == (3, 2):
            return float(q / 3 * (9 / 2 - 9 * q / 8 - np.sqrt((9 * q / 8) ** 2 + 9 / 16)))
        return 2 * q / max(self.C - 1, 2)

    def start(self, seed: int) -> Point:
        """Uniform on the spheres; inside the balls, at every depth."""
        P, C = self.P, self.C
        point = random_point(seed, {"W": (C, P), "M": (P, C)}, 0.5 / np.sqrt(P))
        return self.constrain(point)

    def loss(self, point: Point) -> Float[Array, ""]:
        """Mean cross-entropy."""
        return jnp.mean(cross_entropy(point["W"] @ point["M"], labels_of(self.C, 1)))

    def constrain(self, point: Point) -> Point:
        """Scale each vector to its radius, or to the ball if outside."""
        W, M = point["W"], point["M"]
        w, m = jnp.linalg.norm(W, axis=1, keepdims=True) / self.a, jnp.linalg.norm(M, axis=0, keepdims=True) / self.r
        if self.balls:
            w, m = jnp.maximum(w, 1.0), jnp.maximum(m, 1.0)
        return {"W": W / w, "M": M / m}

    def on_spheres(self, point: Point) -> Float[Array, ""]:
        """The loss after scaling: its gradient on the spheres is the Riemannian one, and keeps every radius."""
        return self.loss(self.constrain(point))

    def run(self, point: Point) -> ModelPath:
        """Gradient flow on the spheres; projected gradient descent in the balls."""
        if self.balls:
            return descend(self, point, OptimizerSettings("sgd", 2000, rate=self.C))
        path = flow(self, point, _on_spheres, ts=np.linspace(0.0, E_FOLDS / self.rate, 121))
        return path._replace(point=self.constrain(path.point))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, Gram matrices and logits."""
        W, M = point["W"], point["M"]
        return {VALUE: self.loss(point), "W W^T": W @ W.T, "M^T M": M.T @ M, "W M": W @ M}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The minimum: one Simplex ETF."""
        del point
        C, a, r = self.C, self.a, self.r
        gram = C / (C - 1) * centring(C)
        exponent = -a * r * (1 if fault else C / (C - 1))
        value = np.log1p((C - 1) * np.exp(exponent))
        return {VALUE: np.asarray(value), "W W^T": a**2 * gram, "M^T M": r**2 * gram, "W M": a * r * gram}

    def layer(self, point: Point) -> Layer:
        """W, no bias, and the class means, which are the examples."""
        return Layer(point["W"], jnp.zeros(self.C), point["M"].T, labels_of(self.C, 1))

    # the minimum, and the flow near it

    def etf(self) -> Point:
        """A minimum."""
        E = simplex_etf(self.C, self.P)
        return {"W": jnp.asarray(self.a * E.T), "M": jnp.asarray(self.r * E)}

    def curvatures(self) -> np.ndarray:
        """Eigenvalues of the Riemannian Hessian at the minimum, ascending, with a zero for each of the 2 C radii."""
        return _curvatures(self)

    @property
    def flat_directions(self) -> int:
        """Dimension of the orbit of the ETF under rotations of R^P, and the 2 C radii."""
        P, rest = self.P, self.P - self.C + 1
        return P * (P - 1) // 2 - rest * (rest - 1) // 2 + 2 * self.C

    def slope(self, path: ModelPath) -> float:
        """-d/dt of the log of the loss above the minimum, over its last decades above rounding."""
        gap = path.ys["loss"] - float(self.predicted({})[VALUE])
        use = (gap < 1e-8) & (gap > 1e-12)
        return -float(np.polyfit(path.x[use], np.log(gap[use]), 1)[0])

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The value from every start, the curvatures, the rate of the flow, and too few dimensions."""
        model = cls()
        least, wrong = (float(model.predicted({}, fault=fault)[VALUE]) for fault in (False, True))
        worst = max(float(model.run(model.start(seed)).ys["loss"][-1]) for seed in range(STARTS))
        reason = "what the flow leaves, and its integration"
        yield Fact(f"highest loss from {STARTS} starts", worst, least, 1e-10, reason, worst - wrong)
        for model in (cls(C=3, P=2), *(cls(C=C, P=P) for C, P in SIZES)):
            size, values = f"C = {model.C}, P = {model.P}", model.curvatures()
            flat, slow = model.flat_directions, model.rate
            found = float(values[flat])
            yield Fact(f"lowest curvature, {size}", found, slow, 1e-13, "rounding", found - slow * model.C)
            nulls = float(np.sum(np.abs(values) < 1e-10))
            missed = nulls - model.P * (model.P - 1) / 2
            yield Fact(f"flat directions, {size}", nulls, float(flat), 0.05, "a count", missed)
        for model in (cls(), cls(C=3, P=2)):
            found, predicted = model.slope(model.run(model.start(0))), 2 * model.rate
            reason = "faster directions and the curvature of the loss in the window of the fit, relative 1e-2"
            name = f"rate of the loss, C = {model.C}, P = {model.P}"
            yield Fact(name, found, predicted, 1e-2 * predicted, reason, found - predicted / 2)
        plane = cls(C=4, P=2)
        paths = [descend(plane, plane.start(seed), OptimizerSettings("sgd", 4000, rate=4.0)) for seed in range(8)]
        best = min(float(path.ys["loss"][-1]) for path in paths)
        square = float(2 * np.log1p(np.exp(-1)))
        reason = "what gradient descent leaves; the square is above the bound, which needs P >= C - 1"
        yield Fact("P = 2 < C - 1 = 3: a square", best, square, 1e-10, reason, best - least)

    @classmethod
    def panels(cls) -> list[Chart]:
        """The loss above its minimum along the flow, and the rate against C."""
        lines = []
        for model in (cls(), cls(C=10, P=12)):
            path = model.run(model.start(0))
            gap = path.ys["loss"] - float(model.predicted({})[VALUE])
            use, C = gap > 1e-13, model.C
            last, x = int(np.argmax(gap < 1e-8)), path.x / C**2
            line = gap[last] * np.exp(-2 * model.rate * (path.x - path.x[last]))
            lines += [
                Series(f"C = {C}", x[use], gap[use]),
                Series(f"C = {C}, rate 4q/(C-1)", x[use], line[use], "predicted"),
            ]
        sizes, models = np.array(SIZES)[:, 0], [cls(C=C, P=P) for C, P in SIZES]
        found = np.array([model.curvatures()[model.flat_directions] for model in models])
        rates = np.array([model.rate for model in models])
        return [
            Chart("Flow on spheres", "t/C^2", "loss above the minimum", tuple(lines), log_y=True),
            Chart(
                "Slowest direction",
                "C",
                "curvature",
                (Series("Hessian", sizes, found), Series("2q/(C-1)", sizes, rates, "predicted")),
                log_x=True,
                log_y=True,
            ),
        ]


@cache
def _curvatures(model: Lu) -> np.ndarray:
    flat, build = ravel_pytree(model.etf())
    hessian = jax.jit(jax.hessian(lambda x: model.on_spheres(build(x))))
    return np.linalg.eigvalsh(np.asarray(hessian(flat)))


def _on_spheres(model: Lu, point: Point) -> Point:
    """Minus the Riemannian gradient."""
    return jax.tree.map(jnp.negative, jax.grad(model.on_spheres)(point))
