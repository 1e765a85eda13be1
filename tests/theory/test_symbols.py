"""The derivations in symbols: the laws, Lemma 1 and Lemmas 3 to 5 as identities of formulas, not of numbers.

C, N, omega and k are symbols wherever the statement allows.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from symbolic import (
    CONSTANTS,
    FAULT,
    INTEGRAND,
    LOSS,
    LOSS_NC1,
    LOSS_NC23,
    OMEGAS,
    SIZES,
    SPEEDS,
    C,
    N,
    e,
    g,
    k,
    left_hand_side,
    numeric,
    rate,
    same,
    t,
    v,
    w,
    zero,
)
from sympy import Rational, diag, diff, eye, limit, log, simplify, sqrt

from central_path.theory.laws import Law
from central_path.theory.loss import spectral_losses

# The laws


@pytest.mark.parametrize("exponent", [0, 1, 2])
def test_the_constants_of_the_code_are_the_symbolic_ones(exponent):
    for classes, examples in SIZES:
        exact = [numeric(sympy.sympify(c), C=classes, N=examples) for c in CONSTANTS[exponent]]
        np.testing.assert_allclose(Law(exponent, classes, examples).constants, exact, rtol=1e-15)
        assert Law(1 if exponent == 0 else 0, classes, examples).constants != tuple(exact)  # another flow's


@pytest.mark.parametrize("exponent", [0, 1, 2])
def test_the_law_solves_its_differential_equation(exponent):
    constants = CONSTANTS[exponent]
    assert zero(diff(left_hand_side(*constants), w) * rate(exponent) - 1)
    for i in range(3):
        perturbed = [c * FAULT if i == j else c for j, c in enumerate(constants)]
        assert constants[i] == 0 or not zero(diff(left_hand_side(*perturbed), w) * rate(exponent) - 1)
    assert not zero(diff(left_hand_side(*constants), w) * rate(exponent + 1) - 1)


@pytest.mark.parametrize("exponent", [0, 1, 2])
def test_the_integral_of_the_family_is_the_polynomial(exponent):
    integral = sympy.integrate(sympy.expand(INTEGRAND.subs(k, exponent)), v).subs(v, w)
    assert zero(integral - left_hand_side(*CONSTANTS[exponent]))  # the constant too: F - C^2 N log omega -> 0 at 0
    c1, c2, c3 = CONSTANTS[exponent]
    assert not zero(integral - left_hand_side(c1 * FAULT, c2, c3))


def test_the_law_solves_its_differential_equation_for_every_k():
    F = sympy.Integral(INTEGRAND, (v, 1, w))
    assert zero(diff(F, w) * rate(k) - 1)
    assert not zero(diff(F, w) * rate(k + Rational(1, 1000)) - 1)


def test_the_rate_of_the_code_is_the_symbolic_one():
    for exponent in (0, 1, 2, 0.5, -0.7):
        exact = [numeric(rate(sympy.nsimplify(exponent)), C=10, N=50, omega=Rational(x)) for x in OMEGAS]
        np.testing.assert_allclose(Law(exponent, 10, 50).rate(jnp.asarray(OMEGAS)), exact, rtol=1e-14)
        assert not np.allclose(Law(exponent - 1e-3, 10, 50).rate(jnp.asarray(OMEGAS)), exact, rtol=1e-6)


def test_the_family_is_the_gradient_flow_of_the_loss_with_mobility():
    mobility = (1 + w**2 / C) ** k / N
    assert zero(-mobility * diff(LOSS, w) - rate(k))
    assert not zero(-mobility * diff(LOSS_NC23, w) - rate(k))  # planted: a part of the loss


def test_at_k_2_the_share_of_the_variance_is_logistic():
    share = w**2 / (C + w**2)
    logistic = 2 * share * (1 - share) / (C**2 * N)
    assert zero(diff(share, w) * rate(2) - logistic)
    assert not zero(diff(share, w) * rate(2) - logistic * FAULT)
    assert not zero(diff(share, w) * rate(1) - logistic)
    means = sqrt(C * share)  # singular values of the flow's own class means: omega over sqrt(1 + omega^2/C)
    assert zero(means - w / sqrt(1 + w**2 / C))
    assert limit(means, w, sympy.oo) == sqrt(C)


def test_beyond_k_2_omega_is_infinite_after_a_finite_time():
    left = C**2 * N / 2 * log(1 + C / w**2)  # for k = 3
    assert zero(diff(left, w) * rate(3) + 1)
    assert limit(left, w, sympy.oo) == 0
    assert not zero(diff(left * FAULT, w) * rate(3) + 1)


def test_the_asymptote_solves_the_leading_order_equation():
    p = sympy.symbols("p", positive=True)  # 4 - 2k
    exponent = 2 - p / 2
    leading = w ** (1 - p) / (N * C**exponent)
    ratio = simplify((rate(exponent) / leading).subs(w, sqrt(C) / e))  # (1 + C/omega^2)^(k-2)
    assert zero(ratio - (1 + e**2) ** (-p / 2))
    assert limit(ratio, e, 0) == 1
    assert limit(simplify((rate(exponent) * w / leading).subs(w, sqrt(C) / e)), e, 0) == sympy.oo  # another power

    def residual(factor):
        asymptote = (factor * p * t / (N * C**exponent)) ** (1 / p)
        return diff(log(asymptote), t) - (leading / w).subs(w, asymptote)

    assert zero(residual(1))
    assert not zero(residual(FAULT))


@pytest.mark.parametrize("exponent", [0, 1, 0.5, -0.7])
def test_the_asymptote_of_the_code_is_the_symbolic_one(exponent):
    formula = ((4 - 2 * k) * t / (N * C**k)) ** (1 / (4 - 2 * k))
    exact = numeric(formula.subs(k, sympy.nsimplify(exponent)), C=10, N=50, t=10**7)
    np.testing.assert_allclose(Law(exponent, 10, 50).asymptote(1e7), exact, rtol=1e-14)
    assert abs(float(Law(exponent, 10, 50).asymptote(1.001e7)) / exact - 1) > 1e-5


def test_corollary_1_with_its_next_terms():
    """With r = (t/c3)^(1/4), omega = r (1 - C r^-2 + (C^2/2 - C^2 log r + a/(4 c3)) r^-4 + ...)."""
    a, log_r = sympy.symbols("a log_r", real=True)
    c1, c2, c3 = CONSTANTS[0]

    def excess(first, second):
        """Equation 9 over c3 at omega = (1 + first e^2 + second e^4)/e, e = 1/r, up to what vanishes with e."""
        bracket = 1 + first * e**2 + second * e**4
        left = c1 * (log_r + sympy.series(log(bracket), e, 0, 5).removeO()) + c2 * bracket**2 / e**2
        excess = sympy.expand((left + c3 * bracket**4 / e**4 - a) / c3 - e**-4)
        return [simplify(excess.coeff(e, power)) for power in (-4, -2, 0)]

    second = C**2 / 2 - C**2 * log_r + a / (4 * c3)
    assert excess(0, 0)[:2] == [0, 4 * C]  # omega / (t/c3)^(1/4) -> 1, and that is all without the next term
    assert excess(-C, 0)[:2] == [0, 0]
    assert excess(-C, second) == [0, 0, 0]
    assert excess(-C * FAULT, second)[1] != 0
    assert excess(-C, second * FAULT)[2] != 0


# Lemma 1


def test_the_parts_of_lemma_1_add_up():
    assert zero(LOSS_NC1 + LOSS_NC23 - LOSS)
    assert not zero(LOSS_NC1 * FAULT + LOSS_NC23 - LOSS)
    printed = (w**2 / (w**2 + C) - 1) ** 2 / (2 * C)  # L_NC2/3 as the paper has it
    assert zero(LOSS_NC23 - printed)


@pytest.mark.parametrize("K", [1, 3])
def test_each_part_of_lemma_1_is_its_trace_formula_for_diagonal_omega(K):
    omega = sympy.symbols(f"omega1:{K + 1}", positive=True)
    Omega, identity = diag(*omega), eye(K)
    inverse = (Omega * Omega.T + C * identity).inv()
    errors = Omega.T * inverse * Omega - identity
    nc23, nc1 = errors.T * errors / (2 * C), Omega.T * inverse**2 * Omega / 2  # of which the traces are taken

    def agrees(matrix, part):
        return same(matrix, diag(*(part.subs(w, x) for x in omega)))

    assert agrees(nc1, LOSS_NC1)
    assert agrees(nc23, LOSS_NC23)
    assert agrees((C * identity + Omega.T * Omega).inv() / 2, LOSS)
    assert not agrees(nc1, LOSS_NC1 * FAULT)
    assert not agrees(nc23, LOSS_NC23 / C)  # planted: the 1/C once more


def test_the_losses_of_the_code_are_the_symbolic_ones():
    found = spectral_losses(jnp.asarray(OMEGAS), C=5)
    omegas = [Rational(x) for x in OMEGAS]
    exact = [sum(numeric(part, C=5, omega=x) for x in omegas) for part in (LOSS, LOSS_NC1, LOSS_NC23)]
    np.testing.assert_allclose(found, exact, rtol=1e-14)
    assert not np.allclose(spectral_losses(jnp.asarray(OMEGAS), C=6), exact, rtol=1e-3)


def test_the_slopes_of_lemma_1_and_the_peak_of_loss_nc1():
    assert zero(diff(LOSS, w) + w * g)
    assert not zero(diff(LOSS, w) + w * g * FAULT)
    assert zero(diff(LOSS_NC23, w) + 2 * C * w / (C + w**2) ** 3)  # falls everywhere
    assert sympy.solve(diff(LOSS_NC1, w), w) == [sqrt(C)]
    assert zero(diff(LOSS_NC1, w, 2).subs(w, sqrt(C)) + 1 / (4 * C**2))  # a maximum
    assert zero(LOSS_NC1.subs(w, sqrt(C)) - 1 / (8 * C))
    assert not zero(diff(LOSS_NC1, w).subs(w, sqrt(C) * FAULT))


# Lemmas 3 to 5: along one direction j


class Row:
    """Row j of a vector in the basis of labels y and deviations e of features: y^T y = N, e^T e = CN, y^T e = 0.

    All that the two projections make of row j of the gradient stays in this plane, because S is diagonal.
    """

    def __init__(self, y, e):
        self.y, self.e = y, e

    def __sub__(self, other):
        return Row(self.y - other.y, self.e - other.e)

    def __rmul__(self, factor):
        return Row(factor * self.y, factor * self.e)

    def along(self, other):
        """Inner product."""
        return N * self.y * other.y + C * N * self.e * other.e

    def is_zero(self):
        return zero(self.y) and zero(self.e)


Y_ROW, X_ROW, E_ROW = Row(1, 0), Row(w, 1), Row(0, 1)
MINUS_GRADIENT = Row(w * g / N, -(w**2) * g / (C * N))


def projected(Z, kernel):
    """Z - S kernel, S = e^T Z / (CN)."""
    return Z - E_ROW.along(Z) / (C * N) * kernel


AMENDED = {0: (E_ROW, SPEEDS[0]), 1: (X_ROW, SPEEDS[1])}  # k: kernel of its projection, dx_j/dt over y_j


@pytest.mark.parametrize("exponent", [0, 1])
def test_lemma_5_follows_from_the_amended_lemma_4(exponent):
    kernel, coefficient = AMENDED[exponent]
    velocity = projected(MINUS_GRADIENT, kernel)
    assert (velocity - coefficient * Y_ROW).is_zero()
    assert zero(Y_ROW.along(velocity) / N - rate(exponent))  # d omega_j = y_j^T dx_j / N (Equation 28)
    assert not (velocity - coefficient * FAULT * Y_ROW).is_zero()
    assert not zero(Y_ROW.along(velocity) / N - rate(1 - exponent))  # planted: the other projection's law


def test_the_projection_of_proposition_4_gives_exactly_one_factor_more():
    orthogonal, oblique = (projected(MINUS_GRADIENT, kernel) for kernel in (E_ROW, X_ROW))
    assert zero(Y_ROW.along(oblique) / Y_ROW.along(orthogonal) - (1 + w**2 / C))
    assert not zero(Y_ROW.along(oblique) / Y_ROW.along(orthogonal) - (1 + w**2 / C) * FAULT)


def test_lemma_3_is_the_chain_rule_through_the_projection_of_proposition_4():
    Z = Row(*sympy.symbols("a b"))  # any differential of x_j, as far as it matters here
    printed = Y_ROW.along(Z) / N - w * E_ROW.along(Z) / (C * N)  # (y_j^T/N - omega_j x_j^T C) dx_j, C x_j = e_j/(CN)
    assert zero(printed - Y_ROW.along(projected(Z, X_ROW)) / N)
    assert not zero(printed - Y_ROW.along(projected(Z, E_ROW)) / N)  # planted: the orthogonal one


def test_lemma_4_as_printed_is_the_unprojected_gradient_and_leaves_the_manifold():
    printed = w * g * (Rational(1) / N * Y_ROW - w / (C * N) * E_ROW)
    assert (printed - MINUS_GRADIENT).is_zero()
    assert not zero(E_ROW.along(printed))  # not tangent
    for kernel, _ in AMENDED.values():
        assert zero(E_ROW.along(projected(printed, kernel)))
    assert zero(X_ROW.along(MINUS_GRADIENT))  # the loss does not change under X -> A X
