"""Cross-entropy under norm bounds: the classifier's spectral norm and every feature's norm are at most 1.

    min over W (C, P), H (P, CN) of  Ave CE(W h, y),    ||W||_2 <= 1,  |h_{k,i}| <= 1

without bias. For P >= C - 1 the minimum is log(1 + (C-1) exp(-sqrt(C/(C-1)))). It is reached exactly where

    Pi W W^T Pi = Pi,    h_{k,i} = sqrt(C/(C-1)) (Pi W)^T e_k,    Pi = I - 11^T/C,

since the logits of an example lie in the unit ball, of which sqrt(C/(C-1)) (e_k - 1/C) is the best point. Centred, W is
a Simplex ETF; its mean row s = |W^T 1|/sqrt(C) <= 1 is free if P >= C. As the project measures NC3, with W as it is, it
then ends at 2 - 2/sqrt(1 + s^2/(C-1)) and not at 0.

Two layers do not have features at will: `two_layer` is a counter-example, where the outputs of a class stay apart.

Source: E & Wojtowytsch (2020), arXiv 2012.05420; the minimum derived anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models import two_layer
from central_path.models.frames import centring, cross_entropy, labels_of
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend

STARTS = 9
SCALES = (0.1, 0.5, 3.0)  # of a start's entries, by its seed: within the bounds, about, beyond

CHECKS = tuple(int(steps) for steps in np.geomspace(100, 100_000, 16))  # steps of the two-layer training


@final
@dataclass(frozen=True)
class EWojtowytsch(Model):
    """Sizes."""

    C: int = 4
    P: int = 6
    N: int = 3

    name = "e_wojtowytsch"
    source = "E & Wojtowytsch (2020)"
    minimised = "cross-entropy"
    constraint = "spectral norm of W <= 1, |h| <= 1"
    end_state = "H, and W once centred, a Simplex ETF"
    planted = "exponent -1 in place of -sqrt(C/(C-1))"

    @classmethod
    def instances(cls) -> tuple["EWojtowytsch", ...]:
        """More dimensions than classes, the fewest, and more classes."""
        return cls(), cls(C=3, P=2, N=5), cls(C=10, P=12, N=2)

    @property
    def labels(self) -> np.ndarray:
        """N of each class."""
        return labels_of(self.C, self.N)

    def start(self, seed: int) -> Point:
        """Normal entries, small or large by the seed, and projected."""
        shapes = {"W": (self.C, self.P), "H": (self.P, self.C * self.N)}
        return self.constrain(random_point(seed, shapes, SCALES[seed % len(SCALES)]))

    def loss(self, point: Point) -> Float[Array, ""]:
        """Mean cross-entropy."""
        return jnp.mean(cross_entropy(point["W"] @ point["H"], self.labels))

    def constrain(self, point: Point) -> Point:
        """The nearest point: singular values of W and norms of features cut off at 1."""
        U, s, V = jnp.linalg.svd(point["W"], full_matrices=False)
        W = jnp.where(s[0] > 1, (U * jnp.minimum(s, 1.0)[None, :]) @ V, point["W"])
        H = point["H"]
        return {"W": W, "H": H / jnp.maximum(jnp.linalg.norm(H, axis=0, keepdims=True), 1.0)}

    def run(self, point: Point) -> ModelPath:
        """Projected gradient descent; the mean loss has gradients of size 1/C in W and 1/(CN) in a feature."""
        return descend(self, point, OptimizerSettings("sgd", 4000, rate=self.C / 2))

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, Gram matrices of the centred W and of the features, and their logits."""
        W, H = point["W"] - jnp.mean(point["W"], axis=0, keepdims=True), point["H"]
        return {VALUE: self.loss(point), "Pi W W^T Pi": W @ W.T, "H^T H": H.T @ H, "Pi W H": W @ H}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The minimum."""
        del point
        C, N = self.C, self.N
        exponent = -1.0 if fault else -np.sqrt(C / (C - 1))
        logits = np.sqrt(C / (C - 1)) * np.repeat(centring(C), N, axis=1)
        gram = C / (C - 1) * np.kron(centring(C), np.ones((N, N)))
        value = np.asarray(np.log1p((C - 1) * np.exp(exponent)))
        return {VALUE: value, "Pi W W^T Pi": centring(C), "H^T H": gram, "Pi W H": logits}

    def layer(self, point: Point) -> Layer:
        """W as it is, no bias, the free features."""
        return Layer(point["W"], jnp.zeros(self.C), point["H"].T, self.labels)

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The minimum from every start, what the free row does to NC3, and the two-layer counter-example."""
        model = cls()
        least, wrong = (float(model.predicted({}, fault=fault)[VALUE]) for fault in (False, True))
        paths = [model.run(model.start(seed)) for seed in range(STARTS)]
        worst = max(float(path.ys["loss"][-1]) for path in paths)
        yield Fact(f"highest loss from {STARTS} starts", worst, least, 1e-13, "rounding", worst - wrong)
        path = max(paths, key=lambda path: path.ys["self_duality"][-1])
        W, H = np.asarray(path.point["W"]), np.asarray(path.point["H"])
        free = np.sum(np.sum(W, axis=0) ** 2) / model.C
        found, predicted = float(path.ys["self_duality"][-1]), float(2 - 2 / np.sqrt(1 + free / (model.C - 1)))
        yield Fact("self_duality with a free mean row", found, predicted, 1e-12, "rounding", found)
        yield from _outputs_stay_apart()
        first, second = ((W[0] - W[1]) @ H)[:2]  # two examples of class 0
        apart = float(second / first)
        yield Fact("free features: ratio of a class's outputs", apart, 1.0, 1e-12, "rounding", apart - 1.5)

    @classmethod
    def panels(cls) -> list[Chart]:
        """The two-layer network: outputs of a class, and the norm for a margin of 1, along a training."""
        seen = two_layer.train(checks=CHECKS)
        ends = seen.steps[[0, -1]]
        ratio = (Series("gradient descent", seen.steps, seen.ratio), Series("3/2", ends, np.full(2, 1.5), "predicted"))
        widest = np.full(2, np.sqrt(2))
        norm = (Series("gradient descent", seen.steps, seen.norm), Series("sqrt(2)", ends, widest, "predicted"))
        return [
            Chart("Two layers: no collapse", "step", "f(2)/f(1), of one class", ratio, log_x=True),
            Chart("Two layers: the widest margin", "step", "norm over margin", norm, log_x=True),
        ]


