"""Figures of the report, each computed in a second or two from `central_path`; a claim names the one beside it.

The docstring of a figure's function is its caption, and its text for who cannot see it. Colours are colour-blind-safe
and line styles differ, so that the figures read in grey too.
"""

import inspect
import io
from collections.abc import Callable

import jax
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from central_path.cli.plots import LOSSES, STYLE
from central_path.flows import FLOWS
from central_path.metrics import samples
from central_path.simulation.experiment import run_flow
from central_path.simulation.starts import renormalize
from central_path.theory.laws import Law
from central_path.theory.loss import central_path_loss, spectral_losses
from central_path.theory.manifold import oblique_projection, orthogonal_projection, random_point, retract
from theory_checks.report.drawing import BLACK, BLUE, GREY, PALE, TIME, VERMILION, decades_only, guide, panels
from theory_checks.report.training_figures import draw_assumptions, draw_descent

C, N, P = 4, 6, 8


def laws(seed: int) -> Figure:
    """Every singular value omega_j(t), integrated from full features, against both laws from the same omega_j(0).

    The flow with the orthogonal (Riemannian) projection follows Proposition 2. The flow with Proposition 4's
    projection, which is the limit of "gradient step, then renormalize", follows the law with c3 = 0.
    """
    begin = renormalize(samples.random_features(C, N, P, seed=seed), eps=float(np.finfo(float).eps))
    figure, axes = panels(2)
    projections = {"riemannian": "the orthogonal projection", "renormalized": "Proposition 4's projection"}
    drawn = {
        "riemannian": (BLACK, "--", "law of Proposition 2"),
        "renormalized": (VERMILION, ":", "law with $c_3 = 0$"),
    }
    for axis, (flow_name, projection) in zip(axes, projections.items(), strict=True):
        flow = run_flow(flow_name, begin, level="features", t_max=1e6, saves=60, rtol=1e-9, atol=1e-9)
        simulated = axis.plot(flow.ts, flow.ys["omega"], color=PALE, linewidth=5)
        simulated[0].set_label("integrated")
        for name, (color, style, text) in drawn.items():
            omega = np.asarray(FLOWS[name].law(C, N).omega(flow.ts[:, None], begin.omega0[None, :]))
            axis.plot(flow.ts, omega, color=color, linestyle=style, linewidth=1.3)[0].set_label(text)
        axis.set(title=f"flow with {projection}", ylabel=r"$\omega_j$ (no units)", xlabel=TIME)
        axis.set(xscale="log", yscale="log", ylim=(0.5 * begin.omega0.min(), 1.5 * 2e6**0.5))
        axis.legend(loc="upper left")
    return figure


def losses(seed: int) -> Figure:
    """The loss of one direction as a function of its singular value omega, in its two parts (Lemma 1).

    L_LS and L_NC2/3 fall as omega grows. L_NC1 first rises, and falls only beyond omega^2 = C.
    """
    del seed  # a curve, not a draw
    figure, (axis,) = panels(1)
    omega = np.geomspace(1e-2, 1e2, 401)
    values = jax.vmap(lambda w: spectral_losses(w[None], C=C))(omega)
    for line, value in zip(LOSSES, values, strict=True):
        axis.plot(omega, np.asarray(value), color=line.color, linestyle=line.style, label=line.label)
    peak = (C**0.5, 1 / (8 * C))
    axis.plot(*peak, "o", color=LOSSES[1].color, markersize=5)
    axis.axvline(peak[0], color=GREY, linewidth=0.8)
    axis.annotate(
        r"$\omega^2 = C$", (peak[0], 1e-6), xytext=(-5, 0), textcoords="offset points", color=GREY, ha="right"
    )
    axis.set(xscale="log", yscale="log", xlabel=r"singular value $\omega$ (no units)")
    axis.set(ylabel="loss of one direction (no units)", title=f"$C = {C}$")
    axis.legend(loc="lower left")
    return figure


