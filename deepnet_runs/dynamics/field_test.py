"""The field test of a network: from a `FeatureKernel` to a `Field`.

    from central_path.torch import FeatureKernel
    from deepnet_runs.dynamics.field_test import field_test

    kernel = FeatureKernel(model, loader, num_classes=10)
    print(field_test(kernel))

Needs two products with Theta, and one Jacobian-vector product for each draw of the sample kernel.
"""

import numpy as np
import torch

from central_path.torch.feature_kernel import FeatureKernel
from central_path.torch.sample_kernel import SampleKernel
from deepnet_runs.dynamics.field import DRAWS, Field, Velocity, compare, gradient
from deepnet_runs.dynamics.snr_frame import class_means

NEGLIGIBLE = 1e-12  # of |G|: without decay the mean of G is rounding


def velocity(kernel: FeatureKernel, lam: float = 0.0, sample_kernel: SampleKernel | None = None) -> Velocity:
    """The gradient of L_LS at the network's features, and what its kernel makes of it.

    Raises:
        ValueError: if lam < 0.
    """
    H, labels = kernel.features.double().cpu().numpy(), kernel.labels.cpu().numpy()
    G = gradient(H, labels, lam)
    means = class_means(G, labels)[labels]
    overall = np.broadcast_to(G.mean(axis=0), G.shape)
    G_M, G_E = means - overall, G - means

    def applied(X: np.ndarray) -> np.ndarray:
        if np.linalg.norm(X) <= NEGLIGIBLE * np.linalg.norm(G):
            return np.zeros_like(X)
        return kernel.apply(torch.from_numpy(np.ascontiguousarray(X))).double().cpu().numpy()

    of_draws = None
    if sample_kernel is not None:
        g = torch.from_numpy(G).to(kernel.features)
        P = H.shape[1]
        of_draws = torch.stack([u @ (u.T @ g) / P for u in sample_kernel.draws]).double().cpu().numpy()
    return Velocity(G_M, G_E, applied(G_M), applied(G_E), applied(overall), of_draws)


def field_test(
    kernel: FeatureKernel,
    lam: float = 0.0,
    *,
    sample_kernel: SampleKernel | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Field:
    """Compare the velocity of a network's features with that of every model.

    Arguments:
        kernel: of the network on its training set.
        lam: weight decay of the last layer.
        sample_kernel: of `kernel.sample_kernel()`; made with its defaults unless given.
        draws: number of random velocities.
        seed: of these and of the sample kernel.

    Example:
        >>> import torch
        >>> from central_path.torch import FeatureKernel
        >>> from deepnet_runs.dynamics.field_test import field_test
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
        >>> targets = torch.arange(30) % 3
        >>> batch = torch.eye(3, 4)[targets] + 0.2 * torch.randn(30, 4), targets
        >>> found = field_test(FeatureKernel(model, [batch], num_classes=3), draws=100)
        >>> 0 < found.velocity_cosine < 1, sorted(found.models)[:3]
        (True, ['block', 'block_best', 'class_means'])

    Raises:
        ValueError: if lam < 0, or the features have no omega.
    """
    K = kernel.sample_kernel(seed=seed) if sample_kernel is None else sample_kernel
    H, labels = kernel.features.double().cpu().numpy(), kernel.labels.cpu().numpy()
    return compare(H, labels, velocity(kernel, lam, K), lam=lam, draws=draws, seed=seed)
