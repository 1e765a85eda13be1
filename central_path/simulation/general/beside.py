"""A flow at the level `moments` beside another computation of its omega: its law where one holds, else all features.

Where classes are unbalanced, weights decay, or Sigma_W is singular, omega follows no law. The state (M, Sigma_W) is
closed all the same. It is integrated by its own vector field, and beside it all features by the gradient of the loss;
nothing but the start is shared.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from central_path.flows import with_kernel
from central_path.simulation.experiment import largest_error, log_law
from central_path.simulation.general.compare import agreement
from central_path.simulation.general.dynamics import BlockKernel, Dynamics
from central_path.simulation.general.run import GeneralRun, run_general, simulate_general
from central_path.simulation.general.start import GeneralStart, renormalized
from central_path.theory.law import AbstractLaw


@dataclass(frozen=True)
class GeneralFlow:
    """A flow at the level `moments`, and omega of what it is compared with at the same times (T,).

    `max_relative_error` is the largest relative difference of omega, and beside all features of the parts of L_LS too.
    """

    name: str
    run: GeneralRun
    law: AbstractLaw | None  # None: compared with all features
    omega_beside: Float[np.ndarray, "T K"]
    max_relative_error: float
    drift: float | None
    complaint: str | None
    asymptote: None = None

    @property
    def compared_with(self) -> Literal["law", "features"]:
        """What it is compared with."""
        return "features" if self.law is None else "law"

    @property
    def ts(self) -> Float[np.ndarray, " T"]:
        """The times that the solver reached."""
        return self.run.ts

    @property
    def ys(self) -> dict[str, Float[np.ndarray, "T ..."]]:
        """What was observed at the level `moments`."""
        return self.run.ys

    @property
    def t_max(self) -> float:
        """The horizon."""
        return self.run.t_max

    @property
    def steps(self) -> int:
        """Accepted steps of the solver."""
        return self.run.steps

    @property
    def kernel(self) -> float:
        """The kernel's b."""
        return self.run.dynamics.kernel.within

    @property
    def result(self) -> str:
        """`successful`, or why a solver stopped."""
        return self.complaint or "successful"

    def agrees(self, tolerance: float) -> bool:
        """Whether the solver reached the horizon at both levels, and omega and what is conserved are as they should."""
        return self.complaint is None and self.max_relative_error <= tolerance and (self.drift or 0.0) <= tolerance


def beside_law(name: str, begin: GeneralStart, *, kernel: float, t_max: float | None, **solver: Any) -> GeneralFlow:
    """From balanced classes and a Sigma_W of full rank, renormalized, by default to the horizon of the law.

    `solver` are saves, rtol and atol of `run_general`.

    Raises:
        ValueError: as `run_general`.
    """
    flow, sizes = with_kernel(name, kernel), {"C": len(begin.pi), "N": begin.n // len(begin.pi)}
    dynamics = Dynamics(name, BlockKernel(within=kernel))
    horizon = flow.horizon(begin.omega, t_max, **sizes).t_max
    run = run_general(renormalized(begin, dynamics.beta), dynamics, level="moments", t_max=horizon, **solver)
    law = flow.law(**sizes)
    log_omega = np.asarray(log_law(law, run.ts, begin.omega))
    error = float(largest_error(run.ys["omega"], log_omega))
    return GeneralFlow(name, run, law, np.exp(log_omega), error, None, _complaint(run))


def beside_features(
    name: str, features: Any, labels: Any, *, kernel: float, lam: float, t_max: float | None, **solver: Any
) -> GeneralFlow:
    """From any features (n, P), beside all of them. `solver` are saves, rtol and atol.

    Raises:
        ValueError: as `simulate_general`.
    """
    run = simulate_general(features, labels, flow=name, kernel=kernel, lam=lam, t_max=t_max, **solver)
    whole = run_general(run.start, run.dynamics, level="features", t_max=run.t_max, **solver)
    drift = float(np.max(whole.ys["drift"])) if run.dynamics.conserves and run.dynamics.moves else None
    apart = max(agreement(run, whole).values())
    beside, reached = np.full_like(run.ys["omega"], np.nan), whole.ys["omega"][: len(run.ts)]
    beside[: len(reached)] = reached
    return GeneralFlow(name, run, None, beside, apart, drift, _complaint(run) or _complaint(whole))


def _complaint(run: GeneralRun) -> str | None:
    return None if run.successful else f"level {run.level}: {run.result}"
