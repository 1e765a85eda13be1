"""What Section 2 says of the parts of the loss: the reason in Footnote 7, L_NC1, and the caption of Figure 2."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.extrapolation import fitted_rate, limit
from theory_checks.framework.paths import RENORMALIZED, RIEMANNIAN, UNNORMALIZED, follow
from theory_checks.framework.registry import Draw, Finding, claim, identity, refutation

LAMBDAS = (5e-3, 0.5)


@claim(
    "Footnote 7, reason",
    source="Section 2, Footnote 7",
    expected="holds as amended",
    statement="The middle term Sigma~_T + mu~_G mu~_G^T + lambda I is the sum of positive-semidefinite matrices, one "
    "of which is positive-definite.",
    amendment="For lambda > 0, where lambda I is the one. At lambda = 0 none is: Sigma~_T has a zero row, and mu~_G "
    "mu~_G^T rank 1. The sum is then positive-definite iff Sigma_T is: their determinants are equal.",
    assumptions="Any class sizes.",
    fault="the term lambda I left out; Sigma_T + mu_G mu_G^T in place of Sigma_T.",
)
def footnote_7_reason(draw: Draw) -> Iterator[Finding]:
    """Smallest eigenvalues of the terms; at lambda = 0 the determinant of their sum, against that of Sigma_T."""
    for instance in instances.everything(draw):
        H = instance.H
        S = definitions.statistics_of(H).Sigma_T
        H = H + (definitions.root(S, 0.5) @ draw.rng.standard_normal(len(H)))[:, None, None]
        s = definitions.statistics_of(H)
        F_ext = definitions.extend(definitions.stack(H))
        e = definitions.statistics(F_ext, definitions.labels_of(H), H.shape[1])
        terms = [e.Sigma_T, np.outer(e.mu_G, e.mu_G)]
        least = [float(np.linalg.eigvalsh(term)[0]) for term in terms]
        for lam in LAMBDAS:
            yield identity(
                "largest of the terms' smallest eigenvalues, against lambda",
                max(*least, lam * np.linalg.eigvalsh(np.eye(len(F_ext)))[0]),
                lam,
                fault=max(least),
                of="amended",
            )
        if instance.condition > 1e6:
            continue  # the determinants keep too few digits
        log_det = np.linalg.slogdet(terms[0] + terms[1])[1]
        right, wrong = (np.linalg.slogdet(A)[1] for A in (s.Sigma_T, s.Sigma_T + np.outer(s.mu_G, s.mu_G)))
        yield identity(
            "det(Sigma~_T + mu~_G mu~_G^T) over det(Sigma_T)",
            np.exp(log_det - right),
            1.0,
            fault=np.exp(log_det - wrong),
            condition=max(float(np.linalg.cond(A)) for A in (s.Sigma_T, terms[0] + terms[1])),
            reason="200 eps, times the conditions of both matrices",
            of="instead",
        )
        singular = [np.sum(np.linalg.eigvalsh(term) < 1e-12 * np.linalg.eigvalsh(term)[-1]) for term in terms]
        yield refutation("least number of zero eigenvalues of a term at lambda = 0", min(singular), at_least=1.0)


@jax.jit
def _loss_nc1_of_spread(M, Sigma_W, log_spread):
    """L_NC1 on the central path, and its derivative, of features whose deviations are spread by e^log_spread."""

    def loss_nc1(log_spread):
        Sigma = Sigma_W * jnp.exp(2 * log_spread)
        W, _ = compiled.central_path_classifier(M, Sigma)
        return 0.5 * jnp.sum(W @ Sigma * W)

    return jnp.stack(jax.jvp(loss_nc1, (log_spread,), (jnp.ones_like(log_spread),)))


@claim(
    "Section 2, reducing L_NC1",
    source="Section 2, after Theorem 2",
    expected="holds in part",
    statement="Despite the fact that classifiers are converging towards some (potentially large) ETF matrix, L_NC1 can "
    "always be reduced by pushing Sigma_W towards zero, the class means held.",
    amendment="A large enough push always reduces it: L_NC1 ~ (spread^2/2) sum_j 1/omega_j^2 as the deviations shrink. "
    "A small push need not: the classifier moves with Sigma_W, and L_NC1 = 1/2 sum_j omega_j^2/(C + omega_j^2)^2 rises "
    "as Sigma_W shrinks while omega_j^2 < C. It peaks at omega_j^2 = C.",
    assumptions="On the central path, lambda = 0, balanced classes.",
    fault="the peak at omega_j^2 = C - 1; the limit 1/2 sum_j 1/(omega_j^2 + C).",
    figure="losses",
)
def reducing_loss_nc1(draw: Draw) -> Iterator[Finding]:
    """Shrink the deviations of full features to 0, and differentiate L_NC1 in their size."""
    C = instances.GENERIC[0]
    for instance in instances.ordinary(draw):
        s = definitions.statistics_of(instance.H)
        value, slope = _loss_nc1_of_spread(s.M, s.Sigma_W, 0.0)
        w2 = np.linalg.svd(definitions.root(s.Sigma_W, -0.5) @ s.Mbar, compute_uv=False)[: len(s.pi) - 1] ** 2
        c = len(s.pi)
        compare = partial(identity, condition=instance.condition, reason="200 eps, times the condition of Sigma_W")
        yield compare(
            "d L_NC1 / d log spread, against -sum omega^2 (C - omega^2)/(C + omega^2)^3",
            slope,
            -np.sum(w2 * (c - w2) / (c + w2) ** 3),
            fault=-np.sum(w2 * (c - 1 - w2) / (c + w2) ** 3),
            scale=float(value),
            of="instead",
        )
        spreads = np.sqrt(w2[-1] / c) * 2.0 ** -np.arange(3.0, 10.0)
        pushed = [float(_loss_nc1_of_spread(s.M, s.Sigma_W, np.log(spread))[0]) / spread**2 for spread in spreads]
        yield identity(
            "L_NC1/spread^2 as the spread goes to 0, against 1/2 sum 1/omega^2",
            limit(np.array(pushed)),
            0.5 * np.sum(1 / w2),
            fault=0.5 * np.sum(1 / (w2 + c)),
            tolerance=1e-6,
            reason="the seventh order in a spread of 1/8 and less, and the conditions of Sigma_T",
        )
    for _ in range(draw.repeats):
        slopes = []
        for w2 in (C, C - 1):
            s = definitions.statistics_of(instances.with_snr(draw.rng, instances.GENERIC, np.full(C - 1, np.sqrt(w2))))
            value, slope = _loss_nc1_of_spread(s.M, s.Sigma_W, 0.0)
            slopes.append(float(slope / value))
        yield identity(
            "L_NC1 is stationary where omega^2 = C",
            slopes[0],
            0.0,
            fault=slopes[0] - slopes[1],
            scale=1.0,
            of="instead",
        )
        small = instances.with_snr(draw.rng, instances.GENERIC, 0.3 * np.sqrt(C) * draw.rng.uniform(0.8, 1.2, C - 1))
        s = definitions.statistics_of(small)
        before, after = (float(_loss_nc1_of_spread(s.M, s.Sigma_W, np.log(spread))[0]) for spread in (1.0, 0.5))
        yield refutation("relative rise of L_NC1 as all deviations are halved", after / before - 1, at_least=0.1)


WINDOW = 1e4  # the last times of a path, over which rates are fitted
RATIO = {"riemannian": 0.5, "renormalized": 1.0}  # L_NC2/3 over L_NC1 ~ C/omega^2 ~ t^-RATIO


def _losses_along(X: np.ndarray) -> np.ndarray:
    """L_NC1 and L_NC2/3 (T, 2) on the central path, at features (T, P, C, N)."""
    found = []
    for H in X:
        m = compiled.moments_of(H)
        found.append(np.asarray(compiled.decompose(*compiled.least_squares(m, lam=0.0), m, lam=0.0))[:2])
    return np.stack(found)


@claim(
    "Figure 2, caption",
    source="Section 2, caption of Figure 2",
    expected="holds in part",
    statement="L_NC2/3 diminishes the fastest among all the terms, which shows that the network first distributes the "
    "class means into a Simplex ETF.",
    amendment="It does diminish faster than L_NC1, by C/omega_j^2 in each direction: like t^(-1/2) for `riemannian`, "
    "t^(-1) for `renormalized`. This shows growing omega_j and no ETF: along the gradient flow without "
    "renormalization it falls the fastest too, while the class means keep unequal singular values.",
    assumptions="On the central path, lambda = 0, balanced classes, all omega_j > 0.",
    fault="both terms at one rate; (C - 1)/omega^2.",
)
def figure_2(draw: Draw) -> Iterator[Finding]:
    """Fitted rates of both terms along the flows of features; the angles where they fall without an ETF."""
    for _ in range(draw.repeats):
        omega0 = draw.rng.uniform(1.0, 3.0) * np.array([3.0, 2.0, 1.0])
        H = instances.with_snr(draw.rng, instances.GENERIC, omega0)
        for flow, t_max in ((RIEMANNIAN, 1e9), (RENORMALIZED, 1e8)):
            path, ratio = follow(H, flow, t_max=t_max), RATIO[flow.name]
            late = path.ts > t_max / WINDOW
            losses = _losses_along(path.X[late])
            yield identity(
                f"rate of L_NC2/3 over L_NC1, {flow.name}",
                fitted_rate(path.ts[late], losses[:, 1] / losses[:, 0], step=ratio),
                -ratio,
                fault=0.0,
                tolerance=5e-4 * ratio,
                scale=1.0,
                reason="orders beyond those fitted, over four decades",
            )
        size = float(omega0[0])
        C = len(omega0) + 1
        equal = _losses_along(instances.with_snr(draw.rng, instances.GENERIC, np.full(C - 1, size))[None])[0]
        yield identity(
            "L_NC2/3 over L_NC1 for equal omega, against C/omega^2",
            equal[1] / equal[0],
            C / size**2,
            fault=(C - 1) / size**2,
            tolerance=1e-9,
            reason="rounding of L_NC2/3, a small part of the loss, over the condition of Sigma_T",
            of="instead",
        )
        start = instances.with_snr(draw.rng, instances.GENERIC, np.array([3.0, 2.0, 1.0]))
        plain = follow(start, UNNORMALIZED, t_max=10.0 * C**2 * instances.GENERIC[1], saves=3, as_they_are=True).X
        first, last = _losses_along(plain[[0, -1]])
        angle = compiled.metrics_of(compiled.moments_of(plain[-1]), compiled.samples(plain[-1])[0])["max_angle"]
        fell = last[1] / last[0] < 0.01 * first[1] / first[0]
        yield refutation("max_angle of NC2 where L_NC2/3 has fallen the fastest", angle if fell else 0.0)
