"""The derivations in symbols: the laws, Lemma 1 and Lemmas 3 to 5 as identities of formulas, not of numbers.

C, N, omega and k are symbols wherever the statement allows. What starts from the loss of features is done at one point
with rational entries: C = 4 classes of N = 2 examples in P = 3 dimensions, whose omega are symbols.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from sympy import Matrix, Rational, diag, diff, eye, kronecker_product, limit, log, ones, simplify, sqrt

from central_path.laws import Law
from central_path.loss import spectral_losses

C, N, w, t, v, e = sympy.symbols("C N omega t v epsilon", positive=True)
k = sympy.symbols("k", real=True)
FAULT = 1 + Rational(1, 1000)  # planted: a factor that the identities must not forgive

g = 1 / (C + w**2) ** 2
LOSS, LOSS_NC1, LOSS_NC23 = 1 / (2 * (C + w**2)), w**2 * g / 2, C * g / 2  # of one singular value, Lemma 1
INTEGRAND = C**2 * N * (1 + v**2 / C) ** (2 - k) / v  # of F_k
CONSTANTS = {0: (C**2 * N, C * N, N / 4), 1: (C**2 * N, C * N / 2, 0), 2: (C**2 * N, 0, 0)}
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


AMENDED = {0: (E_ROW, w * g / N), 1: (X_ROW, w / (C * N * (C + w**2)))}  # k: kernel of its projection, dx_j/dt over y_j


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


# The same from the loss of features


class Features:
    """Rational features X, P x CN, with given singular values omega, whose rows are divided by `scale`.

    Before the division Sigma_W = I: class means diag(omega) V^T with an orthonormal basis V of the contrasts, and
    deviations +-a_c of the two examples of a class, from the rows of a rational rotation.
    """

    C, N, P = 4, 2, 3
    V = Matrix([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2
    labels = kronecker_product(eye(4), ones(1, 2))
    rotation = Matrix([[1, -2, -2, -4], [2, 1, -4, 2], [2, 4, 1, -2]]) / 5
    Y = V.T * labels  # rows y_j

    def __init__(self, omega, scale=(1, 1, 1)):
        self.omega = omega
        inverse = diag(*scale).inv()
        self.E = inverse * kronecker_product(2 * self.rotation, Matrix([[1, -1]]))
        self.X = inverse * diag(*omega) * self.Y + self.E
        self.B, _ = self.parts(self.X)
        self.Sigma_inverse = self.covariance(self.E, self.E).inv()

    def parts(self, X):
        """Class means in the basis of the contrasts, and deviations; both are linear in X."""
        M = X * self.labels.T / self.N
        return M * self.V, X - M * self.labels

    def covariance(self, A, B):
        return cancelled(A * B.T / (self.C * self.N))

    def gram(self):
        """SNR^T SNR in the basis of the contrasts: diag(omega^2)."""
        return cancelled(self.B.T * self.Sigma_inverse * self.B)

    def differential(self, Z):
        """Of `gram` along Z, by the product rule."""
        dB, dE = self.parts(Z)
        dSigma = self.covariance(self.E, dE) + self.covariance(dE, self.E)
        right = self.Sigma_inverse * self.B
        return dB.T * right + right.T * dB - right.T * dSigma * right

    def loss(self):
        """L_LS = 1/2 tr (C I + SNR^T SNR)^-1."""
        return (self.C * eye(3) + self.gram()).inv().trace() / 2

    def minus_gradient(self):
        """Entry by entry, d tr K^-1 = -tr(K^-1 dK K^-1)."""
        inverse = (self.C * eye(3) + self.gram()).inv()

        def entry(i, j):
            unit = sympy.zeros(self.P, self.C * self.N)
            unit[i, j] = 1
            return (inverse * self.differential(unit) * inverse).trace() / 2

        return cancelled(Matrix(self.P, self.C * self.N, entry))

    def project(self, Z, *, oblique):
        """On the manifold: Z - S X or Z - S E."""
        S = (self.covariance(self.E, Z) + self.covariance(Z, self.E)) / 2
        return cancelled(Z - S * (self.X if oblique else self.E))

    def speed(self, velocity):
        """d omega_j/dt on the diagonal; zero beside it only where the singular vectors stay."""
        return diag(*(1 / (2 * x) for x in self.omega)) * self.differential(velocity)

    def each(self, expression):
        """diag of an expression in omega, C and N over the singular values."""
        return diag(*(sympy.sympify(expression).subs({C: self.C, N: self.N}).subs(w, x) for x in self.omega))


RENORMALIZED = Features(sympy.symbols("omega1:4", positive=True))
HALF_ANGLES = sympy.symbols("u1:4", positive=True)  # rational omega_j and sqrt(1 + omega_j^2/C) for C = 4
WHITENED = Features([4 * u / (1 - u**2) for u in HALF_ANGLES], [(1 + u**2) / (1 - u**2) for u in HALF_ANGLES])


@pytest.fixture(scope="module")
def Z():
    """-grad L_LS at Sigma_W = I."""
    return RENORMALIZED.minus_gradient()


def test_the_features_are_what_they_say():
    F, W = RENORMALIZED, WHITENED
    assert same(F.V.T * F.V, eye(3))
    assert same(F.V.T * ones(4, 1), sympy.zeros(3, 1))
    assert same(F.covariance(F.E, F.E), eye(3))
    assert same(F.Y * F.Y.T, F.N * eye(3))  # y_j^T y_j = N
    assert same(F.parts(F.Y)[1], sympy.zeros(3, 8))  # C y_j = 0
    assert same(F.E * F.Y.T, sympy.zeros(3, 3))
    assert same(W.covariance(W.X, W.X), eye(3))  # Sigma_T = I
    for features in (F, W):
        assert same(features.gram(), features.each(w**2))
        total = features.each(LOSS).trace()
        assert sympy.cancel(features.loss() - total) == 0
        assert sympy.cancel(features.loss() - total * FAULT) != 0


def test_the_differential_is_the_derivative_along_a_line():
    F, s = RENORMALIZED, sympy.Symbol("s")
    direction = Matrix(3, 8, lambda i, j: (3 * i + 5 * j) % 7 - 3)
    B, E = F.parts(F.X + s * direction)
    derivative = diff(B.T * (E * E.T / (F.C * F.N)).inv() * B, s).subs(s, 0)
    assert same(F.differential(direction), derivative)
    assert not same(F.differential(direction * FAULT), derivative)


def test_lemma_1_from_the_definitions_of_its_parts():
    """W_LS = Mbar^T Sigma_T^-1 / C and the bias 1/C, put into the loss class by class and example by example."""
    F = RENORMALIZED
    frame = Matrix.hstack(F.V, ones(4, 1) / 2).T  # orthogonal: the squares stay, and every row has one omega
    M = F.X * F.labels.T / F.N
    W = cancelled(frame * M.T * F.covariance(F.X, F.X).inv() / F.C)
    outputs = W * F.X + frame * (ones(4, 8) / F.C - F.labels)
    at_means = W * M + frame * (ones(4, 4) / F.C - eye(4))

    def agrees(A, count, part):
        """Half the squares of every row of A over count, with a part of the loss."""
        found = [sum(entry**2 for entry in A[j, :]) / (2 * count) for j in range(4)]
        return all(sympy.cancel(a - b) == 0 for a, b in zip(found, [*F.each(part).diagonal(), 0], strict=True))

    assert agrees(W, 1, LOSS_NC1)
    assert agrees(at_means, F.C, LOSS_NC23)
    assert agrees(outputs, F.C * F.N, LOSS)
    assert not agrees(at_means, F.C, LOSS_NC23 * FAULT)
    assert not agrees(outputs - frame * ones(4, 8) / F.C, F.C * F.N, LOSS)  # planted: no bias


def test_the_gradient_at_renormalized_features(Z):
    F = RENORMALIZED
    expected = F.each(w * g / N) * F.Y - F.each(w**2 * g / (C * N)) * F.E
    assert same(Z, expected)
    assert same(Z * F.X.T, sympy.zeros(3, 3))
    assert not same(Z, expected * FAULT)


@pytest.mark.parametrize("exponent", [0, 1])
def test_the_projected_gradient_moves_the_class_means_alone_by_the_amended_lemma_4(Z, exponent):
    F = RENORMALIZED
    velocity = F.project(Z, oblique=exponent == 1)
    assert same(velocity, F.each(AMENDED[exponent][1]) * F.Y)
    assert not same(velocity, F.each(AMENDED[1 - exponent][1]) * F.Y)


@pytest.mark.parametrize("exponent", [0, 1])
def test_every_singular_value_moves_by_its_law_from_renormalized_features(Z, exponent):
    F = RENORMALIZED
    speed = F.speed(F.project(Z, oblique=exponent == 1))
    assert same(speed, F.each(rate(exponent)))
    assert not same(speed, F.each(rate(1 - exponent)))


def test_every_singular_value_moves_by_its_law_without_renormalization(Z):
    F = WHITENED
    velocity = F.minus_gradient()
    assert same(velocity * F.X.T, sympy.zeros(3, 3))  # conserves X X^T
    assert same(F.speed(velocity), F.each(rate(2)))
    assert not same(RENORMALIZED.speed(Z), RENORMALIZED.each(rate(2)))  # planted: Sigma_T is not I


def test_only_the_orthogonal_projection_is_self_adjoint():
    F = RENORMALIZED
    A = Matrix(3, 8, lambda i, j: (3 * i + 5 * j) % 7 - 3)
    B = Matrix(3, 8, lambda i, j: (2 * i + 3 * j) % 7 - 3)

    def asymmetry(*, oblique):
        one, other = (F.project(vector, oblique=oblique) for vector in (A, B))
        return sympy.cancel((one * B.T).trace() - (A * other.T).trace())

    assert asymmetry(oblique=False) == 0
    assert asymmetry(oblique=True) != 0  # Proposition 4's, of which Lemma 4's proof needs it
