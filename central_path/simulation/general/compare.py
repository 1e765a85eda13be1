"""The two levels of the general central path beside each other: the check that needs no law."""

from typing import Any

import numpy as np

from central_path.simulation.general.run import GeneralRun, run_general, simulate_general

TRIVIAL = 1e-7  # of the loss of no features: losses below are compared in units of it


def agreement(run: GeneralRun, other: GeneralRun) -> dict[str, float]:
    """The largest relative differences of omega, and of the losses in units of L_LS, at the times that both reached.

    Where features are separated exactly L_LS is 0; its unit is TRIVIAL times the loss of no features, or more.
    """
    T = min(len(run.ts), len(other.ts))
    one, two = run.ys["omega"][:T], other.ys["omega"][:T]
    apart = {"omega": float(np.max(np.abs(one - two) / np.maximum(one, np.finfo(float).tiny), initial=0.0))}
    unit = np.maximum(run.ys["loss"][:T], TRIVIAL * (1 - np.sum(run.start.pi**2)) / 2)
    for key in ("loss", "loss_nc1", "loss_nc23"):
        apart[key] = float(np.max(np.abs(run.ys[key][:T] - other.ys[key][:T]) / unit, initial=0.0))
    return apart


def compare_levels(
    features: Any,
    labels: Any,
    *,
    saves: int = 200,
    rtol: float = 1e-11,
    atol: float = 1e-11,
    keep_moments: bool = False,
    **options: Any,
) -> tuple[GeneralRun, GeneralRun, dict[str, float]]:
    """The run at `moments`, that at `features` over the same times, and their `agreement`.

    Options are those of `simulate_general`, but `level`.

    Raises:
        ValueError: as `simulate_general`.
    """
    how: dict[str, Any] = {"saves": saves, "rtol": rtol, "atol": atol, "keep_moments": keep_moments}
    run = simulate_general(features, labels, **how, **options)
    whole = run_general(run.start, run.dynamics, level="features", t_max=run.t_max, **how)
    return run, whole, agreement(run, whole)
