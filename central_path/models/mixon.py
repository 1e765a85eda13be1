"""Unconstrained features under MSE without decay: gradient flow from a small start.

    L(W, H, b) = 1/2 ||W H + b 1^T - Y||^2,   W' = R H^T,  H' = W^T R,  b' = R 1,   R = Y - W H - b 1^T

with W (C, P), H (P, CN), b (C,), or without b. Four phases: b goes to 1/C at rate CN; about (0, 0, 1/C) the flow is
linear and turns (W, H) into the subspace S of NC1 and NC3, at an angle that falls as e^(-sqrt(N) t)
(`central_path.models.linear_flow`); in S each nonzero eigenvalue s of W W^T then obeys
s' = 2 sqrt(N) s (1 - s/sqrt(N)), which brings NC2 at rate 2 sqrt(N). The end is a Simplex ETF,

    W W^T = sqrt(N) (I - 11^T/C),  H = N^(-1/2) W^T (x) 1_N^T,  b = 1/C       (without bias W W^T = sqrt(N) I)

up to an error of the size eps of the start, since what is within classes and orthogonal to the rows of W never moves.

Note: the loss is the sum over the examples and outputs; the mean is CN times slower.

Source: Mixon, Parshall & Pi (2020), arXiv 2011.11619; rates and the dependence on eps derived here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from central_path.models.frames import centring, labels_of
from central_path.models.linear_flow import LinearFlow
from central_path.models.model import VALUE, Chart, Fact, Layer, Model, ModelPath, Point, Series, random_point
from central_path.models.optimise import downhill, flow

E_FOLDS = 15.0  # at rate sqrt(N), after the escape
TIMES = 121
SIZES = (0.04, 0.02)  # of starts, to see the orders in eps


@final
@dataclass(frozen=True)
class Mixon(Model):
    """Sizes, the start's entries eps, whether there is a bias, and whether the start is in S."""

    C: int = 4
    P: int = 6
    N: int = 5
    eps: float = 1e-8
    bias: bool = True
    aligned: bool = False

    name = "mixon"
    source = "Mixon, Parshall & Pi (2020)"
    minimised = "MSE, free features, no decay"
    constraint = "none; a small start"
    end_state = "Simplex ETF with W W^T = sqrt(N) (I - 11^T/C); without bias an orthogonal frame"
    planted = "N^(1/4) for N^(1/2)"

    @classmethod
    def instances(cls) -> tuple["Mixon", ...]:
        """Generic starts, one in S that is not small, one without bias."""
        return cls(), cls(C=3, P=2, N=4), cls(aligned=True, eps=0.3), cls(bias=False)

    @property
    def labels(self) -> np.ndarray:
        """N of each class."""
        return labels_of(self.C, self.N)

    @property
    def frame(self) -> np.ndarray:
        """What the end state's Gram matrices are multiples of."""
        return centring(self.C) if self.bias else np.eye(self.C)

    @property
    def linear(self) -> LinearFlow:
        """The flow about the equilibrium that a small start escapes from."""
        return LinearFlow(self.frame, self.N)

    def start(self, seed: int) -> Point:
        """Normal entries of size eps; in S with b = 1/C if aligned."""
        shapes = {"W": (self.C, self.P), "H": (self.P, self.C * self.N), "b": (self.C,)}
        point = random_point(seed, shapes, self.eps)
        if self.aligned:
            point = self.linear.into_S(point) | {"b": jnp.full(self.C, 1 / self.C)}
        return point if self.bias else {key: point[key] for key in ("W", "H")}

    def offset(self, point: Point) -> Float[Array, " C"]:
        """The bias b, zero where there is none."""
        return point["b"] if self.bias else jnp.zeros(self.C)

    def loss(self, point: Point) -> Float[Array, ""]:
        """Half the sum of squares."""
        error = point["W"] @ point["H"] + self.offset(point)[:, None] - np.eye(self.C)[:, self.labels]
        return jnp.sum(error**2) / 2

    def run(self, point: Point) -> ModelPath:
        """Gradient flow past the escape of the slowest direction, from t = log(sqrt(N)/s)/(2 sqrt(N)) on."""
        s = self.eigenvalues(self.linear.parts(point)[0])[0]
        return self.follow(point, np.log(self.linear.rate / s) / 2 + E_FOLDS)

    def measured(self, point: Point) -> dict[str, Array]:
        """Loss, Gram matrices, logits."""
        W, H = point["W"], point["H"]
        return {VALUE: self.loss(point), "W W^T": W @ W.T, "H^T H": H.T @ H, "W H": W @ H, "b": self.offset(point)}

    def predicted(self, point: Point, *, fault: bool = False) -> dict[str, np.ndarray]:
        """The limit in S."""
        del point
        size = self.N ** (0.25 if fault else 0.5)
        return {
            VALUE: np.zeros(()),
            "W W^T": size * self.frame,
            "H^T H": self.linear.targets.T @ self.linear.targets / size,
            "W H": self.linear.targets,
            "b": np.full(self.C, 1 / self.C if self.bias else 0.0),
        }

    def layer(self, point: Point) -> Layer:
        """W, b and the free features."""
        return Layer(point["W"], self.offset(point), point["H"].T, self.labels)

    # about the start and on the way

    def rest(self) -> Point:
        """The equilibrium that the flow escapes from."""
        return jax.tree.map(jnp.zeros_like, self.start(0)) | ({"b": jnp.full(self.C, 1 / self.C)} if self.bias else {})

    def from_rest(self, seed: int, eps: float) -> Point:
        """A start of another size, with b at its equilibrium, as the linear flow needs it."""
        start = self.start(seed)
        return self.rest() | {key: eps / self.eps * start[key] for key in ("W", "H")}

    def follow(self, point: Point, e_folds: float, field=downhill) -> ModelPath:
        """The flow for a time of so many e-folds of the linear growth."""
        return flow(self, point, field, ts=np.linspace(0.0, e_folds / self.linear.rate, TIMES), atol=1e-20)

    def eigenvalues(self, point: Point) -> np.ndarray:
        """Of W W^T, ascending, without the one of 1 with bias."""
        return np.linalg.eigvalsh(np.asarray(point["W"] @ point["W"].T))[int(self.bias) :]

    def conserved(self, point: Point) -> Float[Array, "P P"]:
        """W^T W - H H^T."""
        return point["W"].T @ point["W"] - point["H"] @ point["H"].T

    def deviations(self, point: Point) -> Float[Array, "P n"]:
        """Features about their class means."""
        H = point["H"].reshape(self.P, self.C, self.N)
        return (H - jnp.mean(H, axis=2, keepdims=True)).reshape(self.P, -1)

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """The spectrum at rest, the alignment, the logistic law, the conservation law, the orders in eps, no bias."""
        for model in (cls(C=3, P=4), cls(C=3, P=4, bias=False)):
            yield from _spectrum(model)
        yield from _alignment(cls())
        yield from _in_S(cls(aligned=True, eps=0.3))
        for model in (cls(), cls(bias=False)):
            start = model.from_rest(0, 1.0)
            end = model.follow(start, 10.0).point
            drift = float(jnp.max(jnp.abs(model.conserved(end) - model.conserved(start))))
            fault = float(jnp.max(jnp.abs(end["W"].T @ end["W"] - start["W"].T @ start["W"])))
            name = f"drift of W^T W - H H^T, {'with' if model.bias else 'no'} bias"
            yield Fact(name, drift, 0.0, 1e-9, "of the integrator, rtol 1e-11", fault)
        yield from _orders(cls())
        model = cls(bias=False)
        point = model.run(model.start(0)).point
        M = jnp.mean(point["H"].reshape(model.P, model.C, model.N), axis=2)
        w, m = point["W"][0], M[:, 0] - jnp.mean(M, axis=1)
        found = float(w @ m / jnp.linalg.norm(w) / jnp.linalg.norm(m))
        predicted = float(np.sqrt(1 - 1 / model.C))
        yield Fact("no bias: cosine of w_c and mu_c - mu_G", found, predicted, 1e-6, "order eps", found - 1)

    @classmethod
    def panels(cls) -> list[Chart]:
        """The angle to S, and the eigenvalues of W W^T that escape one by one."""
        model, lines = cls(), []
        start = model.from_rest(1, 1e-6)
        for label, field in (("linear flow", linearised), ("full flow", downhill)):
            path = model.follow(start, 12.0, field)
            lines.append(Series(label, path.x, _along(model.linear.angle, path)))
        line = model.linear.asymptote(start) * np.exp(-model.linear.rate * path.x)
        lines.append(Series("rate sqrt(N)", path.x, line, "predicted"))
        model = cls(aligned=True, eps=0.3)
        path = model.run(model.from_rest(0, 1e-2))
        found = _along(model.eigenvalues, path)
        escape = [Series(f"eigenvalue {j + 1}", path.x, found[:, j]) for j in range(found.shape[1])]
        escape += [Series("logistic", path.x, model.linear.logistic(s, path.x), "predicted") for s in found[0]]
        return [
            Chart("From a small start", "t", "angle to NC1 and NC3", tuple(lines), log_y=True),
            Chart("Within NC1 and NC3", "t", "eigenvalues of W W^T", tuple(escape)),
        ]


