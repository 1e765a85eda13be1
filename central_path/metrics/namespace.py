"""The namespace of an array: one formula for arrays of NumPy, JAX (traced or not) and PyTorch, on any device.

NumPy and JAX arrays name theirs; PyTorch's tensors have it from array-api-compat. Neither JAX nor torch is imported.
"""

from typing import Any

import array_api_compat
from jaxtyping import Float


def namespace(array: Any) -> Any:
    """The functions that take the array: numpy, jax.numpy, or PyTorch's by their names in the array API standard."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return array_api_compat.array_namespace(array)


def eye_like(array: Any, rows: int, columns: int | None = None, *, k: int = 0) -> Float[Any, "rows columns"]:
    """Ones on the k-th diagonal, in the type of the array and on its device."""
    xp = namespace(array)
    where = {} if hasattr(array, "__array_namespace__") else {"device": array.device}
    return xp.eye(rows, rows if columns is None else columns, k=k, dtype=array.dtype, **where)