def remainder(seed: int) -> Figure:
    """One gradient step and renormalization, minus the step along the projected gradient, against the step size.

    With Proposition 4's projection the remainder is of second order in the step, as Lemma 2 says. With the orthogonal
    projection it is of first order: another flow.
    """
    X = random_point(C, N, P, seed=seed)
    Z = -jax.grad(central_path_loss)(X)
    size, slope = float(np.linalg.norm(X)), float(np.linalg.norm(Z))
    steps = np.geomspace(1e-4, 0.3, 30) * size / slope
    renormalized = np.asarray(jax.vmap(lambda step: retract(X + step * Z))(steps))
    start, along = np.asarray(X)[None], steps[:, None, None, None]
    figure, (axis,) = panels(1)
    kinds = (
        (orthogonal_projection, VERMILION, "s", "orthogonal projection", 1.0, 2.5),
        (oblique_projection, BLUE, "o", "Proposition 4's projection", 2.0, 0.4),
    )
    for project, color, marker, text, order, beside in kinds:
        straight = start + along * np.asarray(project(X, Z))[None]
        rest = np.linalg.norm((renormalized - straight).reshape(len(steps), -1), axis=1) / size
        axis.plot(steps, rest, marker, color=color, markersize=4, label=text)
        guide(axis, (steps[0], steps[-1]), beside * rest[0], order, f"slope {order:g}", above=beside > 1)
    axis.set(xscale="log", yscale="log", xlabel="step size (units of the gradient flow's time)")
    axis.set(ylabel="remainder / size of $X$ (no units)")
    axis.legend(loc="lower right")
    return figure


def growth(seed: int) -> Figure:
    """The singular values of both laws from the same start, and how their ratio approaches 1 (Corollary 1).

    Under Proposition 2's law (k = 0) they grow as t^(1/4), under the law with c3 = 0 (k = 1) as t^(1/2). The ratio of
    the largest to the smallest approaches 1 as 1/t under both.
    """
    del seed  # a curve, not a draw
    figure, (above, below) = panels(2)
    t, omega0 = np.geomspace(1.0, 1e10, 201), np.array([3.0, 1.0, 0.3])
    for k, color, style, text in ((0, BLACK, "-", "law of Proposition 2"), (1, VERMILION, "--", "law with $c_3 = 0$")):
        law = Law(k, C, N)
        omega = np.asarray(law.omega(t[:, None], omega0[None, :]))
        above.plot(t, omega, color=color, linestyle=style)[0].set_label(text)
        below.plot(t, omega[:, 0] / omega[:, -1] - 1, color=color, linestyle=style, label=text)
        exponent, name = float(law.exponent), ("$t^{1/4}$", "$t^{1/2}$")[k]
        guide(above, (1e6, 1e10), 0.5 * float(law.asymptote(1e6)), exponent, name)
    guide(below, (1e6, 1e10), 5e-4, -1.0, "$t^{-1}$", above=True)
    above.set(xscale="log", yscale="log", xlabel=TIME, ylabel=r"$\omega_j$ (no units)")
    below.set(xscale="log", yscale="log", xlabel=TIME, ylabel=r"$\omega_1/\omega_{C-1} - 1$ (no units)")
    above.legend(loc="upper left")
    below.legend(loc="lower left")
    return figure


FIGURES: dict[str, Callable[[int], Figure]] = {
    "laws": laws,
    "losses": losses,
    "remainder": remainder,
    "growth": growth,
    "assumptions": draw_assumptions,
    "descent": draw_descent,
}


def caption(name: str) -> str:
    """What a figure shows, in words."""
    return " ".join((inspect.getdoc(FIGURES[name]) or name).split())


def draw(name: str, seed: int) -> bytes:
    """A figure as an SVG file."""
    with matplotlib.rc_context({**STYLE, "axes.titlesize": 9}):
        file = io.BytesIO()
        figure = FIGURES[name](seed)
        decades_only(figure)
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
