"""A homogeneous network with normalised layers under the square loss: one radius rho, and directions on spheres.

    min over rho, V_1, V_2, V_3, ||V_k||_F = 1, of  L = sum_n (1 - rho fb_n)^2 + lambda rho^2,  fb_n = y_n f_V(x_n)

for two classes, y = +1 or -1, f_V(x) = V_3 s(V_2 s(V_1 x)), by gradient flow on the spheres (see `homogeneous`). Where
it rests,

    rho = sum fb / (lambda + sum fb^2),    sum_n (1 - rho fb_n) d fb_n/d V_k = lambda rho V_k.

s = ReLU, lambda = 0, wide enough: rho fb_n = 1 for every n, the value 0. That leaves the features of a class apart: NC1
ends between 3e-4 and 1.2e-3 from three starts, not at 0. Kinks stall solvers of high order, so the steps are fixed.

s linear: the product of the layers has norm at most 1, with equality for aligned layers of rank one; so the minimum
over rho and directions is ridge regression: rho V_3 V_2 V_1 = w, which minimises sum_n (1 - y_n <w, x_n>)^2 + lambda
||w||^2, and rho = ||w||.

Source: Poggio & Liao (2020), arXiv 2101.00072; the end state of the linear network is derived here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models import homogeneous
from central_path.models.homogeneous import LAYERS, imbalance_law
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend, flow

RELU_DECAY = 0.01
SHRINKING = (
    OptimizerSettings("sgd", 100_000, 2e-3),
    OptimizerSettings("sgd", 100_000, 2e-4),
    OptimizerSettings("sgd", 100_000, 2e-5),
)


@final
@dataclass(frozen=True)
class Poggio(Model):
    """Inputs of dimension d, hidden layers of width m, n examples, the decay of rho; linear or with ReLU."""

    d: int = 4
    m: int = 5
    n: int = 12
    decay: float = 0.5
    t_max: float = 100.0
    relu: bool = False

    name = "poggio"
    source = "Poggio & Liao (2020)"
    minimised = "square loss with decay on rho, two classes"
    constraint = "||V_k||_F = 1 for every layer"
    end_state = "linear: ridge regression, rho = ||w||; ReLU without decay: every rho fb_n = 1"
    planted = "a decay of 2 lambda; with ReLU, margins of 1/2"

    @classmethod
    def instances(cls) -> tuple["Poggio", ...]:
        """Linear ones of several sizes and decays, and one with ReLU."""
        return (
            cls(),
            cls(d=6, m=3, n=20, decay=2.0, t_max=40.0),
            cls(d=3, m=8, n=10, decay=1.0),
            cls(d=8, m=16, n=24, decay=0.0, relu=True),
        )

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
        up = jnp.sum(self.margins(point)) > 0  # the sphere attracts while sum l fb > 0, and repels below
        return point | {"V3": jnp.where(up, 1.0, -1.0) * point["V3"]}

    def constrain(self, point: Point) -> Point:
        """Each layer back onto its sphere."""
        return {key: value / jnp.linalg.norm(value) if key in LAYERS else value for key, value in point.items()}

    def _features(self, point: Point, x: Array) -> Float[Array, "m n"]:
        """Of inputs x (n, d)."""
        s = jax.nn.relu if self.relu else lambda h: h
        return s(point["V2"] @ s(point["V1"] @ x.T))

    def margins(self, point: Point) -> Float[Array, " n"]:
        """The fb_n."""
        x, y = self.data
        return jnp.asarray(2.0 * y - 1) * (point["V3"] @ self._features(point, jnp.asarray(x)))[0]

    def loss(self, point: Point) -> Float[Array, ""]:
        """L."""
        return jnp.sum((1 - point["rho"] * self.margins(point)) ** 2) + self.decay * point["rho"] ** 2

    def run(self, point: Point) -> ModelPath:
        """Gradient flow on the spheres; with ReLU its steps of a fixed size, each back onto the spheres."""
        if self.relu:
            return descend(self, point, OptimizerSettings("sgd", 200_000, 2e-3))
        ts = np.concatenate([[0.0], np.geomspace(1e-3, self.t_max, 60)])
        path = flow(self, point, homogeneous.spheres, ts=ts)
        return path._replace(point=self.constrain(path.point))

    def rho_at_rest(self, point: Point) -> Float[Array, ""]:
        """Sum fb / (lambda + sum fb^2)."""
        fb = self.margins(point)
        return jnp.sum(fb) / (self.decay + jnp.sum(fb**2))

    def pull(self, point: Point) -> Point:
        """Sum_n (1 - rho fb_n) d fb_n/d V_k - lambda rho V_k, by layer: zero where the flow rests."""
        left = 1 - point["rho"] * self.margins(point)
        slopes = jax.grad(lambda layers: jnp.sum(left * self.margins(point | layers)))
        force = slopes({key: point[key] for key in LAYERS})
        return {key: force[key] - self.decay * point["rho"] * point[key] for key in LAYERS}

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, rho where the margins let it rest, and what else is known of the end."""
        seen = {VALUE: self.loss(point), "rho at rest": self.rho_at_rest(point)}
        if self.relu:
            return seen | {"rho fb": point["rho"] * self.margins(point)}
        w = point["rho"] * (point["V3"] @ point["V2"] @ point["V1"])[0]
        pull = jnp.concatenate([values.ravel() for values in self.pull(point).values()])
        return seen | {"rho": point["rho"], "w": w, "pull": pull}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """Ridge regression, or interpolation."""
        if self.relu:
            margins = np.full(self.n, 0.5 if fault else 1.0)
            return {VALUE: np.zeros(()), "rho at rest": np.asarray(point["rho"]), "rho fb": margins}
        decay = 2 * self.decay if fault else self.decay
        w = self.ridge(decay)
        value = np.asarray(np.sum((1 - self.signed @ w) ** 2) + decay * np.sum(w**2))
        rho = np.asarray(np.linalg.norm(w))
        pull = np.zeros(sum(point[key].size for key in LAYERS))
        return {VALUE: value, "rho at rest": rho, "rho": rho, "w": w, "pull": pull}

    def layer(self, point: Point) -> Layer:
        """The last layer as a classifier of two classes, and the features before it."""
        x, y = self.data
        w = point["rho"] * point["V3"]
        return Layer(jnp.concatenate([-w, w]), jnp.zeros(2), self._features(point, jnp.asarray(x)).T, y)

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The laws on the way, with and without decay and ReLU; rho at rest where kinks keep the layers moving."""
        for decay in (0.0, 0.5):
            yield homogeneous.imbalance_along(cls(decay=decay))
        yield from homogeneous.conserved_along(cls())
        model = cls(d=8, m=16, n=24, decay=RELU_DECAY, relu=True)
        yield from homogeneous.laws_at_a_point(model)
        point = model.start(0)
        for how in SHRINKING:
            point = descend(model, point, how).point
        name = f"ReLU, lambda = {RELU_DECAY:g}: rho"
        rho, rest = float(point["rho"]), float(model.rho_at_rest(point))
        plain = float(replace(model, decay=0.0).rho_at_rest(point))
        yield Fact(name, rho, rest, 1e-3, "at kinks it chatters with the step, here 2e-5", rho - plain)

    @classmethod
    def panels(cls) -> list[Chart]:
        """The imbalance of the neurons against its law."""
        ts = np.linspace(0, 2, 2001)
        D, law = imbalance_law(cls(), ts)
        few = slice(0, None, 100)
        measured = [Series(f"neuron {j + 1}", ts[few], np.abs(D[few, j])) for j in range(D.shape[1])]
        predicted = [
            Series("law" if j == 0 else "", ts, np.abs(D[0, j] * law[:, 0]), "predicted") for j in range(len(D[0]))
        ]
        text = "time $t$ (units of the gradient flow)"
        return [Chart("Imbalance of neurons", text, "|D_j|", (*measured, *predicted), log_y=True)]
