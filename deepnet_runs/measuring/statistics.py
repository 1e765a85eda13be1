"""The parts of the rescaled loss, which need the covariance of every class; all else is of `central_path.torch`."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from central_path.metrics.snr import Moments


def rescaled_parts(
    W: Float[Tensor, "C P"],
    b: Float[Tensor, " C"],
    m: Moments,
    covariances: Iterable[np.ndarray],
    *,
    k: float,
    M: float,
    lam: float,
) -> dict[str, float]:
    """`loss_nc1`, `loss_nc23`, `loss_ls_perp` of the rescaled loss, whose sum it is."""
    import jax.numpy as jnp  # for this loss alone

    from central_path.theory import rescaled  # imports JAX too
    from central_path.theory.problem import require_float64

    require_float64()
    W_jax, b_jax, *moments = (jnp.asarray(np.asarray(a.cpu() if isinstance(a, Tensor) else a)) for a in (W, b, *m))
    parts = rescaled.decompose(W_jax, b_jax, Moments(*moments), covariances, k=k, M=M, lam=lam)
    return {name: float(value) for name, value in zip(parts._fields, parts, strict=True)}
