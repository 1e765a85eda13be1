"""NC0: the rows of the last layer sum to zero."""

from typing import Any

from jaxtyping import Float

from central_path.metrics.namespace import namespace


def nc0_zhao2026(last_layer: Float[Any, "C P"]) -> Float[Any, ""]:
    """|| sum_c w_c ||_2 = ||W^T 1||_2, which has to vanish if the rows of W are to form a Simplex ETF.

    0 at collapse; not normalised: it scales with W. Unchanged by rotations of the features and permutations of the
    classes. It always exists, and is 0 for W = 0.

    Source: Zhao, Cheng, Masarczyk & Lucchi (2026), Optimizer choice matters for the emergence of neural collapse.
    """
    xp = namespace(last_layer)
    return xp.linalg.vector_norm(xp.sum(last_layer, axis=0))
