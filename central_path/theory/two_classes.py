"""Two classes of any priors: the closed form of omega along every flow, from any covariance, at lambda = 0.

Two classes have one direction: B_c is one column beta (P,), T is the number tau = 2 pi_1 pi_2, and

    rho = beta^T Sigma_W^(-1) beta = omega^2 pi_1 pi_2/(pi_1^2 + pi_2^2)

is the only number in L_LS = tau/(2 (1 + rho)). Let S be the matrix that stays, Sigma_W + (b/a) beta beta^T for
`unnormalized` and Sigma_W for the others, with eigenvalues s_i. In a time theta of its own beta moves by d beta/d theta
= S^(-1) beta, so with the components beta_i of beta(0) along the eigenvectors of S

    kappa(theta) = beta^T S^(-1) beta = sum_i beta_i^2/s_i e^(2 theta/s_i)

    unnormalized    rho = kappa/(1 - (b/a) kappa)    dt/dtheta = n/(a tau) (1 - (b/a) kappa) (1 + rho)^2
    riemannian      rho = kappa                      dt/dtheta = n/(a tau) (1 + rho)^2
    renormalized    rho = kappa                      dt/dtheta = n/tau (1 + rho)^2/(a + b rho)

t(theta) is one quadrature. Rounding is eps (1 + (b/a) rho) of omega for `unnormalized`, whose kappa approaches a/b.

Where beta is an eigenvector of S, with eigenvalue s, omega obeys the laws of balanced classes with n s/(a tau) in the
place of C^2 N and rho in that of omega^2/C: with r = 2, 1, 0 for `unnormalized`, `renormalized`, `riemannian`,

    d omega/dt = (a tau/(n s)) omega (1 + (b/a) rho)^r/(1 + rho)^2

and t is elementary. For equal priors and s = 1 these are the laws of `laws`.

NumPy only. Source: derived here; Han, Papyan & Donoho (2022), Proposition 2 is the case pi = 1/2, b = 0, S = I.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(30)  # pragma: no mutate
_MOST_NEWTON_STEPS = 60  # pragma: no mutate
POWERS = {"unnormalized": 2, "renormalized": 1, "riemannian": 0}  # r of the page


class TwoClasses(NamedTuple):
    """A start of two classes: components of beta(0) along the eigenvectors of S, its eigenvalues, and constants.

    Example:
        >>> import numpy as np
        >>> from central_path.theory.two_classes import TwoClasses
        >>> M, pi = np.array([[1.0, -0.2], [0.0, 0.5]]), np.array([0.2, 0.8])
        >>> start = TwoClasses.of(M, np.diag([1.0, 0.5]), pi, n=100, flow="renormalized")
        >>> omega = start.omega(np.array([0.0, 1e3, 1e5]))
        >>> bool(np.all(np.diff(omega) > 0)), round(float(omega[0]), 4)
        (True, 1.1486)
    """

    beta: Float[np.ndarray, " P"]
    s: Float[np.ndarray, " P"]
    tau: float
    weight: float  # omega^2/rho
    n: float
    flow: str
    a: float
    b: float

    @classmethod
    def of(
        cls,
        M: Float[np.ndarray, "P 2"],
        Sigma_W: Float[np.ndarray, "P P"],
        pi: Float[np.ndarray, " 2"],
        *,
        n: int,
        flow: str,
        a: float = 1.0,
        b: float = 1.0,
    ) -> "TwoClasses":
        """From class means and within-class covariance.

        Raises:
            ValueError: for an unknown flow.
        """
        if flow not in POWERS:
            raise ValueError(f"Need a flow among {', '.join(POWERS)}, got {flow!r}: give one of them.")
        first, second = pi
        beta = np.sqrt(first * second) * (M[:, 0] - M[:, 1])
        S = Sigma_W + (b / a if flow == "unnormalized" else 0.0) * np.outer(beta, beta)
        s, U = np.linalg.eigh(S)
        weight = (first**2 + second**2) / (first * second)
        return cls(U.T @ beta, s, 2 * first * second, weight, float(n), flow, a, b)

    def kappa(self, theta: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """beta^T S^(-1) beta."""
        return np.sum(self.beta**2 / self.s * np.exp(2 * theta[:, None] / self.s), axis=-1)

    def rho(self, theta: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """omega^2 over its weight; infinite beyond where `unnormalized` separates the classes exactly."""
        kappa = self.kappa(theta)
        if self.flow != "unnormalized":
            return kappa
        left = 1 - self.b / self.a * kappa
        return np.where(left > 0, kappa / np.where(left > 0, left, 1.0), np.inf)

    def slowness(self, theta: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """dt/dtheta."""
        rho = self.rho(theta)
        rate = {
            "unnormalized": self.a * (1 + self.b / self.a * rho),  # 1 - (b/a) kappa = 1/(1 + (b/a) rho)
            "renormalized": self.a + self.b * rho,
            "riemannian": self.a + 0 * rho,
        }[self.flow]
        return self.n / self.tau * (1 + rho) ** 2 / rate

    def omega(self, t: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """omega at ascending times t >= 0.

        From one time to the next by Newton's method on t(theta), which is convex, with 30-point Gauss quadrature.
        """
        theta, now, found = 0.0, 0.0, []
        for goal in t:
            while now < goal:  # in stretches over which the slowness grows little
                stretch = self._stretch(theta)
                step, time = stretch, self._elapsed(theta, stretch)
                if now + time > goal:
                    step = self._newton(theta, goal - now, stretch)
                    time = goal - now
                if not theta + step > theta:
                    break  # the rest is below the rounding of theta
                theta, now = theta + step, now + time
            found.append(theta)
        return np.sqrt(self.weight * self.rho(np.array(found)))

    def _stretch(self, theta: float) -> float:
        """A length of theta over which kappa, and what it leaves of a/b, change by no more than a third."""
        kappa = self.kappa(np.array([theta])).item()
        growth = float(np.sum(2 * self.beta**2 / self.s**2 * np.exp(2 * theta / self.s))) / kappa
        fastest = 2 / self.s[0]
        stretch = 0.3 / min(growth * 4, fastest)
        if self.flow != "unnormalized":
            return stretch
        left = 1 - self.b / self.a * kappa
        return min(stretch, 0.3 * left / (growth * kappa * self.b / self.a + 1e-300))

    def _elapsed(self, theta: float, step: float) -> float:
        return float(step / 2 * self.slowness(theta + step * (1 + _NODES) / 2) @ _WEIGHTS)

    def _newton(self, theta: float, time: float, stretch: float) -> float:
        step = min(stretch, time / self.slowness(np.array([theta])).item())
        for _ in range(_MOST_NEWTON_STEPS):
            change = (self._elapsed(theta, step) - time) / self.slowness(np.array([theta + step])).item()
            step -= change
            if abs(change) <= 1e-15 * abs(step):
                break
        return step


def time_of_omega(
    omega: Float[np.ndarray, "*many"],
    omega0: float,
    pi: Float[np.ndarray, " 2"],
    *,
    n: int,
    flow: str,
    b: float = 1.0,
    a: float = 1.0,
    s: float = 1.0,
) -> Float[np.ndarray, "*many"]:
    """The time at which omega is reached from omega0 where beta is an eigenvector of S with eigenvalue s: the law.

    n s/(2 a tau) times the integral of (1 + x)^2/(1 + beta x)^r d log x over x = rho, beta = b/a, which is elementary,

        r = 0    log x + 2 x + x^2/2
        r = 1    log x + x/beta - (1 - beta)^2/beta^2 log(1 + beta x)
        r = 2    log x + (1 - beta^2)/beta^2 log(1 + beta x) + (1 - beta)^2/beta^2 /(1 + beta x)

    and computed by quadrature, of positive terms, because these forms cancel near beta = 0.
    """
    first, second = pi
    weight = (first**2 + second**2) / (first * second)
    end, start = np.log(np.asarray(omega) ** 2 / weight), np.log(omega0**2 / weight)
    panels = 1 + int(np.max(np.abs(end - start)) / 0.5)  # pragma: no mutate
    places = (np.arange(panels)[:, None] + (1 + _NODES) / 2).ravel() / panels
    x = np.exp(start + (end - start)[..., None] * places)
    slowness = (1 + x) ** 2 / (1 + b / a * x) ** POWERS[flow]
    integral = (end - start) / (2 * panels) * (slowness @ np.tile(_WEIGHTS, panels))
    return n * s / (4 * a * first * second) * integral
