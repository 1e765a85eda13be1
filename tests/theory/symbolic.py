"""Symbols and formulas that the symbolic tests share."""

import sympy
from sympy import Rational, log, simplify

C, N, w, t, v, e = sympy.symbols("C N omega t v epsilon", positive=True)
k = sympy.symbols("k", real=True)
FAULT = 1 + Rational(1, 1000)  # planted: a factor that the identities must not forgive

g = 1 / (C + w**2) ** 2
LOSS, LOSS_NC1, LOSS_NC23 = 1 / (2 * (C + w**2)), w**2 * g / 2, C * g / 2  # of one singular value, Lemma 1
INTEGRAND = C**2 * N * (1 + v**2 / C) ** (2 - k) / v  # of F_k
CONSTANTS = {0: (C**2 * N, C * N, N / 4), 1: (C**2 * N, C * N / 2, 0), 2: (C**2 * N, 0, 0)}
SPEEDS = {0: w * g / N, 1: w / (C * N * (C + w**2))}  # dx_j/dt over y_j, the amended Lemma 4
SIZES = ((2, 3), (10, 50), (37, 1), (1000, 7))
OMEGAS = (1e-3, 0.5, 2.0, 40.0)


def rate(k):
    """The speed of omega along the flow with exponent k."""
    return (1 + w**2 / C) ** k * w * g / N


def left_hand_side(c1, c2, c3):
    """Of Equation 9."""
    return c1 * log(w) + c2 * w**2 + c3 * w**4


def zero(expression):
    return simplify(expression) == 0


def cancelled(A):
    return A.applyfunc(sympy.cancel)


def same(A, B):
    """Whether two matrices of rational functions are equal."""
    return all(entry == 0 for entry in cancelled(A - B))


def numeric(expression, **values):
    return float(expression.subs({sympy.Symbol(name, positive=True): value for name, value in values.items()}))
