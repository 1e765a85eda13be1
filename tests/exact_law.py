"""A law in arbitrary precision: growth as the root of an integral, for tests to compare with."""

import mpmath
from mpmath import mpf


class ExactLaw:
    """T = t/(C^2 N) as a function of growth, and its slope: integral from 0 to y of (1 + x e^(2v))^m dv."""

    def __init__(self, m, C, wrong=1):
        self.m, self.C, self.wrong = mpf(m), C, wrong
        self.integer = self.m == int(self.m)

    def _below(self, u):
        """Integral of ((1 + s)^m - 1)/s from 0 to u, all of it for an integer m, for u <= 1/2 otherwise."""
        total, term, n = mpf(0), mpf(1), 0
        while n < self.m if self.integer else abs(term) > mpf(10) ** -70:
            term *= (self.m - n) / (n + 1) * u
            n += 1
            total += (self.wrong if n == 1 else 1) * term / n
        return total

    def _above(self, u):
        """The same but for a constant, plus log u, for u >= 1/2: a series in 1/w."""
        w = 1 + u
        return w**self.m / self.m * mpmath.hyp2f1(1, -self.m, 1 - self.m, 1 / w)

    def integral(self, x, y):
        end, half = x * mpmath.exp(2 * y), mpf(1) / 2
        if self.integer:
            return y + (self._below(end) - self._below(x)) / 2
        result = mpf(0)
        if x < half:
            middle = min(end, half)
            result += mpmath.log(middle / x) if end > half else 2 * y
            result += self._below(middle) - self._below(x)
        if end > half:
            result += self._above(end) - self._above(max(x, half))
        return result / 2

    def growth(self, T, omega0, guess):
        """The root by Newton's method; convex and increasing, so that any guess will do."""
        x, y = mpf(omega0) ** 2 / self.C, mpf(guess)
        for _ in range(100):
            end = x * mpmath.exp(2 * y)
            slope = (1 + end) ** self.m + (self.wrong - 1) * self.m * end
            step = (self.integral(x, y) - T) / slope
            y = max(y - step, mpf(0))
            if abs(step) < mpf(10) ** -22 * max(y, 1):
                return y
        raise AssertionError("no convergence")
