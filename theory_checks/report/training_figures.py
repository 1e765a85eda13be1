"""Figures beside two claims: the approach to the central path, and descent in discrete time.

The docstring of a figure's function is its caption. Colours are colour-blind-safe and line styles differ, so that the
figures read in grey too.
"""

import numpy as np
from matplotlib.figure import Figure

from theory_checks.extensions import discrete_time, joint_training
from theory_checks.report.drawing import BLACK, BLUE, GREEN, TIME, VERMILION, guide, panels


def _distances(path: joint_training.JointState) -> np.ndarray:
    """L_LS_perp/L_LS along a path, without weight decay."""
    states = [joint_training.JointState(*state) for state in zip(*path, strict=True)]
    return np.array([joint_training.perp(state, 0.0) / joint_training.central_loss(state.X, 0.0) for state in states])


def draw_assumptions(seed: int) -> Figure:
    """Distance from the central path, L_LS_perp/L_LS, when classifier and features are trained together.

    The classifier is kappa times as fast as the features. Above: from a random classifier (thick) the distance falls
    exponentially, and then stays; from the central path (thin) it rises to the same level. Below: that level, at the
    end of the time shown, falls as kappa^-2.
    """
    rng = np.random.default_rng(seed)
    X = joint_training.features(rng)
    starts = (joint_training.off_path(rng, X), joint_training.on_path(X, 0.0))
    figure, (above, below) = panels(2)
    levels = np.empty((2, len(joint_training.KAPPA)))
    styles = {0: (BLACK, "-"), 2: (BLUE, "--"), 4: (VERMILION, "-.")}
    for j, kappa in enumerate(joint_training.KAPPA):
        for i, begin in enumerate(starts):
            path = joint_training.follow(begin, kappa, joint_training.times())
            levels[i, j] = _distances(joint_training.JointState(*(a[-1:] for a in path)))[0]
            if j in styles:
                color, style = styles[j]
                line = above.plot(joint_training.times()[1:], _distances(path)[1:], color=color, linestyle=style)[0]
                line.set(linewidth=(2.2, 1.0)[i], label=rf"$\kappa = {kappa:g}$" if i == 0 else None)
    below.plot(joint_training.KAPPA, levels[0], "o", color=VERMILION, markersize=6, label="from a random classifier")
    below.plot(joint_training.KAPPA, levels[1], "x", color=BLACK, markersize=6, label="from the central path")
    guide(below, (joint_training.KAPPA[0], joint_training.KAPPA[-1]), levels[1, 0], -2.0, "slope $-2$")
    above.set(xscale="log", yscale="log", xlabel=TIME, ylim=(1e-2 * levels.min(), 1e2))
    below.set(xscale="log", yscale="log", xlabel=r"speed $\kappa$ of the classifier (no units)")
    below.set_xticks(joint_training.KAPPA, [f"{kappa:g}" for kappa in joint_training.KAPPA])
    below.minorticks_off()
    above.legend(loc="upper right")
    below.legend(loc="lower left")
    for axis in (above, below):
        axis.set_ylabel(r"$\mathcal{L}_{LS}^\perp/\mathcal{L}_{LS}$ (no units)")
    return figure


def draw_descent(seed: int) -> Figure:
    """Gradient descent in discrete time against the laws of the flows, and the time-free invariant.

    Above: the error of the singular values at one time t against the step size eta, for descent with renormalization
    (law k = 1), with momentum, and without renormalization (law k = 2). All are of first order. Below: the spread over
    j of F_1(omega_j(t)) - F_1(omega_j(0)), relative to its mean, along descent with renormalization and along Adam. It
    is 0 for the flow and small for descent; Adam follows another flow.
    """
    X, omega0 = discrete_time.start_of(np.random.default_rng(seed))
    eta = discrete_time.FRACTIONS * X.shape[1] ** 2 * X.shape[2]
    figure, (above, below) = panels(2)
    kinds = (
        ("sgd", 1, BLUE, "o", "descent, renormalized"),
        ("momentum", 1, VERMILION, "s", f"the same, momentum {discrete_time.BETA}"),
        ("plain", 2, GREEN, "^", "descent, not renormalized"),
    )
    for kind, k, color, marker, text in kinds:
        found = discrete_time.errors(discrete_time.omega_at_horizon(X, kind), omega0, k)
        above.plot(eta, found, marker, color=color, markersize=5, label=text)
        guide(above, (eta[-1], eta[0]), found[-1], 1.0, "slope 1" if kind == "sgd" else "")
    above.set(xscale="log", yscale="log", xlabel=r"step size $\eta$ (units of the gradient flow's time)")
    above.set_ylim(top=30 * above.get_ylim()[1])  # room for the legend
    above.set_ylabel(r"largest $|\log(\omega_j/\mathrm{law})|$ (no units)")
    above.legend(loc="upper left")
    steps = discrete_time.EVERY * np.arange(discrete_time.STEPS // discrete_time.EVERY + 1)
    runs = (
        (discrete_time.descent_omega(X, eta[0]), BLUE, "-", f"descent, $\\eta$ = {eta[0]:.2g}"),
        (discrete_time.adam_omega(X, discrete_time.ADAM), BLACK, "--", f"Adam, learning rate {discrete_time.ADAM:g}"),
    )
    for omega, color, style, text in runs:
        spread = discrete_time.spread_of_invariant(omega[1:], omega0)
        below.plot(steps[1:], spread, color=color, linestyle=style, label=text)
    below.set(yscale="log", xlabel="steps", ylabel=r"spread of $\Delta F_1(\omega_j)$ over $j$ / mean")
    below.legend(loc="center right")
    return figure
