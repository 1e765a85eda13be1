"""Three gradient flows of one homogeneous network: layers on spheres, free layers, and weight normalization.

With f homogeneous of degree 1 in every layer, fb_n = y_n f_V(x_n) and loss sum_n (1 - rho fb_n)^2 + lambda rho^2:

    spheres   ||V_k|| = 1      rho' = 2 sum_n (1 - rho fb_n) fb_n - 2 lambda rho,
                               V_k' = 2 rho sum_n (1 - rho fb_n) (d fb_n/d V_k - V_k fb_n)
    free      W_k              with rho_k = ||W_k||, V_k = W_k/rho_k and rho = prod rho_k, without decay: V_k' is that
                               of the spheres divided by rho_k^2, rho' that of the spheres times sum_k rho^2/rho_k^2
    weight normalization       W_k = g_k V_k/||V_k||, both free

The imbalance of neuron j, D_j = ||row j of V_k||^2 - ||column j of V_(k+1)||^2, obeys on the spheres

    D_j' = -(2 rho rho' + 4 lambda rho^2) D_j,  D_j(t) = D_j(0) exp(-(rho(t)^2 - rho(0)^2) - 4 lambda int rho^2 dt)

where the free flow conserves it, and ||W_k||^2 - ||W_l||^2 too. Weight normalization conserves ||V_k|| and
g_k^2 - g_l^2. Three flows with the same critical points, at other speeds on other ways. With ReLU each law holds as a
velocity, at any point without a neuron on its kink; integrated, a kink crossed costs the order of the solver.

Source: Poggio & Liao (2020), arXiv 2101.00072, for the spheres; the imbalance law and the speeds are derived here.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.models.model import Fact, Point
from central_path.simulation.solve import Clock, integrate

LAYERS = ("V1", "V2", "V3")
SOLVED = "the solver's tolerance of 1e-11 over the path"
ROUNDING = "two formulas at one point: rounding"


@runtime_checkable
class HomogeneousNetwork(Protocol):
    """What the flows need to know: the loss as a function of rho and the layers, the decay of rho, a start."""

    @property
    def decay(self) -> float:
        """lambda."""
        ...

    def loss(self, point: Point) -> Float[Array, ""]:
        """L."""
        ...

    def start(self, seed: int) -> Point:
        """A random point."""
        ...


Field = Callable[[HomogeneousNetwork, Point], Point]


def spheres(network: HomogeneousNetwork, point: Point) -> Point:
    """The field of gradient flow with the layers on their spheres: the part of the gradient along V_k taken away."""
    down = jax.tree.map(jnp.negative, jax.grad(network.loss)(point))
    return {
        key: down[key] - (jnp.sum(down[key] * value) * value if key in LAYERS else 0.0) for key, value in point.items()
    }


def free(network: HomogeneousNetwork, point: Point) -> Point:
    """The field of plain gradient flow on layers without any constraint, rho = 1."""
    return jax.tree.map(jnp.negative, jax.grad(lambda p: network.loss(p | {"rho": jnp.ones(())}))(point))


def weight_normalised(network: HomogeneousNetwork, point: Point) -> Point:
    """The field of gradient flow on g_k and V_k, of the loss with W_k = g_k V_k/||V_k||."""

    def loss(p: Point) -> Array:
        layers = {key: p[f"g{key}"] * p[key] / jnp.linalg.norm(p[key]) for key in LAYERS}
        return network.loss(layers | {"rho": jnp.ones(())})

    return jax.tree.map(jnp.negative, jax.grad(loss)(point))


def imbalance(point: Point) -> Float[Array, " m"]:
    """D_j between the first two layers."""
    return jnp.sum(point["V1"] ** 2, axis=1) - jnp.sum(point["V2"] ** 2, axis=0)


def polar(layers: Point) -> Point:
    """rho and directions of free layers."""
    norms = {key: jnp.linalg.norm(layers[key]) for key in LAYERS}
    return {key: layers[key] / norms[key] for key in LAYERS} | {"rho": norms["V1"] * norms["V2"] * norms["V3"]}


def along(network: HomogeneousNetwork, field: Field, point: Point, ts: np.ndarray) -> Point:
    """The points at times ts of a flow, with a leading axis T."""
    clock = Clock(jnp.asarray(ts[-1]), jnp.asarray(ts[-1]), jnp.asarray(1.0))

    @eqx.filter_jit
    def solve(point: Point):
        return integrate(
            lambda point, _: field(network, point),
            point,
            None,
            clock,
            observe=lambda point, _: point,
            ts=jnp.asarray(ts),
            rtol=1e-11,
            atol=1e-13,
        ).ys

    return solve(point)


def imbalance_law(network: HomogeneousNetwork, ts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D_j (T, m) along the flow on the spheres, and the factor (T, 1) of its law."""
    seen = along(network, spheres, network.start(0), ts)
    D = np.asarray(jax.vmap(imbalance)(seen))
    rho2 = np.asarray(seen["rho"]) ** 2
    area = np.concatenate([[0.0], np.cumsum(np.diff(ts) * _interval_means(rho2))])
    return D, np.exp(-(rho2 - rho2[0]) - 4 * network.decay * area)[:, None]


