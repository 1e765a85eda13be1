"""optax's L-BFGS mixes int32 and int64, which strict promotion refuses; the models' own arithmetic stays float64."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def standard_promotion() -> Iterator[None]:
    """JAX's usual promotion of dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        yield
