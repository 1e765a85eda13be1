"""Limits of a sequence by extrapolation, and the order at which it approaches them.

Values at h, h/2, h/4, ... whose error is a series in integer powers of h are extrapolated to h = 0 by Richardson's
table. A limit h -> 0 is then compared to many digits, where a fitted slope would keep two. Along a path, where times
are no such sequence, the leading order is fitted together with the orders that follow it.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float


def limit(values: Float[np.ndarray, " n *shape"]) -> Float[np.ndarray, "*shape"]:
    """Richardson's limit (...) of values (n, ...) at h, h/2, ..., h/2^(n-1)."""
    table = [np.asarray(value, float) for value in values]
    for power in range(1, len(table)):
        table = [(2.0**power * fine - coarse) / (2.0**power - 1) for coarse, fine in pairwise(table)]
    return np.asarray(table[0])


def order(values: Float[np.ndarray, " n"]) -> float:
    """The p of values (n,) ~ h^p at h, h/2, ..., h/2^(n-1): limit of the slope between neighbours."""
    values = np.asarray(values, float)
    return float(limit(np.log2(values[:-1] / values[1:])))


def fitted_rate(t: Float[np.ndarray, " T"], values: Float[np.ndarray, " T"], *, step: float, terms: int = 3) -> float:
    """The r of values ~ t^r (1 + c t^(-step) + ...) for t -> infinity, by least squares of logarithms."""
    x = (t / t[0]) ** -step
    columns = np.column_stack([np.log(t), *(x**power for power in range(terms + 1))])
    return float(np.linalg.lstsq(columns, np.log(values), rcond=None)[0][0])


def fitted_limit(t: Float[np.ndarray, " T"], values: Float[np.ndarray, " T"], *, step: float, terms: int = 3) -> float:
    """The limit of values = c0 + c1 t^(-step) + ... for t -> infinity, by least squares."""
    x = (t / t[0]) ** -step
    return float(np.linalg.lstsq(np.stack([x**power for power in range(terms + 1)], axis=1), values, rcond=None)[0][0])
