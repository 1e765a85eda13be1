"""The two time scales of weight decay, with a figure in docs/figures.

    python docs/scripts/weight_decay.py

When does NC2 appear under decay of the classifier, and when does decay of the features stop growth? Lines are the
closed form of `central_path.theory.decay`, circles the integrated closed state of moments, from a start whose
directions have different within-class variances.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE, save
from central_path.cli.program import set_up_jax

FOLDER = Path(__file__).resolve().parents[1] / "figures"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
STYLES = ("-", "--", ":", "-.")
C, N = 4, 10
WITHIN, BETWEEN = np.array([2.0, 1.0, 0.5]), np.array([0.1, 0.1, 0.1])  # v and u of the directions at the start
DECAYS = (3e-2, 1e-2, 3e-3)
LAM = 3e-2
LEAST = 1e-250  # of v: the circles end before it leaves float64
ENDS = (10.0, 3.0, 1.0)  # E/U of the middle direction
SAVES = 60


def directions(lam: float):
    """The three directions of the start."""
    from central_path.theory.decay import DecayedDirection

    return [DecayedDirection(u, v, 1 / C, C * N, lam) for u, v in zip(BETWEEN, WITHIN, strict=True)]


def integrated(lam: float, lam_H: float, t_max: float):
    """Times, and the standard deviations (T, 3) of the class means along the axes, by the closed state of moments."""
    from central_path.simulation.general.dynamics import Dynamics
    from central_path.simulation.general.run import run_general
    from central_path.simulation.general.start import GeneralStart
    from central_path.theory.general_loss import classes_of

    pi, labels = np.full(C, 1 / C), np.repeat(np.arange(C), N)
    classes = classes_of(pi)
    M = np.column_stack([np.diag(np.sqrt(BETWEEN)), np.zeros(C - 1)]) @ classes.to_means
    begin = GeneralStart(None, labels, np.arange(C * N), M, WITHIN, pi, C - 1, 0, 0.0, np.eye(C - 1))
    dynamics = Dynamics("unnormalized", lam=lam, decay_bias=False, lam_H=lam_H)
    how = {"saves": SAVES, "rtol": 1e-10, "atol": 1e-10, "keep_moments": True}
    run = run_general(begin, dynamics, level="moments", t_max=t_max, **how)
    if not run.successful:
        raise RuntimeError(run.result)
    return run.ts[1:], np.linalg.norm(run.ys["M"][1:] @ classes.to_contrasts[:, :-1], axis=2)


def spread(sizes: np.ndarray) -> np.ndarray:
    """The largest over the smallest standard deviation of class means, minus 1."""
    return np.max(sizes, axis=-1) / np.min(sizes, axis=-1) - 1


def of_classifier(axis: Axes) -> None:
    """NC2 against time, and both time scales of the middle direction, without decay of features."""
    for lam, color, style in zip(DECAYS, COLORS, STYLES, strict=False):
        found = directions(lam)
        slow = found[1].time_of_growth
        ts, sizes = integrated(lam, 0.0, min(100 * slow, found[-1].time_of_within(LEAST)))
        times = np.geomspace(ts[0], 100 * slow, 400)
        lines = []
        for one in found:
            u = np.geomspace(one.u, 2 * one.late(times[-1:]).item(), 4000)
            lines.append(np.exp(np.interp(times, one.time(u), np.log(u)) / 2))
        exact = spread(np.column_stack(lines))
        axis.plot(times, exact, color=color, linestyle=style, label=rf"$\lambda = {lam:g}$")
        axis.plot(ts[::3], spread(sizes)[::3], "o", color=color, markerfacecolor="white", markersize=4)
        fast = found[1].time_of_within(lam)
        for t, marker in ((fast, "v"), (slow, "s")):
            axis.plot(t, np.exp(np.interp(np.log(t), np.log(times), np.log(exact))), marker, color=color, markersize=7)
        apart = np.max(np.abs(spread(sizes) - np.interp(ts, times, exact)))
        print(f"lambda = {lam:g}: v = lambda at {fast:.3g}, u^2 doubles in {slow:.3g}; lines and circles {apart:.1e}")
    axis.set(title="decay of the classifier", ylabel="NC2: (largest over smallest std) - 1")


def of_features(axis: Axes) -> None:
    """NC2 against time under decay of the features, which stops growth before or after."""
    middle = directions(LAM)[1]
    for quotient, color, style in zip(ENDS, COLORS, STYLES, strict=False):
        end = quotient * middle.plateau
        lam_H = LAM * middle.tau / (middle.n * end**2)
        stop = 1 / (4 * lam_H)
        ts, sizes = integrated(LAM, lam_H, 5 * stop)
        late = ts > middle.time_of_within(LAM)
        form = np.column_stack([np.sqrt(one.late(ts[late], lam_H)) for one in directions(LAM)])
        axis.plot(ts[late], spread(form), color=color, linestyle=style, label=f"$E/U = {quotient:g}$")
        axis.plot(ts[::3], spread(sizes)[::3], "o", color=color, markerfacecolor="white", markersize=4)
        at_stop = np.exp(np.interp(np.log(stop), np.log(ts), np.log(spread(sizes))))
        axis.plot(stop, at_stop, "D", color=color, markersize=6)
        print(f"E/U = {quotient:g}: lambda_H = {lam_H:.3g}, growth ends at {stop:.3g}, NC2 there {at_stop:.2g}")
    axis.set(title=rf"and of the features, $\lambda = {LAM:g}$")


def main() -> int:
    """Draw the figure."""
    set_up_jax()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.4), layout="constrained")
        for axis, draw in zip(figure.subplots(1, 2, sharey=True), (of_classifier, of_features), strict=True):
            draw(axis)
            axis.set(xscale="log", yscale="log", xlabel="time $t$ (units of the gradient flow)")
            axis.legend(loc="lower left")
        save(figure, FOLDER / "weight_decay.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
