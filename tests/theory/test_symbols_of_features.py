"""The same derivations from the loss of features, at one point with rational entries.

C = 4 classes of N = 2 examples in P = 3 dimensions, whose omega are symbols.
"""

import pytest
import sympy
from symbolic import FAULT, LOSS, LOSS_NC1, LOSS_NC23, SPEEDS, C, N, cancelled, g, rate, same, w
from sympy import Matrix, diag, diff, eye, kronecker_product, ones


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
    assert same(velocity, F.each(SPEEDS[exponent]) * F.Y)
    assert not same(velocity, F.each(SPEEDS[1 - exponent]) * F.Y)


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
