"""The least-squares classifier of given features under the rescaled square loss; at k = M = 1 it is Webb & Lowe's.

    min over W (C, P), b (C,) of  1/2 Ave sum_j v_j (w_j h + b_j - M y_j)^2 + lambda/2 (||W||^2 + ||b||^2)

with v_j = k on the true class, else 1, on features that do not move. The minimum is the W~_LS of `theory.rescaled`,
and its loss k M/2 sum_j pi_j (M - w_j mu_j - b_j).

Source: Hui & Belkin (2020), arXiv 2006.07322; Demirkaya, Chen & Oymak (2020); Webb & Lowe (1990).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import OptimizerSettings, descend
from central_path.theory import problem, rescaled


@final
@dataclass(frozen=True)
class Hui(Model):
    """Loss, and class sizes of Gaussian features of unlike covariances with a common offset."""

    k: float = 15.0
    M: float = 30.0
    lam: float = 0.03
    counts: tuple[int, ...] = (9, 21, 12, 30, 8)
    P: int = 7

    name = "hui"
    source = "Hui & Belkin (2020), Demirkaya et al. (2020), Webb & Lowe (1990)"
    minimised = "rescaled square loss over W, b with decay, features given"
    constraint = "none"
    end_state = "a least-squares classifier, row by row; NC1 to NC2 are of the given features"
    planted = "class j counted k + 1 times in place of k"

    @classmethod
    def instances(cls) -> tuple["Hui", ...]:
        """Hui & Belkin's weights, the plain loss, milder ones, and balanced classes."""
        return cls(), cls(k=1.0, M=1.0), cls(k=0.5, M=1.0, lam=1e-3), cls(k=3.0, M=2.0, counts=(12,) * 4, P=5)

    @property
    def C(self) -> int:
        """Classes."""
        return len(self.counts)

    @cached_property
    def labels(self) -> np.ndarray:
        """By class."""
        return np.repeat(np.arange(self.C), self.counts)

    @cached_property
    def features(self) -> np.ndarray:
        """The features (n, P), always the same."""
        rng = np.random.default_rng(0)
        spread = rng.standard_normal((self.C, self.P, self.P)) / 2
        noise = np.einsum("npq,nq->np", spread[self.labels], rng.standard_normal((len(self.labels), self.P)))
        return 1 + rng.standard_normal((self.C, self.P))[self.labels] + noise

    def least_squares(self, k: float) -> tuple[Array, Array]:
        """W_LS and b_LS for a weight k."""
        m = problem.moments_of_samples(self.features, self.labels, C=self.C)
        covariances = rescaled.class_covariances(self.features, self.labels, C=self.C)
        return rescaled.least_squares(m, covariances, k=k, M=self.M, lam=self.lam)

    def start(self, seed: int) -> Point:
        """Normal entries of about the size of the target."""
        return random_point(seed, {"W": (self.C, self.P), "b": (self.C,)}, self.M)

    def loss(self, point: Point) -> Float[Array, ""]:
        """Example by example."""
        features, labels = jnp.asarray(self.features), jnp.asarray(self.labels)
        settings = {"k": self.k, "M": self.M, "lam": self.lam}
        return rescaled.rescaled_loss(point["W"], point["b"], features, labels, **settings)

    def run(self, point: Point) -> ModelPath:
        """L-BFGS."""
        return descend(self, point, OptimizerSettings("lbfgs", 2000))

    def measured(self, point: Point) -> dict[str, Array]:
        """The loss, and the classifier over M, which is its scale."""
        return {VALUE: self.loss(point), "W": point["W"] / self.M, "b": point["b"] / self.M}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The least-squares classifier, and the loss that belongs to it."""
        del point
        W, b = (np.asarray(value) for value in self.least_squares(self.k + 1 if fault else self.k))
        means = np.stack([self.features[self.labels == j].mean(axis=0) for j in range(self.C)])
        outputs = np.sum(W * means, axis=1) + b
        pi = np.array(self.counts) / len(self.labels)
        value = np.asarray(self.k * self.M / 2 * np.sum(pi * (self.M - outputs)))
        return {VALUE: value, "W": W / self.M, "b": b / self.M}

    def layer(self, point: Point) -> Layer:
        """The classifier, and the features as they are."""
        return Layer(point["W"], point["b"], jnp.asarray(self.features), self.labels)

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The decomposition of a random classifier's loss, and the gradient at W~_LS by autodiff."""
        for model in cls.instances():
            point = model.start(7)
            m = problem.moments_of_samples(model.features, model.labels, C=model.C)
            covariances = list(rescaled.class_covariances(model.features, model.labels, C=model.C))
            settings = {"k": model.k, "M": model.M, "lam": model.lam}
            loss = float(model.loss(point))
            parts, faulty = (
                float(rescaled.decompose(point["W"], point["b"], m, sigmas, **settings).total) / loss
                for sigmas in (covariances, [2 * Sigma for Sigma in covariances])
            )
            if model.k != 1:  # where the class covariances enter
                name = f"parts over loss, k = {model.k:g}"
                yield Fact(name, parts, 1.0, 1e-12, "rounding, example by example against moments", faulty - 1)
            slopes = []
            for k in (model.k, model.k + 1):
                W, b = model.least_squares(k)
                slope = jax.grad(model.loss)({"W": W, "b": b})
                slopes.append(max(float(jnp.max(jnp.abs(g))) for g in slope.values()) / (model.k * model.M))
            name = f"gradient at W_LS, k = {model.k:g}, C = {model.C}"
            yield Fact(name, slopes[0], 0.0, 1e-12, "rounding of a solve", slopes[1])

    @classmethod
    def panels(cls) -> list[Chart]:
        """The parts of the least loss against the weight of the true class."""
        ks = np.geomspace(0.1, 100, 25)
        model = cls(M=1.0)
        m = problem.moments_of_samples(model.features, model.labels, C=model.C)
        covariances = list(rescaled.class_covariances(model.features, model.labels, C=model.C))
        rows = []
        for k in ks:
            W, b = rescaled.least_squares(m, covariances, k=float(k), M=1.0, lam=model.lam)
            parts = rescaled.decompose(W, b, m, covariances, k=float(k), M=1.0, lam=model.lam)
            rows.append((float(parts.loss_nc1), float(parts.loss_nc23)))
        nc1, nc23 = np.array(rows).T
        lines = (Series("L_NC1", ks, nc1), Series("L_NC2/3", ks, nc23))
        return [Chart("Parts of the least loss, M = 1", "weight k of the true class", "loss", lines, log_x=True)]
