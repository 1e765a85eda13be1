"""Parametrisations whose kernel is known: what the field test must find before it judges a network.

    planted         h_i = h_i(0) + R_i theta S     Theta = K (x) A, K = R R^T, A = S^T S: any kernel of the examples,
                                                   any of the feature directions
    block_kernel    K = a Pi_M + w Pi_E + g Pi_0   the rates of class means, of deviations and of the global mean
    linear          h_i = W_2 W_1 x_i              tr_P Theta/P = X W_1^T W_1 X^T + X X^T |W_2|^2/P
    wide            h_i = W_2 relu(W_1 x_i)/m^(1/2), W_2 trained    Theta = K (x) I_P, K -> the arc-cosine kernel

Source: Cho & Saul (2009) for the arc-cosine kernel of order 1; the block kernel is that of Seleznova et al. (2023).
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from central_path.torch.class_parts import Classes
from central_path.torch.feature_kernel import FeatureKernel


class Planted(nn.Module):
    """h = h(0) + r theta S of inputs [r, h(0)], theta = 0, and a last layer on it."""

    S: Tensor

    def __init__(self, n: int, S: Float[Tensor, "q P"], C: int):
        super().__init__()
        self.n = n
        self.theta = nn.Parameter(torch.zeros(n, len(S), dtype=torch.float64))
        self.register_buffer("S", S)
        self.head = nn.Linear(S.shape[1], C, dtype=torch.float64)

    def forward(self, x: Float[Tensor, "m n_and_P"]) -> Float[Tensor, "m C"]:
        """Outputs."""
        return self.head(x[:, self.n :] + x[:, : self.n] @ self.theta @ self.S)


def features(
    C: int, N: int, P: int, *, seed: int, separation: float = 2.0
) -> tuple[Float[Tensor, "n P"], Int[Tensor, " n"]]:
    """Class means and deviations of a random, anisotropic covariance, in float64; labels in turn."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(-0.7, 0.7, P))
    y = np.tile(np.arange(C), N)
    H = separation * rng.standard_normal((C, P))[y] + rng.standard_normal((C * N, P)) * scale
    return torch.from_numpy(H), torch.from_numpy(y)


def planted(
    H: Float[Tensor, "n P"], y: Int[Tensor, " n"], K: Float[Tensor, "n n"], A: Float[Tensor, "P P"] | None = None
) -> FeatureKernel:
    """The kernel K (x) A, A = I unless given, at features H."""
    n, P = H.shape
    w, Q = torch.linalg.eigh(K)
    R = Q * w.clamp(min=0).sqrt()
    a, B = torch.linalg.eigh(torch.eye(P, dtype=torch.float64) if A is None else A)
    C = int(y.max()) + 1
    model = Planted(n, (B * a.clamp(min=0).sqrt()).T, C)
    return FeatureKernel(model, [(torch.cat([R, H], dim=1), y)], C)


def block_kernel(y: Int[Tensor, " n"], *, means: float, within: float, overall: float) -> Float[Tensor, "n n"]:
    """K with these eigenvalues on class means about the global mean, deviations, and the global mean."""
    parts = Classes(y).parts(torch.eye(len(y), dtype=torch.float64))
    return overall * parts.overall + means * parts.means + within * parts.within


def linear(
    X: Float[Tensor, "n d"], y: Int[Tensor, " n"], width: int, P: int, *, seed: int
) -> tuple[FeatureKernel, Float[Tensor, "n n"]]:
    """A linear network of two layers, and its K."""
    C = int(y.max()) + 1
    torch.manual_seed(seed)
    body = [nn.Linear(X.shape[1], width, bias=False), nn.Linear(width, P, bias=False)]
    W_1, W_2 = (layer.weight.detach().double() for layer in body)
    model = nn.Sequential(*body, nn.Linear(P, C))
    first = X @ W_1.T
    K = first @ first.T + X @ X.T * W_2.square().sum() / P
    return FeatureKernel(model, [(X, y)], C, head=model[-1]), K


class RandomFeatures(nn.Module):
    """h = W_2 relu(W_1 x)/m^(1/2) of m fixed random features."""

    def __init__(self, d: int, m: int, P: int, C: int):
        super().__init__()
        self.first, self.second = nn.Linear(d, m, bias=False), nn.Linear(m, P, bias=False)
        self.head = nn.Linear(P, C)
        nn.init.normal_(self.first.weight).requires_grad_(False)
        nn.init.normal_(self.second.weight)
        self.m = m

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n C"]:
        """Outputs."""
        return self.head(self.second(torch.relu(self.first(x))) / self.m**0.5)


def arc_cosine(X: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """E relu(g . x) relu(g . x') over standard normal g: |x| |x'| (sin t + (pi - t) cos t)/(2 pi), t their angle."""
    norms = X.norm(dim=1)
    size = norms[:, None] * norms[None, :]
    cos = (X @ X.T / size).clamp(-1, 1)
    angle = torch.arccos(cos)
    return size * (torch.sin(angle) + (torch.pi - angle) * cos) / (2 * torch.pi)


def wide(
    X: Float[Tensor, "n d"], y: Int[Tensor, " n"], m: int, P: int, *, seed: int
) -> tuple[FeatureKernel, Float[Tensor, "n n"]]:
    """A network of m random features, and the K of infinitely many."""
    C = int(y.max()) + 1
    torch.manual_seed(seed)
    return FeatureKernel(RandomFeatures(X.shape[1], m, P, C), [(X, y)], C), arc_cosine(X)