def linearised(model: Mixon, point: Point) -> Point:
    """The field of the flow about its rest, by forward over reverse differentiation."""
    rest = model.rest()
    return jax.jvp(lambda p: downhill(model, p), (rest,), (jax.tree.map(jnp.subtract, point, rest),))[1]


def _along(see, path: ModelPath) -> np.ndarray:
    """Something of a point, at the times of a path."""
    assert path.points is not None
    return np.array([see({key: value[k] for key, value in path.points.items()}) for k in range(len(path.x))])


def _spectrum(model: Mixon) -> Iterator[Fact]:
    """Eigenvalues of the flow's Jacobian at rest, by autodiff, counted."""
    flat, build = ravel_pytree(model.rest())
    jacobian = jax.jacfwd(lambda x: ravel_pytree(downhill(model, build(x)))[0])(flat)
    values, C, P, N = np.linalg.eigvalsh(np.asarray(jacobian)), model.C, model.P, model.N
    many = P * (C - 1) if model.bias else P * C
    for name, at, count in (("sqrt(N)", model.linear.rate, many), ("0", 0.0, C * P * (N + 1) - 2 * many)):
        found = float(np.sum(np.abs(values - at) < 1e-12))
        name = f"multiplicity of {name} at rest, {'with' if model.bias else 'no'} bias"
        yield Fact(name, found, float(count), 0.05, "a count", found - (count - P if model.bias else count + P))


