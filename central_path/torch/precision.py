"""Names of the types in which networks compute, and the distance eps of 1 from the next number in each."""

import torch

EPS = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "tf32": 2.0**-10,  # float32 whose factors in a matrix product have 10 bits after the binary point
    "bfloat16": 2.0**-7,
    "float8_e4m3fn": 2.0**-3,
    "float8_e5m2": 2.0**-2,
}


def eps_of(name: str) -> float:
    """The precision of a type.

    Raises:
        ValueError: for a name that is none of them.
    """
    if name not in EPS:
        raise ValueError(f"Need a precision among {', '.join(EPS)}, got {name!r}: give one of them.")
    return EPS[name]


def name_of(dtype: torch.dtype) -> str:
    """The name of a type of tensors."""
    return str(dtype).removeprefix("torch.")
