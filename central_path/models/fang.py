"""The layer-peeled model: cross-entropy under budgets for W and H, with classes of two sizes.

    min over W (K, P), H (P, n) of  Ave CE(W h, y)   subject to
    Ave_k ||w_k||^2 <= E_W,    Ave_k Ave_{i in k} ||h_{k,i}||^2 <= E_H

without bias: K_A classes of n_A examples and K_B of n_B <= n_A. The examples of a class always coincide at the minimum,
both budgets are used up, and for P >= K only E_W E_H matters. With classes of one size the minimum is a Simplex ETF,
W H = a Pi, a = K/(K-1) sqrt(E_W E_H). With two sizes the minority classifiers draw together as R = n_A/n_B grows, and
coincide from a finite R* on: minority collapse. With small budgets they are zero from a second finite R0 on.

Both budgets are held with equality: each step, or each look at the loss, scales W and H to them.

Source: Fang, He, Long & Su (2021), PNAS 118(43), arXiv 2101.12699, where minority collapse is proved for R to infinity
and seen at finite R; R*, R0 and the curve in between are derived in `peeled`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from central_path.models.frames import centring, cross_entropy
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend
from central_path.models.peeled import Peeled

MEMORY = 50  # of L-BFGS: the loss is flat near R*
STEPS = 3000
SETTINGS = ((2, 2, 1.0), (5, 5, 1.0), (5, 5, 5.0), (7, 3, 5.0))  # K_A, K_B, E_W E_H
RATIOS = (0.9, 0.97, 1.03, 1.2)  # R/R*
NEAR = np.array([0.02, 0.04, 0.06])  # distance from a threshold in R, relative, of the points it is extrapolated from


class Optimum(NamedTuple):
    """What direct optimisation finds with P = K: the loss, W, class means, the norm of the loss's gradient in Z."""

    value: Float[Array, ""]
    W: Float[Array, "K K"]
    H: Float[Array, "K K"]
    price: Float[Array, ""]