def _alignment(model: Mixon) -> Iterator[Fact]:
    """The angle to S, under both flows, against its asymptote."""
    start, reason = model.from_rest(1, 1e-6), "the shrinking part, and size^2: 1e-12 e^(2 sqrt(N) t)"
    rate, predicted = model.linear.rate, model.linear.asymptote(start)
    for label, field in (("linear", linearised), ("full", downhill)):
        path = model.follow(start, 8.0, field)
        angles = _along(model.linear.angle, path)
        slope = float(np.log(angles[-16] / angles[-1]) / (path.x[-1] - path.x[-16]))
        constant = float(angles[-1] * np.exp(8.0))
        yield Fact(f"rate of alignment, {label} flow", slope, rate, 1e-4, reason, slope - 2 * rate)
        yield Fact(f"angle e^(sqrt(N) t), {label} flow", constant, predicted, 1e-4, reason, constant - 2 * predicted)


def _in_S(model: Mixon) -> Iterator[Fact]:
    """The flow stays in S, where eigenvalues are logistic, and NC2 comes at rate 2 sqrt(N)."""
    linear, start, worst, found = model.linear, model.start(0), [], np.array([])
    outside = start | {"W": start["W"] + 0.1 / np.sqrt(model.P)}  # 1^T W != 0
    for point in (outside, start):
        path = model.follow(point, 8.0)
        found = _along(model.eigenvalues, path)
        law = np.stack([linear.logistic(s, path.x) for s in found[0]], axis=1)
        worst.append(float(np.max(np.abs(found - law))))
    yield Fact("eigenvalues of W W^T, logistic law", worst[1], 0.0, 1e-8, "of the integrator, rtol 1e-11", worst[0])
    gap = linear.rate - found[:, 0]
    use = (gap < 1e-2) & (gap > 1e-6)
    slope = -float(np.polyfit(path.x[use], np.log(gap[use]), 1)[0])
    yield Fact("rate of NC2 in S", slope, 2 * linear.rate, 1e-2, "second order in the gap", slope - linear.rate)


def _orders(model: Mixon) -> Iterator[Fact]:
    """How the limit depends on the start's size; and the deviations that remain, from the linear flow alone."""
    eps = 1e-4
    start = model.from_rest(0, eps)
    grows = model.linear.parts(start)[0]
    U = np.linalg.svd(np.asarray(grows["W"]).T)[0][:, : model.C - 1]  # what the rows of W turn to
    E0 = np.asarray(model.deviations(start))
    found = float(jnp.linalg.norm(model.deviations(model.run(start).point))) / eps
    kept, all_of_it = (float(np.linalg.norm(E)) / eps for E in (E0 - U @ (U.T @ E0), E0))
    yield Fact(
        "deviations that remain, over eps", found, kept, 1e-5, "order eps^2 log(1/eps), eps = 1e-4", found - all_of_it
    )
    errors = []
    for eps in SIZES:
        path = model.run(model.from_rest(0, eps))
        end, want = model.measured(path.point), model.predicted(path.point)
        off = [float(jnp.linalg.norm(end[key] - want[key])) for key in ("W W^T", "b")]
        errors.append([model.linear.angle(path.point), *off, float(path.ys["nc1"][-1])])
    slopes = np.log(np.divide(*errors)) / np.log(SIZES[0] / SIZES[1])
    for name, order, slope in zip(("angle to S", "W W^T", "b", "NC1"), (1, 2, 1, 6), slopes.tolist(), strict=True):
        name = f"order in eps of the limit's error, {name}"
        yield Fact(name, slope, float(order), 0.09, f"higher orders at eps = {SIZES[1]}", slope - order - 1)
