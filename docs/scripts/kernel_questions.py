"""Three questions about the kernel of the features, with a figure each in docs/figures.

    python docs/scripts/kernel_questions.py

How far do the omega become equal before their ratios freeze, as a function of b? How do the singular vectors turn from
the covariance of a real network's features? Which path do these features take under each b? All from full features or
from the closed state of moments; the lines of the first figure are the closed form.
"""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE, save
from central_path.cli.program import set_up_jax

FOLDER = Path(__file__).resolve().parents[1] / "figures"
SPREADS = (2.0, 5.0, 20.0)  # omega_1/omega_{C-1} of the starts
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
KERNELS = (0.0, 0.03, 0.1, 0.3, 1.0)
C, N, P = 5, 12, 8
FAR = 1e4  # omega at which the ratios of the features are read off
SMALLEST = 1.0  # omega_{C-1} at the start


def start_with(spread: float):
    """Renormalized features with omega from SMALLEST to spread times it."""
    from central_path.simulation.starts import renormalize

    rng = np.random.default_rng(0)
    E = rng.standard_normal((P, C, N))
    E -= E.mean(axis=2, keepdims=True)
    w, U = np.linalg.eigh(E.reshape(P, -1) @ E.reshape(P, -1).T / (C * N))
    omega = SMALLEST * np.geomspace(spread, 1.0, C - 1)
    left, right = np.linalg.qr(rng.standard_normal((P, C - 1)))[0], np.linalg.qr(rng.standard_normal((C - 1, C - 1)))[0]
    contrasts = np.linalg.qr(np.column_stack([np.ones(C), rng.standard_normal((C, C - 1))]))[0][:, 1:]
    M = (U * np.sqrt(w)) @ U.T @ (left * omega) @ right @ contrasts.T
    return renormalize(E + M[:, :, None], eps=float(np.finfo(float).eps))


def how_far_they_equalise() -> Figure:
    """The limit of omega_1/omega_{C-1} against b: the law, and features integrated until omega is 1e4."""
    from central_path.simulation.experiment import run_flow
    from central_path.theory.kernel_laws import KernelLaw

    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axis = figure.subplots()
    kernels = np.geomspace(0.01, 2, 60)
    for spread, style, color in zip(SPREADS, STYLES, COLORS, strict=False):
        begin = start_with(spread)
        high, low = float(begin.omega0[0]), float(begin.omega0[-1])
        limits = [float(np.exp(KernelLaw(float(b), 2, C, N).limiting_log_ratio(high, low))) for b in kernels]
        label = rf"$\omega_1/\omega_{{C-1}} = {spread:g}$ at the start"
        axis.plot(kernels, limits, linestyle=style, color=color, label=label)
        for b in (0.03, 0.1, 0.3, 0.7, 1.5):
            law = KernelLaw(b, 2, C, N)
            t_max = float(law.elapsed(low, np.log(FAR / low)))
            options = {"level": "features", "saves": 5, "rtol": 1e-10, "atol": 1e-10}
            omega = run_flow("unnormalized", begin, kernel=b, t_max=t_max, **options).ys["omega"][-1]
            axis.plot(b, omega[0] / omega[-1], "o", color=color, markerfacecolor="white", markersize=5)
    axis.set(xscale="log", yscale="log", xlabel="kernel $b$ (within-class over class-mean mobility)")
    axis.set(ylabel=r"$\omega_1/\omega_{C-1}$ in the limit $t \to \infty$")
    axis.legend(title="lines: closed form; circles: features")
    return figure


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Last-layer features of a network trained on digits, and their labels."""
    with np.load(str(files("central_path") / "data" / "digits_resnet8_epoch0040.npz")) as archive:
        return archive["features"], archive["labels"]


def follow(b: float):
    """The features of the network as they are, under the plain flow with a kernel."""
    from central_path.simulation.general import simulate_general

    return simulate_general(*digits(), flow="unnormalized", kernel=b, saves=120, keep_moments=True)


def right_vectors(run: Any, b: float) -> np.ndarray:
    """V (T, C, C-1) of the SNR matrix: Sigma_W = K - b Sigma_B with the conserved K."""
    begin, out = run.start, []

    def between(M):
        Mbar = M - (M @ begin.pi)[:, None]
        return Mbar, (Mbar * begin.pi) @ Mbar.T

    K = np.diag(begin.w) + b * between(run.ys["M"][0])[1]
    for M in run.ys["M"]:
        Mbar, Sigma_B = between(M)
        L = np.linalg.cholesky(K - b * Sigma_B)
        out.append(np.linalg.svd(np.linalg.solve(L, Mbar))[2][: len(begin.pi) - 1].T)
    return np.stack(out)


def how_they_turn(runs: dict[float, Any]) -> Figure:
    """The angle of each right singular vector from its own at the start, averaged over j, against the loss."""
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axis = figure.subplots()
    for (b, run), style, color in zip(runs.items(), STYLES, COLORS, strict=True):
        shown = run.ys["omega"][:, 0] < 3e3  # beyond, K - b Sigma_B has lost too many digits
        V = right_vectors(run, b)[shown] if b else right_vectors(run, b)
        overlap = np.abs(np.einsum("tcj,cj->tj", V, V[0]))
        growth = run.ys["omega"][: len(V)].mean(axis=1) / run.ys["omega"][0].mean()
        angle = np.degrees(np.arccos(np.minimum(overlap, 1)))
        axis.plot(growth, np.sqrt(np.mean(angle**2, axis=1)), linestyle=style, color=color, label=f"$b = {b:g}$")
    axis.set(xscale="log", xlabel=r"growth of the mean $\omega_j$", ylabel=r"angle of $v_j(t)$ from $v_j(0)$ (degrees)")
    axis.legend()
    return figure


def which_path(runs: dict[float, Any]) -> Figure:
    """NC2 of the class means against NC1, under each b."""
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axis = figure.subplots()
    for (b, run), style, color in zip(runs.items(), STYLES, COLORS, strict=True):
        axis.plot(run.ys["nc1"], run.ys["equiangularity"], linestyle=style, color=color, label=f"$b = {b:g}$")
    axis.set(
        xscale="log", yscale="log", xlabel=r"NC1: tr$(\Sigma_W\Sigma_B^+)/C$", ylabel="NC2: std of cosines of means"
    )
    axis.invert_xaxis()
    axis.legend()
    return figure


def main() -> int:
    """Draw the three figures."""
    set_up_jax()
    with matplotlib.rc_context(STYLE):
        save(how_far_they_equalise(), FOLDER / "kernel_limits.png")
        runs = {b: follow(b) for b in KERNELS}
        for b, run in runs.items():
            (first, last), nc1 = run.ys["omega"][[0, -1]], run.ys["nc1"]
            print(f"b = {b:g}: {run.result}, {run.steps} steps; omega_1/omega_9", end=" ")
            print(f"{first[0] / first[-1]:.2f} -> {last[0] / last[-1]:.2f}; NC1 {nc1[0]:.2g} -> {nc1[-1]:.2g}")
        save(how_they_turn(runs), FOLDER / "kernel_turning.png")
        save(which_path(runs), FOLDER / "kernel_paths.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
