"""Weight decay of every part: W and b by lambda, each example's features by lambda_H.

The unnormalized flow, in which W and b are those of least squares at all times, then has a finite end. The loss as a
function of W, b and all features has one minimum value (`central_path.models.regularised`); its class means are

    M^T M = (lambda/(N lambda_H))^(1/2) (z1 Pi + z0 J/C)

for balanced classes, with the soft threshold z1 and z0 of that page, and those that minimisation over W, b and all
features finds, for any class sizes. Where nothing but W decays there is no end: along an axis that class means and
Sigma_W have in common the number v + lambda log v + (b/a) u stays, u and v the variances between and within classes
(`central_path.theory.decay`), and gives the time by one quadrature.

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator

import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from central_path.models.regularised import Regularised
from central_path.simulation.general.dynamics import Dynamics
from central_path.simulation.general.field import State
from central_path.simulation.general.levels import start_at_moments
from central_path.simulation.general.start import start_of_samples
from theory_checks.extensions.general_path import SIZES, P, drawn, velocity_of_moments
from theory_checks.extensions.laws import NOTE
from theory_checks.framework.registry import Draw, Finding, claim, identity

EQUAL = (6, 6, 6)
LAM = 0.05
END = 30.0  # of 1/lambda_H: deviations from the end fall at least as exp(-2 lambda_H t)
END_TOLERANCE = 1e-6
OPTIMUM_TOLERANCE = 1e-5


def end_of_flow(draw: Draw, sizes: tuple[int, ...], lam_H: float) -> Float[np.ndarray, "C C"]:
    """M^T M, global mean included, where the closed state of moments ends from random features; integrated by LSODA.

    Raises:
        RuntimeError: if the solver failed.
    """
    dynamics = Dynamics("unnormalized", lam=LAM, lam_H=lam_H)
    begin = start_of_samples(*drawn(draw, sizes), centred=dynamics.centred)
    start = start_at_moments(begin, dynamics, np.eye(len(sizes) - 1))
    flat, shaped = ravel_pytree(start.state)

    def speed(s, z):
        t = np.expm1(s) / lam_H  # a clock for growth over many scales
        return (t + 1 / lam_H) * np.asarray(ravel_pytree(velocity_of_moments(shaped(z), start.setting))[0])

    solved = solve_ivp(speed, (0.0, np.log1p(END)), np.asarray(flat), method="LSODA", rtol=1e-10, atol=1e-12)
    if not solved.success:
        raise RuntimeError(solved.message)
    state: State = shaped(solved.y[:, -1])
    M = np.asarray(state.B @ start.setting.classes.to_means)
    return M.T @ M


def minimum(
    counts: tuple[int, ...], lam: float, lam_b: float, lam_H: float, rng: np.random.Generator
) -> Float[np.ndarray, "C C"]:
    """M^T M where L-BFGS ends, over W, b and all features, with the gradient written out."""
    C, n, labels = len(counts), sum(counts), np.repeat(np.arange(len(counts)), counts)
    targets, average = np.eye(C)[labels], np.eye(C)[labels].T / np.array(counts)[:, None]
    cuts = [C * P, C * P + C]

    def loss(z):
        W, b, H = np.split(z, cuts)
        W, H = W.reshape(C, P), H.reshape(n, P)
        errors = H @ W.T + b - targets
        value = np.sum(errors**2) / n + lam * np.sum(W**2) + lam_b * np.sum(b**2) + lam_H * np.sum(H**2)
        slopes = errors.T @ H / n + lam * W, errors.sum(axis=0) / n + lam_b * b, errors @ W / n + lam_H * H
        return value / 2, np.concatenate([slope.ravel() for slope in slopes])

    options = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 50, "ftol": 0.0, "gtol": 1e-11}
    found = minimize(loss, rng.standard_normal(C * P + C + n * P), jac=True, method="L-BFGS-B", options=options)
    M = average @ found.x[cuts[1] :].reshape(n, P)
    return M @ M.T


@claim(
    "End of the flow with decay of every part",
    source=f"{NOTE}, Proposition 6.5",
    statement="With decay lambda of W and b, and lambda_H of the features, the unnormalized flow ends at the minimum "
    "of the loss over W, b and all features: for balanced classes M^T M = (lambda/(N lambda_H))^(1/2) (z1 Pi + z0 "
    "J/C).",
    assumptions="P >= C, class means of full rank at the start.",
    fault="the price C c of the threshold without its factor C; a bias that does not decay.",
)
def end_with_decay_of_every_part(draw: Draw) -> Iterator[Finding]:
    """The closed state of moments to its end, against the closed form, and against L-BFGS for unbalanced classes."""
    for _ in range(draw.repeats):
        for regime, lam_H in (("tilted frame", 2e-4), ("simplex ETF", 2e-3)):
            found = end_of_flow(draw, EQUAL, lam_H)
            model = Regularised(C=len(EQUAL), P=P, N=EQUAL[0], lW=LAM, lH=lam_H, lb=LAM)
            size = LAM / (EQUAL[0] * lam_H)  # of M^T M over W W^T
            right, wrong = (size * model.predicted({}, fault=fault)["W W^T"] for fault in (False, True))
            yield identity(
                f"class means at the end, balanced: {regime}",
                found,
                right,
                fault=wrong,
                tolerance=END_TOLERANCE,
                reason="deviations from the end have fallen by exp(-30), and the solver's tolerance",
            )
        lam_H = 1e-3
        found = end_of_flow(draw, SIZES, lam_H)
        right, wrong = (minimum(SIZES, LAM, lam_b, lam_H, draw.rng) for lam_b in (LAM, 0.0))
        yield identity(
            "class means at the end, unbalanced",
            found,
            right,
            fault=wrong,
            tolerance=OPTIMUM_TOLERANCE,
            reason="L-BFGS finds a flat minimum to the root of the rounding of its loss",
        )