@final
@dataclass(frozen=True)
class Fang(Model):
    """K_A classes of n_A examples, K_B of n_B, and the budgets."""

    K_A: int = 2
    K_B: int = 2
    n_A: int = 3
    n_B: int = 3
    E_W: float = 1.0
    E_H: float = 1.0
    P: int = 6

    name = "fang"
    source = "Fang et al. (2021)"
    minimised = "cross-entropy, classes of two sizes"
    constraint = "mean squared norms of W and H at most E_W, E_H"
    end_state = "Simplex ETF; minority classifiers coincide if n_A/n_B >= R*"
    planted = "K - 1 in place of K in the budget K sqrt(E_W E_H)"

    @classmethod
    def instances(cls) -> tuple["Fang", ...]:
        """Balanced, below R*, between R* and R0, beyond R0, and the authors' setting of ten classes."""
        return (
            cls(),
            cls(n_A=6, n_B=2, E_W=2.0, E_H=0.5),
            cls(n_A=8, n_B=2, P=4),
            cls(K_A=5, K_B=5, n_A=3, n_B=1, P=10),
            cls(K_A=5, K_B=5, n_A=8, n_B=1, E_H=5.0, P=12),
        )

    @property
    def K(self) -> int:
        """Classes."""
        return self.K_A + self.K_B

    @property
    def sizes(self) -> np.ndarray:
        """Examples of each class."""
        return np.repeat([self.n_A, self.n_B], [self.K_A, self.K_B])

    @property
    def labels(self) -> np.ndarray:
        """The majority first."""
        return np.repeat(np.arange(self.K), self.sizes)

    def start(self, seed: int) -> Point:
        """Normal entries, scaled to the budgets."""
        return self.constrain(random_point(seed, {"W": (self.K, self.P), "H": (self.P, len(self.labels))}, 1.0))

    def loss(self, point: Point) -> Float[Array, ""]:
        """Mean cross-entropy over all examples."""
        return jnp.mean(cross_entropy(point["W"] @ point["H"], self.labels))

    def constrain(self, point: Point) -> Point:
        """Scale W and H to their budgets."""
        W, H = point["W"], point["H"]
        used_H = jnp.sum(jnp.sum(H**2, axis=0) / self.sizes[self.labels].astype(float)) / self.K
        return {"W": W * jnp.sqrt(self.E_W * self.K / jnp.sum(W**2)), "H": H * jnp.sqrt(self.E_H / used_H)}

    def run(self, point: Point) -> ModelPath:
        """L-BFGS with a long memory."""
        return descend(self, point, OptimizerSettings("lbfgs", STEPS, memory=MEMORY))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, W W^T and the logits."""
        W, H = point["W"], point["H"]
        return {VALUE: self.loss(point), "W W^T": W @ W.T, "W H": W @ H}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The minimum: a Simplex ETF in closed form if balanced, by four scalars if not."""
        del point
        K, root = self.K, np.sqrt(self.E_W * self.E_H)
        tau = float((K - 1 if fault else K) * root)
        if self.n_A == self.n_B:
            Z = size = tau / (K - 1) * centring(K)
            value = np.log1p((K - 1) * np.exp(-tau / (K - 1)))
        else:
            peeled = Peeled(self.K_A, self.K_B, self.n_A / self.n_B, tau)
            value, (Z, size) = peeled.value, peeled.matrices()
        return {VALUE: np.asarray(value), "W W^T": np.sqrt(self.E_W / self.E_H) * size, "W H": Z[:, self.labels]}

    def layer(self, point: Point) -> Layer:
        """W, no bias, the free features."""
        return Layer(point["W"], jnp.zeros(self.K), point["H"].T, self.labels)

    # against the ratio

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """R* from both sides and R0 by direct optimisation, and the minimum and the minority's cosine about R*."""
        reason = "extrapolation from three ratios within 6 %, relative 1e-3"
        for K_A, K_B, E in SETTINGS:
            at, wrong = _peeled(K_A, K_B, E), _peeled(K_A, K_B, E, K_A + K_B - 1)
            R, name = at.threshold(), f"K_A = {K_A}, K_B = {K_B}, E_W E_H = {E:g}"
            for side, found in (("below", _collapse_from_below(at)), ("above", _collapse_from_above(at))):
                yield Fact(f"R* from {side}, {name}", found, R, 1e-3 * R, reason, found - wrong.threshold())
        at, wrong = _peeled(5, 5, 1.0), _peeled(5, 5, 1.0, 9)
        found, R = _vanishing_from_below(at), at.vanishing()
        yield Fact("R0, where minority classifiers vanish", found, R, 1e-3 * R, reason, found - wrong.vanishing())
        for ratio in RATIOS:
            gaps, cosines, faults = zip(*(_compare(setting, ratio) for setting in SETTINGS), strict=True)
            settings = f"{ratio:g} R*, {len(SETTINGS)} settings"
            fault = min(fault for fault, _ in faults)
            yield Fact(f"minimum from W, H, {settings}", max(gaps), 0.0, 1e-12, "what L-BFGS leaves", fault)
            reason = "a minimum that is flat near R*: the cosine is good to the root of the loss"
            fault = min(fault for _, fault in faults)
            yield Fact(f"minority cosine, {settings}", max(cosines), 0.0, 1e-5, reason, fault)

    @classmethod
    def panels(cls) -> list[Chart]:
        """The cosine between minority classifiers against R, and R* against the budgets."""
        lines = []
        for E in (2.0, 5.0, 10.0):
            end = 2 * _peeled(5, 5, E).threshold()
            points, ratios = np.geomspace(1.0, end, 10), np.geomspace(1.0, end, 100)
            found = np.array([_cosine(_direct(5, 5, float(R), E), 5) for R in points])
            curve = np.array([_peeled(5, 5, E, R=float(R)).cosine for R in ratios])
            name = f"E_W E_H = {E:g}"
            lines += [Series(name, points, found), Series(f"{name}, four scalars", ratios, curve, "predicted")]
        budgets = np.geomspace(0.5, 10.0, 30)
        curve = np.array([_peeled(5, 5, float(E)).threshold() for E in budgets])
        used = np.array([1.0, 2.0, 5.0])
        found = np.array([_collapse_from_above(_peeled(5, 5, float(E))) for E in used])
        threshold = (Series("direct", used, found), Series("four scalars", budgets, curve, "predicted"))
        return [
            Chart("Minority collapse, K_A = K_B = 5", "R = n_A/n_B", "cosine of minority", tuple(lines), log_x=True),
            Chart("Threshold, K_A = K_B = 5", "E_W E_H", "R*", threshold, log_x=True, log_y=True),
        ]


def _peeled(K_A: int, K_B: int, E: float, K: int | None = None, R: float = 1.0) -> Peeled:
    """The four scalars at a budget E = E_W E_H; K is the planted one of the budget."""
    return Peeled(K_A, K_B, R, float((K or K_A + K_B) * np.sqrt(E)))