def _outputs_stay_apart() -> Iterator[Fact]:
    """The linear program, its dual, and gradient descent."""
    norm, f = two_layer.widest_margin()
    equal, same = two_layer.widest_margin(equal=True)
    reason = "tolerance of the linear program"
    yield Fact("two layers: least norm for margin 1", norm, float(np.sqrt(2)), 1e-7, reason, equal - float(np.sqrt(2)))
    found, wrong = float(f[2] / f[1]), float(same[2] / same[1])
    yield Fact("two layers: f(2)/f(1) of widest margin", found, 1.5, 1e-6, reason, wrong - 1.5)
    yield Fact("two layers: least norm if f(2) = f(1)", equal, float(3 / np.sqrt(2)), 1e-7, reason, norm - equal)
    angles = two_layer.angles()
    dual = two_layer.certificate(angles)
    wrong = float(np.max(two_layer.certificate(angles, two_layer.WEIGHTS[::-1])))
    yield Fact("two layers: largest dual certificate", float(np.max(dual)), 1.0, 1e-14, "rounding", wrong - 1)
    touching = np.degrees(np.sort(angles[np.argsort(dual)[-2:]]))
    far, wrong = (float(np.max(np.abs(touching - where))) for where in ([45, 135], [0, 90]))
    yield Fact("two layers: it touches at 45 and 135 degrees", far, 0.0, 1e-9, "rounding", wrong)
    ratio = float(two_layer.train(checks=CHECKS).ratio[-1])
    reason = "what 1e5 steps leave: it falls by a factor of about sqrt(10) a decade"
    yield Fact("two layers: f(2)/f(1) by gradient descent", ratio, 1.5, 1e-2, reason, ratio - 1)
