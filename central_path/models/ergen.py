"""The last two layers with batch normalisation and ReLU, under the squared loss with decay.

    min 1/2 ||W F - Y||^2 + lambda/2 (||gamma||^2 + ||alpha||^2 + ||W||^2),  f_j = relu(gamma_j u_j + alpha_j 1/sqrt(n))

where row j of F (m, n) is a neuron on all n examples and u_j is its pre-activation, centred and divided by its 2-norm;
pre-activations are free, as those of a linear layer are where the layer before it has rank n. A nonnegative row has at
best ||f_j||^2 = gamma_j^2 + alpha_j^2, so that this is decay on F and W, and convex in W F. For class sizes N_c and
s_c = (sqrt(N_c) - lambda)_+ the minimum is

    W F = s_c/sqrt(N_c) on the true class c, else 0,   W W^T = diag(s_c),   F^T F = s_c/N_c within class c, else 0
    value  sum_c lambda sqrt(N_c) - lambda^2/2  over classes with lambda < sqrt(N_c), and N_c/2 for the others

for m >= C: one neuron a class, or several proportional ones. A class with lambda >= sqrt(N_c) is given up. If none is
and all are of one size, class means are orthogonal, and about their mean a Simplex ETF.

Gradient descent reaches it with enough neurons. With m = C it may end in a worse critical point: examples on which no
neuron fires are as good as absent (N_c - j_c lost of a class leave N_c in s_c as j_c, and cost 1/2 each), and a class
that no neuron is left for, or two that share one, costs (sqrt(N_c) - lambda)^2/2 more. Small starts where every neuron
fires on every example and W is nonnegative hardly ever do either.

Note: frameworks divide by the standard deviation: gamma and alpha are sqrt(n) times theirs, whose decay is n lambda.

Source: Ergen & Pilanci (2020), arXiv 2002.09773; derived anew by the nuclear norm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend

GRADIENT_DESCENT = OptimizerSettings("sgd", 20_000, rate=0.05)
STARTS = 8


@final
@dataclass(frozen=True)
class Ergen(Model):
    """Class sizes, number of neurons m, decay lambda."""

    sizes: tuple[int, ...] = (6, 6, 6, 6)
    m: int = 20
    decay: float = 0.5

    name = "ergen"
    source = "Ergen & Pilanci (2020)"
    minimised = "squared loss with decay, after batch norm and ReLU"
    constraint = "pre-activations centred, of norm 1"
    end_state = "orthogonal class means, W W^T = diag((sqrt(N_c) - lambda)_+)"
    planted = "N_c for sqrt(N_c) in s_c"

    @classmethod
    def instances(cls) -> tuple["Ergen", ...]:
        """Balanced, unbalanced, one class given up."""
        return cls(), cls(sizes=(9, 6, 4, 3, 2), m=30, decay=0.8), cls(sizes=(8, 6, 4, 1), decay=1.2)

    @property
    def n(self) -> int:
        """Number of examples."""
        return sum(self.sizes)

    @property
    def labels(self) -> np.ndarray:
        """N_c of each class."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def start(self, seed: int) -> Point:
        """Normal entries."""
        shapes = {"A": (self.m, self.n), "gamma": (self.m,), "alpha": (self.m,), "W": (len(self.sizes), self.m)}
        return self.constrain(random_point(seed, shapes, 1.0))

    def firing(self, seed: int, *, any_sign: bool = False) -> Point:
        """A small start where every neuron fires on every example, and W is nonnegative (or of any sign)."""
        point = self.start(seed)
        least = np.sqrt(self.n) * jnp.abs(point["gamma"]) * jnp.max(jnp.abs(point["A"]), axis=1)
        W = point["W"] if any_sign else jnp.abs(point["W"])
        return point | {"gamma": 0.1 * point["gamma"], "alpha": 0.101 * least, "W": 0.1 * W}

    def constrain(self, point: Point) -> Point:
        """Batch normalisation of the pre-activations A (m, n)."""
        A = point["A"] - jnp.mean(point["A"], axis=1, keepdims=True)
        return point | {"A": A / jnp.linalg.norm(A, axis=1, keepdims=True)}

    def features(self, point: Point) -> Float[Array, "m n"]:
        """F; batch normalisation is part of it, so that gradients are those of the network."""
        u = self.constrain(point)["A"]
        return jnp.maximum(point["gamma"][:, None] * u + point["alpha"][:, None] / np.sqrt(self.n), 0.0)

    def loss(self, point: Point) -> Float[Array, ""]:
        """Half the sum of squares, and the decay."""
        error = point["W"] @ self.features(point) - np.eye(len(self.sizes))[:, self.labels]
        decay = sum(jnp.sum(point[key] ** 2) for key in ("gamma", "alpha", "W"))
        return (jnp.sum(error**2) + self.decay * decay) / 2

    def run(self, point: Point) -> ModelPath:
        """L-BFGS, for long: neurons that fire alike on all examples die by a power of the steps, some of them late."""
        return descend(self, point, OptimizerSettings("lbfgs", 30_000))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, logits and Gram matrices, which splitting a neuron does not change."""
        W, F = point["W"], self.features(point)
        gamma, alpha = jnp.sum(point["gamma"] ** 2), jnp.sum(point["alpha"] ** 2)
        share = alpha / (alpha + gamma)
        return {VALUE: self.loss(point), "W F": W @ F, "W W^T": W @ W.T, "F^T F": F.T @ F, "share of alpha": share}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The minimum."""
        del point
        N = np.array(self.sizes)
        root = N if fault else np.sqrt(N)
        s, of_class = np.maximum(root - self.decay, 0.0), np.eye(len(N))[:, self.labels]
        prices = np.where(self.decay < root, self.decay * root - self.decay**2 / 2, N / 2)
        return {
            VALUE: np.asarray(np.sum(prices)),
            "W F": (s / np.sqrt(N))[:, None] * of_class,
            "W W^T": np.diag(s),
            "F^T F": of_class.T @ np.diag(s / N) @ of_class,
            "share of alpha": np.asarray(np.sum(s * N) / np.sum(s) / self.n),
        }

    def layer(self, point: Point) -> Layer:
        """W, no bias, and the features after the ReLU."""
        return Layer(point["W"], jnp.zeros(len(self.sizes)), self.features(point).T, self.labels)

    # what gradient descent reaches

    @property
    def least(self) -> float:
        """The minimum."""
        return float(self.predicted({})[VALUE])

    @property
    def price(self) -> float:
        """Of a class that is lost, if all are of one size."""
        return float(np.sqrt(self.sizes[0]) - self.decay) ** 2 / 2

    def above(self, point: Point, *, dead: bool = True) -> float:
        """Height above the minimum of a critical point (equal class sizes), from dead examples and the rank of W F."""
        Z, N, C = np.asarray(point["W"] @ self.features(point)), self.sizes[0], len(self.sizes)
        on = Z[self.labels, np.arange(self.n)] > 1e-4
        j = np.bincount(self.labels[on], minlength=C)
        j = j[j > 0] if dead else np.full(C, N)
        lost = C - np.linalg.matrix_rank(Z, tol=1e-4)
        absent = np.sum((N - j) / 2 - self.decay * (np.sqrt(N) - np.sqrt(j)))
        return float(absent) + int(lost) * self.price

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """Gradient descent with enough neurons, with one a class, and where that fails, by how much."""
        wide, narrow = cls(decay=0.3), cls(m=4, decay=0.3)
        seeds, price = range(STARTS), narrow.price
        runs = {
            f"{wide.m} neurons": (wide, [wide.start(seed) for seed in seeds], 1e-4),
            "4 neurons that fire, W >= 0": (narrow, [narrow.firing(seed) for seed in seeds], 1e-9),
        }
        for label, (model, starts, tolerance) in runs.items():
            worst = max(float(descend(model, start, GRADIENT_DESCENT).ys["loss"][-1]) for start in starts)
            name, reason = f"{label}: highest loss of {STARTS}", "what gradient descent leaves"
            yield Fact(name, worst, model.least, tolerance, reason, worst - model.least - price)
        signs = [narrow.firing(seed, any_sign=True) for seed in seeds]
        for label, starts in (("4 neurons that fire, W of any sign", signs), ("4 neurons", map(narrow.start, seeds))):
            ends = [descend(narrow, start, GRADIENT_DESCENT).point for start in starts]
            excess = sum(float(narrow.loss(point)) - narrow.least for point in ends)
            law = sum(narrow.above(point) for point in ends)
            faulty = sum(narrow.above(point, dead=False) for point in ends) if label == "4 neurons" else 0.0
            name, reason = f"{label}: excess of {STARTS} ends", "what gradient descent leaves"
            yield Fact(name, excess, law, 1e-5, reason, excess - faulty)

    @classmethod
    def panels(cls) -> list[Chart]:
        """Gradient descent with enough neurons and with few; which classes are given up."""
        wide, narrow, lines = cls(decay=0.3), cls(m=4, decay=0.3), []
        starts = {"20 neurons": wide.start(0), "4 neurons that fire": narrow.firing(0), "4 neurons": narrow.start(1)}
        for label, start in starts.items():
            model = wide if label == "20 neurons" else narrow
            path = descend(model, start, GRADIENT_DESCENT)
            lines.append(Series(label, path.x[1:], np.maximum(path.ys["loss"][1:] - model.least, 1e-16)))
        price = narrow.price
        lines.append(Series("one class lost", [1, GRADIENT_DESCENT.steps], [price, price], "predicted"))
        logits = []
        for model in cls.instances()[1:]:
            Z = np.asarray(model.measured(model.run(model.start(0)).point)["W F"])
            x = np.sqrt(model.sizes) / model.decay
            first = np.cumsum([0, *model.sizes[:-1]])
            logits.append(Series(f"lambda = {model.decay}", x, Z[model.labels[first], first]))
        x = np.linspace(0.5, 4.0, 141)
        logits.append(Series("(1 - lambda/sqrt(N_c))_+", x, np.maximum(1 - 1 / x, 0.0), "predicted"))
        return [
            Chart("Gradient descent", "step", "loss above the minimum", tuple(lines), log_x=True, log_y=True),
            Chart("Classes given up", "sqrt(N_c)/lambda", "logit of the true class", tuple(logits)),
        ]