@cache
def _direct(K_A: int, K_B: int, R: float, E: float) -> Optimum:
    """Minimise over W and H, P = K, one example a class, which stands for its share; the better of two starts."""
    peeled = _peeled(K_A, K_B, E, R=R)
    found = [_minimise(peeled.classes(), peeled.tau, jax.random.key(seed)) for seed in range(2)]
    return min(found, key=lambda optimum: float(optimum.value))


@jax.jit
def _minimise(p: Float[Array, " K"], tau: Float[Array, ""], key: Array) -> Optimum:
    K = len(p)
    optimizer = optax.lbfgs(memory_size=MEMORY)

    def scaled(x: Array) -> Array:
        return jnp.sqrt(tau) * x / jnp.linalg.norm(x, axis=(1, 2), keepdims=True)

    def loss(Z: Array) -> Array:
        return jnp.sum(p * cross_entropy(Z, np.arange(K)))

    def objective(x: Array) -> Array:
        W, H = scaled(x)
        return loss(W @ H)

    def step(carry):
        x, state, count, _ = carry
        value, gradient = jax.value_and_grad(objective)(x)
        updates, state = optimizer.update(gradient, state, x, value=value, grad=gradient, value_fn=objective)
        return x + updates, state, count + 1, jnp.max(jnp.abs(gradient))

    def go_on(carry):
        return (carry[2] < STEPS) & (carry[3] > 1e-13)

    x = jax.random.normal(key, (2, K, K))
    x, *_ = jax.lax.while_loop(go_on, step, (x, optimizer.init(x), 0, jnp.inf))
    W, H = scaled(x)
    return Optimum(loss(W @ H), W, H, jnp.linalg.norm(jax.grad(loss)(W @ H), ord=2))


def _at(peeled: Peeled, R: float) -> Optimum:
    return _direct(peeled.K_A, peeled.K_B, R, float((peeled.tau / peeled.K) ** 2))


def _cosine(found: Optimum, K_B: int) -> float:
    """Mean cosine between different minority classifiers; NaN where they vanish."""
    w = np.asarray(found.W)[-K_B:]
    lengths = np.linalg.norm(w, axis=1, keepdims=True)
    if np.max(lengths) < 1e-4:
        return float("nan")
    w = w / lengths
    return float(np.mean((w @ w.T)[~np.eye(K_B, dtype=bool)]))


def _root(ratios: np.ndarray, values: list[float]) -> float:
    """Where the parabola through three points (ratio, value) vanishes, by the ratio as a function of the value."""
    return float(np.polyval(np.polyfit(values, ratios, 2), 0.0))


def _collapse_from_below(peeled: Peeled) -> float:
    """Where a_B, the singular value of Z within the minority, reaches 0."""
    ratios, K_B = peeled.threshold() * (1 - NEAR), peeled.K_B
    Zs = [np.asarray(found.W @ found.H)[-K_B:, -K_B:] for found in (_at(peeled, float(R)) for R in ratios)]
    return _root(ratios, [float(np.trace(centring(K_B) @ Z)) / (K_B - 1) for Z in Zs])


def _collapse_from_above(peeled: Peeled) -> float:
    """Where the price of tau, the spectral norm of the gradient in Z, falls to the share of a minority class."""
    ratios = peeled.threshold() * (1 + NEAR)
    shares = [Peeled(peeled.K_A, peeled.K_B, float(R), peeled.tau).shares[1] for R in ratios]
    prices = [float(_at(peeled, float(R)).price) for R in ratios]
    return _root(ratios, [price / share - 1 for price, share in zip(prices, shares, strict=True)])


def _vanishing_from_below(peeled: Peeled) -> float:
    """Where the squared norms of the minority classifiers reach 0."""
    ratios = peeled.vanishing() * (1 - NEAR)
    found = [np.asarray(_at(peeled, float(R)).W)[-peeled.K_B :] for R in ratios]
    return _root(ratios, [float(np.sum(w**2)) for w in found])


def _compare(setting: tuple[int, int, float], ratio: float) -> tuple[float, float, tuple[float, float]]:
    """|direct - four scalars| of the minimum and the cosine, and with planted faults: K - 1, and ratio upside down."""
    K_A, K_B, E = setting
    R = ratio * _peeled(K_A, K_B, E).threshold()
    found = _direct(K_A, K_B, R, E)
    cosine = _cosine(found, K_B)
    right, wrong = (_peeled(K_A, K_B, E, K, R) for K in (K_A + K_B, K_A + K_B - 1))
    inverse = _peeled(K_A, K_B, E, R=R / ratio**2)
    off = float(abs(float(found.value) - wrong.value)), abs(cosine - inverse.cosine)
    return float(abs(float(found.value) - right.value)), abs(cosine - right.cosine), off
