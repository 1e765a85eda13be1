"""A homogeneous network with normalised layers under the square loss: one radius rho, and directions on spheres.

    min over rho, V_1, V_2, V_3, ||V_k||_F = 1, of  L = sum_n (1 - rho fb_n)^2 + lambda rho^2,  fb_n = y_n f_V(x_n)

for two classes, y = +1 or -1, here with the linear network f_V(x) = V_3 V_2 V_1 x. Gradient flow on the spheres,

    rho' = 2 sum_n (1 - rho fb_n) fb_n - 2 lambda rho,   V_k' = 2 rho sum_n (1 - rho fb_n) (d fb_n/d V_k - V_k fb_n)

has rho = sum fb / (lambda + sum fb^2) where it rests. The product of the layers has norm at most 1, with equality for
aligned layers of rank one; so the minimum over rho and directions is ridge regression: rho V_3 V_2 V_1 = w, which
minimises sum_n (1 - y_n <w, x_n>)^2 + lambda ||w||^2, and rho = ||w||.

On the way the imbalance of neuron j, D_j = ||row j of V_k||^2 - ||column j of V_(k+1)||^2, obeys

    D_j(t) = D_j(0) exp(-(rho(t)^2 - rho(0)^2) - 4 lambda int rho^2 dt)

where plain gradient flow on W_k conserves it, and ||W_k||^2 - ||W_l||^2 too. Weight normalization, W_k = g_k
V_k/||V_k|| with free g_k, conserves ||V_k|| and g_k^2 - g_l^2. The three share critical points, not speeds.

Source: Poggio & Liao (2020), arXiv 2101.00072; the imbalance law and the end state are derived here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models.model import VALUE, Fact, Layer, Line, Model, Panel, Path, Point, random_point
from central_path.models.optimise import flow
from central_path.solve import Clock, integrate

LAYERS = ("V1", "V2", "V3")
SOLVED = "the solver's tolerance of 1e-11 over the path"


def _spheres(model: Any, point: Point) -> Point:
    """The field of gradient flow with the layers on their spheres."""
    slope = jax.grad(model.loss)(point)
    return {
        key: -slope[key] + (jnp.sum(slope[key] * value) * value if key in LAYERS else 0.0)
        for key, value in point.items()
    }


@final
@dataclass(frozen=True)
class Poggio(Model):
    """Inputs of dimension d, hidden layers of width m, n examples, the decay of rho."""

    d: int = 4
    m: int = 5
    n: int = 12
    decay: float = 0.5
    t_max: float = 100.0

    name = "poggio"
    source = "Poggio & Liao (2020)"
    minimised = "square loss with decay on rho, two classes"
    constraint = "||V_k||_F = 1 for every layer"
    end_state = "ridge regression: aligned layers of rank one, rho = ||w||"
    planted = "a decay of 2 lambda"

    @classmethod
    def instances(cls) -> tuple["Poggio", ...]:
        """Several sizes and decays."""
        return cls(), cls(d=6, m=3, n=20, decay=2.0, t_max=40.0), cls(d=3, m=8, n=10, decay=1.0)

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, d) around +u and -u, and their classes 0 and 1 (n,)."""
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [self.n // 2, self.n - self.n // 2])
        u = rng.standard_normal(self.d)
        return (2.0 * y - 1)[:, None] * u / np.linalg.norm(u) + 0.5 * rng.standard_normal((self.n, self.d)), y

    @property
    def signed(self) -> np.ndarray:
        """y_n x_n (n, d)."""
        x, y = self.data
        return (2.0 * y - 1)[:, None] * x

    def ridge(self, decay: float) -> np.ndarray:
        """The w (d,) of the minimum."""
        Z = self.signed
        return np.linalg.solve(Z.T @ Z + decay * np.eye(self.d), Z.sum(axis=0))

    def start(self, seed: int) -> Point:
        """Random directions and a radius of 1."""
        shapes = {"V1": (self.m, self.d), "V2": (self.m, self.m), "V3": (1, self.m)}
        point = self.constrain(random_point(seed, shapes, 1.0) | {"rho": jnp.ones(())})
        up = jnp.sum(self._margins(point)) > 0  # the sphere attracts while sum l fb > 0, and repels below
        return point | {"V3": jnp.where(up, 1.0, -1.0) * point["V3"]}

    def constrain(self, point: Point) -> Point:
        """Each layer back onto its sphere."""
        return {key: value / jnp.linalg.norm(value) if key in LAYERS else value for key, value in point.items()}

    def _margins(self, point: Point) -> Float[Array, " n"]:
        return jnp.asarray(self.signed) @ (point["V3"] @ point["V2"] @ point["V1"])[0]

    def loss(self, point: Point) -> Float[Array, ""]:
        """L."""
        return jnp.sum((1 - point["rho"] * self._margins(point)) ** 2) + self.decay * point["rho"] ** 2

    def run(self, point: Point) -> Path:
        """Gradient flow on the spheres."""
        ts = np.concatenate([[0.0], np.geomspace(1e-3, self.t_max, 60)])
        path = flow(self, point, _spheres, ts=ts)
        return path._replace(point=self.constrain(path.point))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, rho, and the linear map."""
        product = point["rho"] * (point["V3"] @ point["V2"] @ point["V1"])[0]
        fb = self._margins(point)
        rest = jnp.sum(fb) / (self.decay + jnp.sum(fb**2))
        return {VALUE: self.loss(point), "rho": point["rho"], "rho at rest": rest, "w": product}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """Ridge regression."""
        del point
        decay = 2 * self.decay if fault else self.decay
        w = self.ridge(decay)
        value = np.asarray(np.sum((1 - self.signed @ w) ** 2) + decay * np.sum(w**2))
        rho = np.asarray(np.linalg.norm(w))
        return {VALUE: value, "rho": rho, "rho at rest": rho, "w": w}

    def layer(self, point: Point) -> Layer:
        """The last layer as a classifier of two classes, and the features V_2 V_1 x."""
        x, y = self.data
        w = point["rho"] * point["V3"]
        features = jnp.asarray(x) @ (point["V2"] @ point["V1"]).T
        return Layer(jnp.concatenate([-w, w]), jnp.zeros(2), features, y)

    # laws on the way

    def along(self, field: Callable[[Any, Point], Point], point: Point, ts: np.ndarray) -> Point:
        """The points at times ts of any flow of this model, with a leading axis T."""
        clock = Clock(jnp.asarray(ts[-1]), jnp.asarray(ts[-1]), jnp.asarray(1.0))

        @eqx.filter_jit
        def solve(point: Point) -> Any:
            return integrate(
                lambda point, _: field(self, point),
                point,
                None,
                clock,
                observe=lambda point, _: point,
                ts=jnp.asarray(ts),
                rtol=1e-11,
                atol=1e-13,
            ).ys

        return solve(point)

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The imbalance law on the spheres; what plain flow and weight normalization conserve."""
        ts = np.linspace(0, 2, 2001)
        for decay in (0.0, 0.5):
            D, law = cls(decay=decay).imbalance(ts)
            off, faulty = (float(np.max(np.abs(D - D[:1] * growth))) for growth in (law, np.sqrt(law)))
            yield Fact(f"imbalance law, lambda = {decay:g}: largest distance", off, 0.0, 1e-9, SOLVED, faulty)
        model = cls()
        start = {key: value for key, value in model.start(1).items() if key in LAYERS}
        norms = jax.vmap(lambda p: jnp.stack([jnp.sum(p[key] ** 2) for key in LAYERS]))
        plain = norms(model.along(_plain, start, np.linspace(0, 2, 50)))
        name = "plain flow: change of ||W_1||^2 - ||W_2||^2"
        yield _conserved(name, plain[:, 0] - plain[:, 1], plain[:, 0] + plain[:, 1])
        scaled = start | {f"g{key}": jnp.asarray(1.0 + i / 2) for i, key in enumerate(LAYERS)}
        seen = model.along(_weight_normalised, scaled, np.linspace(0, 2, 50))
        g1, g2 = seen["gV1"], seen["gV2"]
        yield _conserved("weight normalization: change of g_1^2 - g_2^2", g1**2 - g2**2, g1**2 + g2**2)
        yield _conserved("weight normalization: change of ||V_1||", norms(seen)[:, 0], g1)

    def imbalance(self, ts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """D_j (T, m) between the first two layers along the flow, and the factor (T, 1) of its law."""
        seen = self.along(_spheres, self.start(0), ts)
        D = np.asarray(jnp.sum(seen["V1"] ** 2, axis=2) - jnp.sum(seen["V2"] ** 2, axis=1))
        rho2 = np.asarray(seen["rho"]) ** 2
        area = np.concatenate([[0.0], np.cumsum(np.diff(ts) * _simpson(rho2))])
        return D, np.exp(-(rho2 - rho2[0]) - 4 * self.decay * area)[:, None]

    @classmethod
    def panels(cls) -> list[Panel]:
        """The imbalance of the neurons against its law."""
        ts = np.linspace(0, 2, 2001)
        D, law = cls().imbalance(ts)
        few = slice(0, None, 100)
        measured = [Line(f"neuron {j + 1}", ts[few], np.abs(D[few, j])) for j in range(D.shape[1])]
        predicted = [
            Line("law" if j == 0 else "", ts, np.abs(D[0, j] * law[:, 0]), "predicted") for j in range(len(D[0]))
        ]
        text = "time $t$ (units of the gradient flow)"
        return [Panel("Imbalance of neurons", text, "|D_j|", (*measured, *predicted), log_y=True)]


def _simpson(values: np.ndarray) -> np.ndarray:
    """Means over the intervals of an even grid, each from the cubic through the four points around it."""
    v = values
    inner = (-v[:-3] + 13 * v[1:-2] + 13 * v[2:-1] - v[3:]) / 24
    first = (9 * v[0] + 19 * v[1] - 5 * v[2] + v[3]) / 24
    last = (9 * v[-1] + 19 * v[-2] - 5 * v[-3] + v[-4]) / 24
    return np.concatenate([[first], inner, [last]])


def _plain(model: Poggio, point: Point) -> Point:
    """Gradient flow of sum_n (1 - y f)^2 on layers without any constraint."""
    return jax.tree.map(jnp.negative, jax.grad(lambda p: model.loss(p | {"rho": jnp.ones(())}))(point))


def _weight_normalised(model: Poggio, point: Point) -> Point:
    """Gradient flow on g_k and V_k of the same loss with W_k = g_k V_k/||V_k||."""

    def loss(p: Point) -> Array:
        layers = {key: p[f"g{key}"] * p[key] / jnp.linalg.norm(p[key]) for key in LAYERS}
        return model.loss(layers | {"rho": jnp.ones(())})

    return jax.tree.map(jnp.negative, jax.grad(loss)(point))


def _conserved(name: str, values: Array, moving: Array) -> Fact:
    """Largest change of what is conserved; planted: a quantity that is not."""
    change, faulty = (float(jnp.max(jnp.abs(v - v[0]))) for v in (values, moving))
    return Fact(name, change, 0.0, 1e-9, SOLVED, faulty)
