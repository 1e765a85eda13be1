"""Many starts of one size, each compared with its own law: one start is an ensemble of one.

They go in groups of a size that fits the processor's cache. A group is one system for the solver: its field is that of
one start under `vmap`, and all take the same steps, as short as the start that needs the shortest. All groups are
observed at the same times, up to the common horizon of all starts (`AbstractFlow.horizon`), and omega is all that is
observed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from central_path.flows import with_kernel
from central_path.flows.horizon import time_to_ratio
from central_path.simulation.experiment import AgainstLaw, integrate, largest_error, log_law, reached_end
from central_path.simulation.starts import Start

GROUP = 50  # starts at most
MEMORY = 2**29  # bytes that a group may take, if it has more than one start
STAGES = 20  # states that the solver holds
COLLAPSED = 1.01  # max omega / min omega


@dataclass(frozen=True)
class EnsembleResult(AgainstLaw):
    """A flow of S starts over times `ts` (T,): omega (S, T, C-1), and for each start what is asked of it.

    `time_to_collapse` is when max omega/min omega falls to 1.01, NaN where it does not, and `time_to_collapse_law` the
    same by the law, in closed form. `steps` and `successful` are those of a start's group, which is integrated as one.
    Infinite or NaN entries of omega belong to times that the solver did not reach.
    """

    max_relative_error: Float[np.ndarray, " S"]
    steps: Int[np.ndarray, " S"]
    successful: Bool[np.ndarray, " S"]
    omega: Float[np.ndarray, "S T K"]
    time_to_collapse: Float[np.ndarray, " S"]
    time_to_collapse_law: Float[np.ndarray, " S"]


def groups(starts: Start) -> Int[np.ndarray, "groups size"]:
    """The numbers of the starts in groups of one size, the last filled up with the last start.

    In the order of their smallest omega, so that those that need short steps are together.
    """
    S = len(starts.X)
    number = -(-S // max(1, min(GROUP, MEMORY // (starts.X[0].nbytes * STAGES))))
    size = -(-S // number)
    order = np.argsort(-starts.omega0.min(axis=1), stable=True)
    return order[np.minimum(np.arange(number * size), S - 1)].reshape(number, size)


def run_flow(
    name: str,
    starts: Start,
    *,
    level: str,
    t_max: float | None,
    saves: int,
    rtol: float,
    atol: float,
    kernel: float = 1.0,
    advance: Callable[[int], object] = lambda number: None,
) -> EnsembleResult:
    """Integrate one flow with a kernel from every start, and compare it with its law.

    `advance` is told how many more are integrated.

    Raises:
        ValueError: as `AbstractFlow.horizon`.
    """
    flow, (S, K) = with_kernel(name, kernel), starts.omega0.shape
    law, ts = flow.law(**starts.sizes), flow.horizon(starts.omega0, t_max, **starts.sizes).times(saves)
    omega, steps, successful = np.empty((S, saves, K)), np.empty(S, int), np.empty(S, bool)
    for group in groups(starts):
        solution = integrate(flow, starts[group], ts, level=level, rtol=rtol, atol=atol)
        omega[group] = np.swapaxes(solution.ys["omega"], 0, 1)
        steps[group], successful[group] = solution.stats["num_accepted_steps"], reached_end(solution)
        advance(len(np.unique(group)))
    error = largest_error(omega, np.asarray(log_law(law, ts, starts.omega0)))
    return EnsembleResult(
        name=name,
        law=law,
        kernel=kernel,
        ts=ts,
        max_relative_error=error,
        steps=steps,
        successful=successful & np.isfinite(error),
        omega=omega,
        time_to_collapse=time_to_collapse(ts, omega),
        time_to_collapse_law=time_to_ratio(law, starts.omega0.min(axis=1), starts.omega0.max(axis=1), COLLAPSED),
    )


def time_to_collapse(ts: Float[np.ndarray, " T"], omega: Float[np.ndarray, "S T K"]) -> Float[np.ndarray, " S"]:
    """When max omega/min omega falls to 1.01, between the times by a power law of its distance from 1.

    0 where it is so from the start, NaN where it does not fall so far.
    """
    with np.errstate(invalid="ignore"):
        distance = omega.max(axis=2) / omega.min(axis=2) - 1
    found = np.full(len(omega), np.nan)
    for i, apart in enumerate(distance):
        below = np.flatnonzero(apart <= COLLAPSED - 1)
        if not len(below):
            continue
        j = below[0]
        if j <= 1:  # before the first time that has a logarithm
            found[i] = ts[j]
            continue
        (x0, x1), (y0, y1) = np.log(ts[j - 1 : j + 1]), np.log(apart[j - 1 : j + 1])
        found[i] = np.exp(x0 + (x1 - x0) * (np.log(COLLAPSED - 1) - y0) / (y1 - y0))
    return found
