"""Features and labels as users hold them, as plain NumPy arrays.

Arrays of NumPy, JAX (bfloat16 too), PyTorch (on any device, with or without gradients) and pandas are read without
importing those libraries. NumPy only.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

BFLOAT16 = 2.0**-7  # distance of 1 from the next number in bfloat16


@runtime_checkable
class ArrayOf(Protocol):
    """What `numpy.asarray` converts: an array of NumPy, JAX or PyTorch, a Series or frame of pandas."""

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """As an array of NumPy."""
        ...


def plain(values: Any) -> tuple[np.ndarray, float]:
    """An array of NumPy, and the precision eps of its entries; that of float64 for integers and words."""
    if hasattr(values, "detach"):  # a tensor: NumPy takes none that needs a gradient, is on a GPU, or is in bfloat16
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            return values.float().numpy(), BFLOAT16
    array = np.asarray(values)
    double = float(np.finfo(np.float64).eps)
    if array.dtype.kind == "f":
        return array, max(double, float(np.finfo(array.dtype).eps))
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32), BFLOAT16
    return array, double


def read_features(values: Any) -> tuple[Float[np.ndarray, "n P"], float]:
    """Features (n, P) in float64, and the precision eps in which they came.

    Raises:
        ValueError: unless they are real, finite and of two axes.
    """
    features, eps = plain(values)
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiub":
        raise ValueError(
            f"Need real features of shape (n, P), P > 0, got shape {features.shape} of {features.dtype}: "
            "flatten each example to one row of numbers."
        )
    with np.errstate(over="ignore"):
        wide = features.astype(np.float64)
    bad = wide.size - np.count_nonzero(np.isfinite(wide))
    if bad:
        raise ValueError(
            f"Need finite features, got {bad} NaN or infinite entries of {features.size}: repair or drop those rows."
        )
    return wide, eps


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether every row (of two columns or more) is 0 but for a single 1."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "fiub":
        return False
    return bool(np.all((labels == 0) | (labels == 1)) and np.all(np.count_nonzero(labels, axis=1) == 1))


def read_labels(values: Any) -> Shaped[np.ndarray, " n"]:
    """Labels (n,) as integers or words.

    Read are integers, floats of integral value, words, Booleans, arrays of objects of one of these (pandas), a column
    (n, 1), and one-hot rows (n, C), whose label is the number of the column with the 1.

    Raises:
        ValueError: with what is wrong, the value and the remedy.
    """
    labels, _ = plain(values)
    if is_one_hot(labels):
        return labels.argmax(axis=1)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    kind = labels.dtype.kind
    if labels.ndim != 1 or kind not in "iubUSTOf":
        raise ValueError(
            f"Need labels of shape (n,), integers or strings, or one-hot rows (n, C), got shape {labels.shape} of "
            f"{labels.dtype}: give one class name per row."
        )
    if kind in "iubUS":
        return labels
    if kind == "f":
        return _integers(labels)
    return _of_objects(list(labels))


def _refuse_missing(missing: int, n: int) -> None:
    if missing:
        raise ValueError(f"Need a label for every row, got {missing} missing of {n}: drop those rows.")


def _integers(labels: np.ndarray) -> np.ndarray:
    _refuse_missing(int(np.count_nonzero(np.isnan(labels))), len(labels))
    wrong = labels[(labels != np.round(labels)) | (np.abs(labels) >= 2**53)]
    if len(wrong):
        raise ValueError(
            f"Need labels that are class names, got the number {wrong[0]:g}: give integers or strings, one per row."
        )
    return labels.astype(np.int64)


def _of_objects(labels: list) -> np.ndarray:
    """Labels given as Python objects: all words, or all numbers."""
    unknown = [value is None or type(value).__name__ in ("NAType", "NaTType") or value != value for value in labels]
    _refuse_missing(sum(unknown), len(labels))
    if all(isinstance(value, str) for value in labels):
        return np.array(labels, dtype=str)
    if all(isinstance(value, int | float | np.number | np.bool_) for value in labels):
        return _integers(np.array(labels, dtype=np.float64))
    kinds = ", ".join(sorted({type(value).__name__ for value in labels}))
    raise ValueError(f"Need labels of one kind, integers or strings, got {kinds}: convert them all to strings.")
