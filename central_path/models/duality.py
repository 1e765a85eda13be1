"""Whether NC1 and NC2 imply NC3 and NC4, for the least-squares classifier of balanced classes.

They do where Sigma_W is exactly zero: with the class means at a Simplex ETF, W_LS is proportional to Mbar^T, and its
decisions are those of the nearest class mean everywhere. As a limit they do not. With Sigma_W = eps S, S of full rank,
and B = Mbar/sqrt(C) of rank C - 1 < P, NC1 -> 0 as eps -> 0, but

    W_LS -> (B^T S^-1 B)^+ B^T S^-1/sqrt(C),   at distance O(eps),

whose rows are in the span of S^-1 Mbar, not of Mbar: a pseudo-inverse jumps where the rank does. NC3 and NC4 then fail
for good, and NC4 still holds on the samples. Both follow in the limit if

    S is a multiple of I               without an error
    the span of Mbar is S-invariant    with an error O(eps)
    weight decay lambda > 0 is held    with an error O(eps/lambda)

Source: Papyan, Han & Donoho (2020), arXiv 2008.08186, Theorem 1; the limits derived here.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from central_path.metrics import collapse
from central_path.models.model import Chart, Fact, Series
from central_path.theory.loss import least_squares
from central_path.theory.problem import Moments

BROAD = 20_000  # features that are not drawn from the classes
DECAY = 1e-2


class Covariances(NamedTuple):
    """Shapes S of Sigma_W: generic, and one that leaves the span of the class means invariant."""

    generic: Float[np.ndarray, "P P"]
    invariant: Float[np.ndarray, "P P"]


def covariances(Mbar: Float[np.ndarray, "P C"]) -> Covariances:
    """Fixed random ones, for class means about their mean."""
    P, C = Mbar.shape
    root = np.random.default_rng(1).standard_normal((P, P))
    S = root @ root.T + 0.1 * np.eye(P)
    U = np.linalg.svd(Mbar)[0][:, : C - 1]
    inside = U @ U.T
    outside = np.eye(P) - inside
    return Covariances(S, inside @ S @ inside + outside @ S @ outside)


def moments(Mbar: Float[np.ndarray, "P C"], Sigma_W: Float[np.ndarray, "P P"]) -> Moments:
    """Of balanced classes."""
    C = Mbar.shape[1]
    return Moments(jnp.asarray(Mbar), jnp.asarray(Sigma_W), jnp.full(C, 1 / C))


def limit(Mbar: Float[np.ndarray, "P C"], S: Float[np.ndarray, "P P"]) -> Float[np.ndarray, "C P"]:
    """Of the least-squares W for Sigma_W = eps S, eps -> 0."""
    B, inverse = Mbar / np.sqrt(Mbar.shape[1]), np.linalg.inv(S)
    return np.linalg.pinv(B.T @ inverse @ B, rcond=1e-12) @ B.T @ inverse / np.sqrt(Mbar.shape[1])


def nc3(m: Moments, lam: float = 0.0) -> float:
    """Distance of the least-squares classifier from the class means, both at norm 1."""
    return float(jnp.sqrt(collapse.self_duality(least_squares(m, lam=lam)[0], m.Mbar)))


def nc4(m: Moments, features: Float[np.ndarray, "n P"]) -> float:
    """Share of features that it decides otherwise than the nearest class mean."""
    return float(collapse.ncc_mismatch(*least_squares(m, lam=0.0), m.M, jnp.asarray(features)))


def facts(Mbar: Float[np.ndarray, "P C"]) -> Iterator[Fact]:
    """At collapse, and as a limit: where it fails, and where it holds, at which rate."""
    P, C = Mbar.shape
    rng, S = np.random.default_rng(2), covariances(Mbar)
    broad = rng.standard_normal((BROAD, P))
    exact, near = moments(Mbar, np.zeros((P, P))), moments(Mbar, 1e-8 * S.generic)
    W = limit(Mbar, S.generic)
    never = float(np.linalg.norm(W.T / np.linalg.norm(W) - Mbar / np.linalg.norm(Mbar)))
    rule = collapse.ncc_mismatch(jnp.asarray(W), jnp.full(C, 1 / C), near.M, jnp.asarray(broad))
    yield Fact("NC3, Sigma_W = 0", nc3(exact), 0.0, 1e-12, "rounding", never)
    yield Fact("NC4, Sigma_W = 0, broad features", nc4(exact, broad), 0.0, 0.0, "exact", float(rule))
    reason = "order eps"
    fault = float(collapse.nc1(moments(Mbar, 1e-3 * S.generic)))
    yield Fact("NC1, Sigma_W = 1e-8 S", float(collapse.nc1(near)), 0.0, 1e-6, reason, fault)
    yield Fact("NC3, Sigma_W = 1e-8 S: stays", nc3(near), never, 1e-6, reason, nc3(near))
    yield Fact("NC4, Sigma_W = 1e-8 S, broad features: stays", nc4(near, broad), float(rule), 1e-3, reason, float(rule))
    noise = 1e-4 * np.linalg.cholesky(S.generic) @ rng.standard_normal((P, BROAD))
    samples = Mbar.T[np.arange(BROAD) % C] + noise.T
    yield Fact("NC4, Sigma_W = 1e-8 S, samples", nc4(near, samples), 0.0, 0.0, "exact", float(rule))
    isotropic = nc3(moments(Mbar, 0.1 * np.eye(P)))
    yield Fact("NC3, Sigma_W = 0.1 I", isotropic, 0.0, 1e-12, "rounding", never)
    slopes = {
        "distance of W from its limit": [_from_limit(Mbar, eps * S.generic, W) for eps in (1e-3, 1e-5)],
        "NC3, S-invariant span": [nc3(moments(Mbar, eps * S.invariant)) for eps in (1e-3, 1e-5)],
        f"NC3, decay {DECAY}": [nc3(moments(Mbar, eps * S.generic), DECAY) for eps in (1e-5, 1e-7)],
    }
    for name, (a, b) in slopes.items():
        order = float(np.log10(a / b) / 2)
        yield Fact(f"order in eps, {name}", order, 1.0, 0.01, "higher orders in eps", order - 2)
    held = [nc3(moments(Mbar, 1e-9 * S.generic), lam) for lam in (1e-4, 1e-3)]
    order = float(np.log10(held[1] / held[0]))
    yield Fact("order in lambda, NC3, decay", order, -1.0, 0.02, "order lambda, and eps/lambda", order + 2)


def _from_limit(Mbar: np.ndarray, Sigma_W: np.ndarray, W: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(least_squares(moments(Mbar, Sigma_W), lam=0.0)[0]) - W))


def panel(Mbar: Float[np.ndarray, "P C"]) -> Chart:
    """NC3 against eps."""
    S, eps = covariances(Mbar), np.geomspace(1e-8, 1e-1, 29)
    W = limit(Mbar, S.generic)
    stays = float(np.linalg.norm(W.T / np.linalg.norm(W) - Mbar / np.linalg.norm(Mbar)))
    return Chart(
        "NC1 and NC2 hold, NC3 not",
        "eps, Sigma_W = eps S",
        "NC3",
        (
            Series("S generic", eps, [nc3(moments(Mbar, e * S.generic)) for e in eps]),
            Series("limit", eps, np.full(len(eps), stays), "predicted"),
            Series("S generic, decay", eps, [nc3(moments(Mbar, e * S.generic), DECAY) for e in eps]),
            Series("span of the means invariant", eps, [nc3(moments(Mbar, e * S.invariant)) for e in eps]),
        ),
        log_x=True,
        log_y=True,
    )
