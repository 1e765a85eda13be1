"""The four-point example of the note: its numbers, and Figure 1.

C = N = 2 and P = 1: the points m + e and m - e are one class, -m + e and -m - e the other. The features are the point
(e, m) of a plane, and renormalized features have e = 1.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE
from central_path.cli.program import set_up_jax
from central_path.theory import manifold
from central_path.theory.loss import central_path_loss
from theory_checks.framework import paths

BLACK, BLUE, VERMILION, GREY = "#000000", "#0072B2", "#D55E00", "#808080"
M = np.sqrt(2.0)  # omega = 2
ETA = 1e-3
AGREE = 1e-12
LENGTH = 0.62  # of the gradient's arrow
ABOVE = 0.25  # of an arrow over its point, in rows
CLASSES, EXAMPLES = 2, 2


def features(e: float, m: float) -> np.ndarray:
    """(P, C, N) = (1, 2, 2)."""
    return np.array([[[m + e, m - e], [-m + e, -m - e]]])


def omega_of(X: np.ndarray) -> float:
    """The one singular value of the SNR matrix."""
    return float(np.max(np.asarray(paths.omega_of(jnp.asarray(X)))))


def numbers() -> dict[str, float]:
    """omega, its velocity under both projections, their ratio, and the velocity of a renormalized step.

    Raises:
        ValueError: if the velocities of the features differ from the formulas of Theorem 3.1.
    """
    set_up_jax()
    X = jnp.asarray(features(1.0, M))
    Z = -jax.grad(central_path_loss)(X)
    omega = omega_of(np.asarray(X))
    project = {"riemannian": manifold.orthogonal_projection, "renormalized": manifold.oblique_projection}
    found = {}
    for k, (name, projection) in enumerate(project.items()):
        mean = float(np.asarray(projection(X, Z))[0, 0].mean())  # dm/dt, and omega = 2^(1/2) m on the manifold
        formula = omega / EXAMPLES * (1 + omega**2 / CLASSES) ** k / (CLASSES + omega**2) ** 2
        found[name] = np.sqrt(2.0) * mean
        if abs(found[name] - formula) > AGREE:
            raise ValueError(f"Need d omega/dt = {formula} of the flow {name}, got {found[name]}: see Theorem 3.1.")
    step = (omega_of(np.asarray(manifold.retract(X + ETA * Z))) - omega) / ETA
    return found | {"omega": omega, "ratio": found["renormalized"] / found["riemannian"], "step": step, "eta": ETA}


def _arrow(axis: Axes, start: np.ndarray, end: np.ndarray, color: str, style: str = "-") -> None:
    how = {"arrowstyle": "-|>", "color": color, "lw": 1.8, "ls": style, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", (end[0], end[1]), (start[0], start[1]), arrowprops=how | {"mutation_scale": 9}, zorder=4)


def _plane(axis: Axes, gradient: np.ndarray, orthogonal: np.ndarray, oblique: np.ndarray) -> None:
    """The plane (e, m) with the manifold, a fibre, a circle and the three velocities."""
    here = np.array([1.0, M])
    ray = np.linspace(0, 1.4, 2)
    axis.plot(ray, M * ray, color=GREY, lw=1, ls="--")
    angle = np.linspace(0.0, np.pi / 2, 100)
    axis.plot(np.sqrt(3.0) * np.cos(angle), np.sqrt(3.0) * np.sin(angle), color=GREY, lw=1, ls=":")
    axis.axvline(1.0, color=BLACK, lw=1)
    tip = here + gradient
    for end in (orthogonal, oblique):
        axis.plot(*np.transpose([tip, here + end]), color=GREY, lw=0.8)
    _arrow(axis, here, here + oblique, VERMILION, "--")
    _arrow(axis, here, here + orthogonal, BLUE)
    _arrow(axis, here, tip, BLACK)
    axis.plot(*here, "o", color=BLACK, ms=5, zorder=5)
    axis.text(tip[0] - 0.04, tip[1] + 0.02, r"$-\nabla L$", ha="right", va="bottom")
    axis.text(1.13, M - 0.05, r"$\Pi_\perp(-\nabla L)$", color=BLUE, va="bottom")
    axis.text(1.06, M + oblique[1] - 0.05, r"$\Pi_4(-\nabla L)$", color=VERMILION, va="top")
    axis.text(0.93, 0.1, r"$\mathcal{X}$: $e = 1$", ha="right")
    axis.text(1.5, 2.0, "fibre", color=GREY, ha="left")
    axis.text(1.75, 0.62, r"$e^2 + m^2$" "\nconstant", color=GREY, ha="left", va="center", fontsize=8)
    axis.set(xlim=(0, 2.5), ylim=(0, 2.75), aspect="equal", xlabel="half spread $e$", ylabel="half distance $m$")


def _points(axis: Axes, velocities: dict[str, tuple[np.ndarray, str, str]]) -> None:
    """The four points, and their velocities in three rows."""
    X = features(1.0, M)[0]
    for row, (name, (velocity, color, style)) in enumerate(velocities.items()):
        moved = features(*(np.array([1.0, M]) + velocity))[0]
        axis.axhline(-row, color=GREY, lw=0.5, zorder=0)
        for c, marker, face in ((0, "o", BLACK), (1, "s", "white")):
            axis.plot(X[c], [-row, -row], marker, ls="", color=BLACK, mfc=face, ms=6, zorder=5)
            for start, end in zip(X[c], moved[c], strict=True):
                if abs(end - start) > 1e-9:  # above the points, which would hide a short arrow
                    _arrow(axis, np.array([start, ABOVE - row]), np.array([end, ABOVE - row]), color, style)
        axis.text(-4.9, -row, name, color=color, ha="right", va="center")
    axis.plot([], [], "o", color=BLACK, label="class 1")
    axis.plot([], [], "s", color=BLACK, mfc="white", label="class 2")
    axis.legend(loc="lower center", ncols=2)
    axis.set(xlim=(-4.7, 4.7), ylim=(-3.3, 0.5), yticks=[], xlabel="feature")
    axis.spines["left"].set_visible(False)
    axis.grid(False)


def draw(path: Path) -> None:
    """Write Figure 1."""
    r = np.sqrt(1 + M**2)
    gradient = LENGTH * np.array([-M, 1.0]) / r  # perpendicular to the ray (1, M)
    orthogonal = np.array([0.0, gradient[1]])
    oblique = np.array([0.0, gradient[1] - gradient[0] * M])
    style: dict[Any, Any] = {"svg.hashsalt": "four points", "mathtext.fontset": "cm", "axes.grid": False}
    with matplotlib.rc_context(STYLE | style):
        figure = Figure(figsize=(7.0, 2.75), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
        _plane(left, gradient, orthogonal, oblique)
        _points(
            right,
            {
                r"$-\nabla L$": (gradient, BLACK, "-"),
                r"$\Pi_\perp(-\nabla L)$": (orthogonal, BLUE, "-"),
                r"$\Pi_4(-\nabla L)$": (oblique, VERMILION, "--"),
            },
        )
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