def _interval_means(values: np.ndarray) -> np.ndarray:
    """Means over the intervals of an even grid, each from the cubic through the four points around it."""
    v = values
    inner = (-v[:-3] + 13 * v[1:-2] + 13 * v[2:-1] - v[3:]) / 24
    first = (9 * v[0] + 19 * v[1] - 5 * v[2] + v[3]) / 24
    last = (9 * v[-1] + 19 * v[-2] - 5 * v[-3] + v[-4]) / 24
    return np.concatenate([[first], inner, [last]])


def imbalance_along(network: HomogeneousNetwork) -> Fact:
    """The imbalance law on the spheres, over a path of a smooth network; planted: half of its exponent."""
    D, law = imbalance_law(network, np.linspace(0, 2, 2001))
    off, faulty = (_largest(D - D[:1] * growth) for growth in (law, np.sqrt(law)))
    return Fact(f"imbalance law, lambda = {network.decay:g}: largest distance", off, 0.0, 1e-9, SOLVED, faulty)


def conserved_along(network: HomogeneousNetwork) -> Iterator[Fact]:
    """What the other two flows conserve, over a path of a smooth network; without decay, which acts on rho."""
    start = {key: value for key, value in network.start(1).items() if key in LAYERS}
    norms = jax.vmap(lambda p: jnp.stack([jnp.sum(p[key] ** 2) for key in LAYERS]))
    plain = norms(along(network, free, start, np.linspace(0, 2, 50)))
    name = "free layers: change of ||W_1||^2 - ||W_2||^2"
    yield _conserved(name, plain[:, 0] - plain[:, 1], plain[:, 0] + plain[:, 1])
    scaled = start | {f"g{key}": jnp.asarray(1.0 + i / 2) for i, key in enumerate(LAYERS)}
    seen = along(network, weight_normalised, scaled, np.linspace(0, 2, 50))
    g1, g2 = seen["gV1"], seen["gV2"]
    yield _conserved("weight normalization: change of g_1^2 - g_2^2", g1**2 - g2**2, g1**2 + g2**2)
    yield _conserved("weight normalization: change of ||V_1||", norms(seen)[:, 0], g1)


def laws_at_a_point(network: HomogeneousNetwork) -> Iterator[Fact]:
    """The same laws as velocities at a start of a ReLU network, and the speeds of the free flow."""
    point = network.start(0)
    velocity = spheres(network, point)
    D, change = jax.jvp(imbalance, (point,), (velocity,))
    rate = 2 * point["rho"] * velocity["rho"]
    decay = 4 * network.decay * point["rho"] ** 2
    off, faulty = _largest(change + (rate + decay) * D), _largest(change + rate * D)
    yield Fact("ReLU: velocity of D_j less its law's", off, 0.0, 1e-12, ROUNDING, faulty)
    layers = {key: (1.0 + i / 2) * point[key] for i, key in enumerate(LAYERS)}
    push = free(network, layers)
    still = _largest(jax.jvp(imbalance, (layers,), (push,))[1])
    name = "ReLU, free layers: velocity of D_j"
    elsewhere = {key: velocity[key] for key in LAYERS}
    yield Fact(name, still, 0.0, 1e-12, ROUNDING, _largest(jax.jvp(imbalance, (layers,), (elsewhere,))[1]))
    seen, moved = jax.jvp(polar, (layers,), (push,))
    sizes = {key: jnp.linalg.norm(layers[key]) for key in LAYERS}
    at = spheres(network, seen)
    at["rho"] += 2 * network.decay * seen["rho"]
    off, faulty = (max(_largest(moved[key] - at[key] / sizes[key] ** power) for key in LAYERS) for power in (2, 0))
    yield Fact("ReLU, free layers: V_k' less the spheres' over rho_k^2", off, 0.0, 1e-12, ROUNDING, faulty)
    speed = sum(seen["rho"] ** 2 / sizes[key] ** 2 for key in LAYERS)
    off, faulty = (float(moved["rho"] - at["rho"] * factor) for factor in (speed, 1.0))
    yield Fact("ReLU, free layers: rho' less the spheres' by sum rho^2/rho_k^2", off, 0.0, 1e-12, ROUNDING, faulty)


def _largest(values: Array | np.ndarray) -> float:
    return float(jnp.max(jnp.abs(values)))


def _conserved(name: str, values: Array, moving: Array) -> Fact:
    """Largest change of what is conserved; planted: a quantity that is not."""
    change, faulty = (_largest(v - v[0]) for v in (values, moving))
    return Fact(name, change, 0.0, 1e-9, SOLVED, faulty)
