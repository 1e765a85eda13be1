"""The flow of the MSE without decay about the equilibrium W = 0, H = 0 that a small start escapes from.

It is linear: W' = Yx H^T and H' = W^T Yx, with W (C, P) and H (P, CN), where Yx = F (x) 1_N^T is what it sees of the
targets, F = I - 11^T/C with bias and I without. A part of (W, H) grows at rate sqrt(N), in the subspace

    S = {H = W^T Yx / sqrt(N), W = F W}     (NC1 and NC3 hold there)

a part shrinks at the same rate, and the rest stays, so that the angle to S falls as e^(-sqrt(N) t). In S the full flow
has every eigenvalue s of W W^T logistic, s' = 2 sqrt(N) s (1 - s/sqrt(N)).

Source: Mixon, Parshall & Pi (2020); rates derived here.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from central_path.models.model import Point


def _norm2(part: Point) -> float:
    return float(sum(jnp.sum(value**2) for value in part.values()))


@dataclass(frozen=True)
class LinearFlow:
    """F (C, C), a projection, and N examples of each class."""

    frame: Float[np.ndarray, "C C"]
    N: int

    @property
    def rate(self) -> float:
        """sqrt(N), of the growth."""
        return float(np.sqrt(self.N))

    @property
    def targets(self) -> Float[np.ndarray, "C n"]:
        """Yx."""
        return np.repeat(self.frame, self.N, axis=1)

    def into_S(self, point: Point) -> Point:
        """The W of a point within the range of F, and the H that goes with it in S."""
        W = jnp.asarray(self.frame) @ point["W"]
        return {"W": W, "H": W.T @ jnp.asarray(self.targets) / self.rate}

    def parts(self, point: Point) -> tuple[Point, Point, Point]:
        """The growing, shrinking and resting parts of (W, H), in closed form."""
        W, H = point["W"], point["H"]
        Wx, K = self.frame @ W, H @ self.targets.T / self.rate
        parts = []
        for sign in (1, -1):
            V = (Wx.T + sign * K) / 2
            parts.append({"W": V.T, "H": sign * V @ self.targets / self.rate})
        grows, shrinks = parts
        return grows, shrinks, {key: point[key] - grows[key] - shrinks[key] for key in ("W", "H")}

    def angle(self, point: Point) -> float:
        """Distance of (W, H) from S over its norm."""
        grows, *off = self.parts(point)
        out = sum(_norm2(part) for part in off)
        return float(np.sqrt(out / (out + _norm2(grows))))

    def asymptote(self, start: Point) -> float:
        """What the angle's e^(sqrt(N) t) multiple tends to from a start."""
        grows, _, rests = self.parts(start)
        return float(np.sqrt(_norm2(rests) / _norm2(grows)))

    def logistic(self, s0: float, t: np.ndarray) -> np.ndarray:
        """The eigenvalue of W W^T at times t from s0, in S, under the full flow."""
        return self.rate / (1 + (self.rate / s0 - 1) * np.exp(-2 * self.rate * t))
