"""Features spread over devices, and over processes, by JAX's own sharding; the compiler puts the sums in.

Examples are spread, or classes where the number of examples cannot be divided: of features (P, C, N) every device holds
all P dimensions of its share, so that P x P products are local and one P x P sum goes over the network.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float

AXIS = "examples"


def spread(C: int, N: int, devices: int) -> NamedSharding:
    """How features (P, C, N) lie on the first so many of the devices of all processes.

    Raises:
        ValueError: if there are not so many, or neither N nor C can be divided by their number.
    """
    present = jax.devices()
    if devices > len(present):
        raise ValueError(
            f"Need at most {len(present)} devices, got {devices}: give --devices all, or as many as there are."
        )
    if N % devices and C % devices:
        raise ValueError(
            f"Need N or C divisible by the number of devices, got N = {N}, C = {C} on {devices}: "
            "give another --devices."
        )
    mesh = Mesh(np.array(present[:devices]), (AXIS,))
    return NamedSharding(mesh, PartitionSpec(None, None, AXIS) if N % devices == 0 else PartitionSpec(None, AXIS, None))


def replicated(like: NamedSharding) -> NamedSharding:
    """The whole on every device of a mesh."""
    return NamedSharding(like.mesh, PartitionSpec())


def place(X: Float[np.ndarray, "P C N"], how: NamedSharding) -> jax.Array:
    """Features that every process has, each device of this process getting its share."""
    return jax.make_array_from_callback(X.shape, how, lambda index: X[index])


def gather(X: jax.Array) -> np.ndarray:
    """The whole array on every process."""
    if X.is_fully_addressable:
        return np.asarray(X)
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(X, tiled=True))
