"""The animation of README.md: class means and features of three classes that converge to a Simplex ETF in a plane.

    python docs/scripts/animate.py runs/resnet8 --classes 3 5 8 --output runs/collapse.gif

Left the flow from the first saved epoch in closed form, right the network at its saved epochs, without interpolation.
Both begin with the same picture. The three classes are taken by themselves, C = 3, and renormalized: X = Sigma_W^(-1/2)
(H - mu_G). Their class means

    Mbar = U diag(omega) V^T

span a plane, U (P, 2). It is rotated, or reflected, so that the means come as near as they can to a fixed equilateral
triangle T (2, 3), T T^T = I and T 1 = 0: a feature x is drawn at T V U^T x. The means are then at T V diag(omega) V^T,
and the deviations e = x - mu_c at T V U^T e. Both are divided by |Mbar|_F/2^(1/2), so that means which are a Simplex
ETF lie on T. Along the flows k = 0 and k = 1 the deviations and the singular vectors stay, and omega follows the law.
For renormalized features NC1 = sum_j 1/omega_j^2.

Source: Han, Papyan & Donoho (2022), Definition 2, Lemma 5, Corollary 2; of a plane for three classes, this project.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from tqdm import tqdm

from central_path.cli import records
from central_path.cli.inputs import features_of_samples
from central_path.cli.options import Parser, checked
from central_path.cli.plots import STYLE
from central_path.cli.program import answer, on_terminal, run_program, set_up_jax
from central_path.metrics.samples import check_samples
from deepnet_runs.storage import runs

PROGRAM = "python docs/scripts/animate.py"
FLOWS = ("renormalized", "riemannian")  # the flows that collapse
CLASSES = 3
_ANGLES = np.pi * (0.5 + 2 * np.arange(CLASSES) / CLASSES)
TRIANGLE: Float[np.ndarray, "2 3"] = np.sqrt(2 / CLASSES) * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])

LOOKS = (("#004488", "o"), ("#BB5566", "^"), ("#DDAA33", "s"))  # differ in lightness and marker too: read in grey
GREY: dict[str, Any] = {"color": "#777777", "linestyle": "--", "linewidth": 1.0}  # of the target
MOST_POINTS = 140  # drawn of a class
INCHES, HEIGHT, WIDTH = 7.2, 0.56, 720  # width; height as a share of it; width in pixels
ROOM = 0.25  # share of the height of the axes above the picture, for the text
DURATION, HOLD = 170, 2000  # milliseconds of a frame, and of the last one
COLORS = 48

COUNT = checked(int, lambda n: 2 <= n <= 1000, "from 2 to 1000 frames")


class Plane(NamedTuple):
    """Three classes in the plane of their means: omega, T V, and the deviations (2, 3, N) in the plane."""

    omega: Float[np.ndarray, " 2"]
    TV: Float[np.ndarray, "2 2"]
    deviations: Float[np.ndarray, "2 3 N"]

    def at(self, omega: Float[np.ndarray, " 2"]) -> "Plane":
        """The same singular vectors and deviations with other omega: a later moment of the flow."""
        return self._replace(omega=omega)

    @property
    def means(self) -> Float[np.ndarray, "2 3"]:
        """Class means as drawn: T if they are a Simplex ETF."""
        return (self.TV * self.omega) @ self.TV.T @ TRIANGLE * np.sqrt(2) / np.linalg.norm(self.omega)

    @property
    def points(self) -> Float[np.ndarray, "2 3 N"]:
        """Features as drawn."""
        return self.means[:, :, None] + self.deviations * np.sqrt(2) / np.linalg.norm(self.omega)

    @property
    def drawn(self) -> Float[np.ndarray, "2 3 n"]:
        """The points that are drawn: the first ones of each class."""
        return self.points[:, :, :MOST_POINTS]

    def text(self, moment: str) -> str:
        """What stands above the picture."""
        nc1, ratio = np.sum(self.omega**-2.0), self.omega[0] / self.omega[1]
        return f"{moment}\nNC1 = {nc1:#.2g}\n$\\omega_1/\\omega_2$ = {ratio:.2f}"


Frame = tuple[Plane, Plane, tuple[str, str]]  # theory, network, and when


def project(features: Shaped[np.ndarray, "n P"], labels: Shaped[np.ndarray, " n"]) -> Plane:
    """Features (n, P) of three classes in the plane of their means, in sorted order of their labels.

    Directions without within-class variance are left out, where the class means have nothing in them beyond rounding.
    Unbalanced classes are subsampled to the smallest, the same rows for the same labels.

    Raises:
        ValueError: as `inputs.features_of_samples` and `starts.renormalize`, and if a direction without
            within-class variance separates the means.
    """
    given, note = features_of_samples(check_samples(features, labels), balance=True, restrict_rank=True, seed=0)
    if "left out" in note:
        raise ValueError(f"Need class means in the range of Sigma_W, got {note}: their omega are infinite.")
    X = given.start().X
    M = X.mean(axis=2)
    U, omega, Vt = np.linalg.svd(M - M.mean(axis=1, keepdims=True), full_matrices=False)
    TV = TRIANGLE @ Vt[:2].T
    return Plane(omega[:2], TV, np.tensordot(TV @ U[:, :2].T, X - M[:, :, None], axes=1))


def choose(
    features: Shaped[np.ndarray, "n P"], labels: Shaped[np.ndarray, " n"], classes: Int[np.ndarray, " 3"]
) -> tuple[Shaped[np.ndarray, "m P"], Shaped[np.ndarray, " m"]]:
    """The rows of three classes.

    Raises:
        ValueError: for a class that is not there.
    """
    missing = [str(c) for c in classes if c not in labels]
    if missing:
        there = ", ".join(map(str, np.unique(labels)))
        raise ValueError(f"Need classes among {there}, got {', '.join(missing)}: give three of them to --classes.")
    kept = np.isin(labels, classes)
    return features[kept], labels[kept]


def saved_epochs(run: Path, frames: int) -> list[tuple[int, Path]]:
    """At most `frames` of the epochs whose features a run has saved, evenly spaced, with the first and the last.

    Raises:
        ValueError: if there are fewer than two.
    """
    found = sorted((int(path.stem.removeprefix("epoch_")), path) for path in run.glob("features/epoch_*.npz"))
    if len(found) < 2:
        raise ValueError(
            f"Need a run with the features of two epochs or more, got {len(found)} in {run / 'features'}: train with "
            "--save-features."
        )
    return [found[i] for i in sorted(set(np.round(np.linspace(0, len(found) - 1, frames)).astype(int)))]


def network(epochs: Sequence[tuple[int, Path]], classes: Sequence[int]) -> list[Plane]:
    """The three classes of a network at each of the epochs.

    Raises:
        ValueError: for features that cannot be read or have no such plane, with the file.
    """
    planes = []
    for _, path in tqdm(epochs, "epochs", file=sys.stderr, leave=False, disable=not on_terminal()):
        read = records.read_samples(path)
        try:
            planes.append(project(*choose(*read, np.array(classes))))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return planes


def theory(begin: Plane, flow: str, frames: int) -> tuple[Float[np.ndarray, " T"], list[Plane]]:
    """Times of the flow, from 0 to its horizon, and the three classes at each."""
    from central_path.flows import FLOWS as ALL  # imports JAX, whose flags are set first

    N = begin.deviations.shape[2]
    law, times = ALL[flow].law(CLASSES, N), ALL[flow].horizon(begin.omega, C=CLASSES, N=N).times(frames)
    omega = np.asarray(law.omega(times[:, None], begin.omega[None, :]))
    return times, [begin.at(now) for now in omega]


def paint(axis: Axes, plane: Plane, title: str, moment: str, names: Sequence[str]) -> None:
    """One set of axes: the target, three sets of features, their means, and the text above them."""
    axis.set(aspect="equal", xticks=[], yticks=[])
    axis.set_title(title, fontsize=11)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.plot(*np.c_[TRIANGLE, TRIANGLE[:, :1]], **GREY, zorder=3)
    axis.plot(*np.c_[plane.means, plane.means[:, :1]], color="black", linewidth=1.0, zorder=3.5)
    for c, (name, (color, marker)) in enumerate(zip(names, LOOKS, strict=True)):
        look: dict[str, Any] = {"color": color, "marker": marker, "linestyle": "none"}
        axis.plot(*plane.drawn[:, c], **look, markersize=2.6, markeredgewidth=0)
        mean = {"markersize": 8, "markeredgewidth": 1.2, "markeredgecolor": "black", "zorder": 4}
        axis.plot(*plane.means[:, c, None], **look, **mean, label=f"class {name}")
    axis.text(0.02, 0.98, plane.text(moment), transform=axis.transAxes, va="top", fontsize=10, linespacing=1.35)


def image(frame: Frame, names: Sequence[str], titles: tuple[str, str], box: Float[np.ndarray, "2 2"]) -> Image.Image:
    """Both panels of a frame in full colour; all frames have the same box, the least and largest coordinates."""
    *planes, moments = frame
    (left, right), (low, high) = box
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(INCHES, INCHES * HEIGHT), dpi=WIDTH / INCHES)
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
        figure.subplots_adjust(0.01, 0.08, 0.99, 0.93, wspace=0.02)
        for axis, plane, title, moment in zip(axes, planes, titles, moments, strict=True):
            paint(axis, plane, title, moment, names)
            axis.set(xlim=(left, right), ylim=(low, high + ROOM * (high - low)))
        handles = [*axes[0].get_legend_handles_labels()[0], Line2D([], [], **GREY, label="Simplex ETF")]
        figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=10, handletextpad=0.4)
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def write(frames: Sequence[Frame], names: Sequence[str], titles: tuple[str, str], path: Path) -> None:
    """The GIF. All frames have one palette, that of the first and the last, without dithering, which keeps it small."""
    seen = np.concatenate([plane.drawn.reshape(2, -1) for *planes, _ in frames for plane in planes], axis=1)
    low, high = seen.min(axis=1), seen.max(axis=1)
    box = np.stack([low, high], axis=1) + 0.05 * np.max(high - low) * np.array([-1.0, 1.0])
    bar = tqdm(frames, "frames", file=sys.stderr, leave=False, disable=not on_terminal())
    images = [image(frame, names, titles, box) for frame in bar]
    both = Image.fromarray(np.concatenate([np.asarray(images[0]), np.asarray(images[-1])]))
    palette = both.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    first, *others = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in images]
    durations = [DURATION] * len(others) + [HOLD]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, optimize=False)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options; exits with code 2 and one line for what cannot be."""
    p = Parser(PROGRAM, "Three classes in a plane that become a Simplex ETF, by the flow and in a network.", "")
    p.add_argument("run", type=Path, metavar="RUN", help="output folder of deepnet_runs.train with --save-features")
    p.add_argument("--output", type=Path, default=Path("runs/collapse.gif"), metavar="FILE.gif", help="%(default)s")
    p.add_argument("--classes", type=int, nargs=3, default=[0, 1, 2], metavar="LABEL", help="three (default 0 1 2)")
    p.add_argument("--flow", choices=FLOWS, default="renormalized", help="on the left (default: %(default)s)")
    p.add_argument("--frames", type=COUNT, default=60, metavar="INT", help="at most (default: %(default)s)")
    args = p.parse_args(argv)
    if len(set(args.classes)) < 3:
        p.error(f"need three different classes, got --classes {' '.join(map(str, args.classes))}")
    if args.output.suffix != ".gif":
        p.error(f"need a file name that ends in .gif, got --output {args.output}")
    return args


def animate(args: argparse.Namespace) -> str:
    """Read, draw and write; the line printed at the end.

    Raises:
        ValueError: for records that cannot be used.
        OSError: if the file cannot be written; then it is not.
    """
    records.check_destination(args.output.parent, (args.output.name,))
    config = runs.read(args.run).config
    epochs = saved_epochs(args.run, args.frames)
    set_up_jax()
    seen = network(epochs, args.classes)
    times, flow = theory(seen[0], args.flow, len(epochs))
    moments = [(f"t = {t:.2g}", f"epoch {epoch}") for t, (epoch, _) in zip(times, epochs, strict=True)]
    frames = list(zip(flow, seen, moments, strict=True))
    names = [str(c) for c in sorted(args.classes)]
    titles = f"theory: {args.flow} flow", f"network: {config['network']} on {config['dataset']}"
    with records.staging(args.output.parent, last=args.output.name) as stage:
        write(frames, names, titles, stage / args.output.name)
    return f"{len(frames)} frames, epochs {epochs[0][0]} to {epochs[-1][0]}, t = 0 to {times[-1]:.3g}; in {args.output}"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parse(argv)
    return answer(PROGRAM, lambda: (0, animate(args)))


if __name__ == "__main__":
    run_program(main)
