"""Two panels of three classes in a plane, frame by frame, written as a GIF.

Classes differ in colour, lightness and marker, so that they read in grey too. All frames have one palette, that of the
first and the last, and no dithering: what stays still costs no bytes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from tqdm import tqdm

from central_path.cli.plots import STYLE
from central_path.cli.program import on_terminal
from deepnet_runs.animation.plane import TRIANGLE, Plane

LOOKS = (("#004488", "o"), ("#BB5566", "^"), ("#DDAA33", "s"))
MOST_POINTS = 140  # of a class
INCHES, HIGH = 7.2, 0.56  # width; height as a share of it
ABOVE = 0.25  # of the axes, for what is said there
HOLD = 2.0  # seconds for which the last frame stays
COLORS = 48

Frame = tuple[Plane, Plane, tuple[str, str]]


def drawn(plane: Plane) -> Float[np.ndarray, "2 3 n"]:
    """The points that are drawn of a plane: of each class the first."""
    return plane.points[:, :, :MOST_POINTS]


def around(frames: Sequence[Frame]) -> Float[np.ndarray, "2 2"]:
    """Smallest and largest coordinate of all that is drawn, with a margin."""
    seen = np.concatenate([drawn(plane).reshape(2, -1) for *planes, _ in frames for plane in planes], axis=1)
    low, high = seen.min(axis=1), seen.max(axis=1)
    return np.stack([low, high], axis=1) + 0.05 * np.max(high - low) * np.array([-1.0, 1.0])


class Panel:
    """One set of axes: three clouds, three means, the target, and what is said above it."""

    def __init__(self, axis: Axes, names: Sequence[str], title: str, box: Float[np.ndarray, "2 2"]):
        (left, right), (low, high) = box
        room = ABOVE * (high - low)
        axis.set(xlim=(left, right), ylim=(low, high + room), aspect="equal", xticks=[], yticks=[])
        axis.grid(False)
        for side in axis.spines.values():
            side.set_visible(False)
        axis.set_title(title, fontsize=11)
        axis.plot(*np.c_[TRIANGLE, TRIANGLE[:, :1]], color="#777777", linestyle="--", linewidth=1.0, zorder=3)
        self.clouds: list[Line2D] = []
        self.means: list[Line2D] = []
        for name, (color, marker) in zip(names, LOOKS, strict=True):
            cloud = {"color": color, "marker": marker, "linestyle": "none", "markersize": 2.6, "markeredgewidth": 0}
            self.clouds += axis.plot([], [], **cloud)
            mean = cloud | {"markersize": 8, "markeredgewidth": 1.2, "markeredgecolor": "black", "zorder": 4}
            self.means += axis.plot([], [], label=f"class {name}", **mean)
        (self.sides,) = axis.plot([], [], color="black", linewidth=1.0, zorder=3.5)
        self.text = axis.text(0.02, 0.98, "", transform=axis.transAxes, va="top", fontsize=10, linespacing=1.35)

    def show(self, plane: Plane, moment: str) -> None:
        """Move everything to where the plane has it."""
        points, means = drawn(plane), plane.means
        for c in range(means.shape[1]):
            self.clouds[c].set_data(points[0, c], points[1, c])
            self.means[c].set_data(means[:1, c], means[1:, c])
        self.sides.set_data(*np.c_[means, means[:, :1]])
        self.text.set_text(f"{moment}\nNC1 = {plane.nc1:#.2g}\n$\\omega_1/\\omega_2$ = {plane.ratio:.2f}")


class Picture:
    """Both panels, on a canvas of so many pixels across, with room for everything that the frames will show."""

    def __init__(self, names: Sequence[str], titles: tuple[str, str], size: int, frames: Sequence[Frame]):
        box = around(frames)
        with matplotlib.rc_context(STYLE):
            self.figure = Figure(figsize=(INCHES, INCHES * HIGH), dpi=size / INCHES)
            self.canvas = FigureCanvasAgg(self.figure)
            axes = self.figure.subplots(1, 2)
            self.figure.subplots_adjust(0.01, 0.08, 0.99, 0.93, wspace=0.02)
            self.panels = [Panel(axis, names, title, box) for axis, title in zip(axes, titles, strict=True)]
            target = Line2D([], [], color="#777777", linestyle="--", linewidth=1.0, label="Simplex ETF")
            handles: list[Artist] = [*self.panels[0].means, target]
            self.figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=10, handletextpad=0.4)

    def show(self, frame: Frame) -> None:
        """Set both panels."""
        *planes, moments = frame
        for panel, plane, moment in zip(self.panels, planes, moments, strict=True):
            panel.show(plane, moment)

    def image(self, frame: Frame) -> Image.Image:
        """One frame in full colour."""
        with matplotlib.rc_context(STYLE):
            self.show(frame)
            self.canvas.draw()
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")


def write(picture: Picture, frames: Sequence[Frame], path: Path, *, fps: float) -> None:
    """The GIF, which begins anew when it has stood still at its end for two seconds."""
    ends = [picture.image(frames[0]), picture.image(frames[-1])]
    both = Image.new("RGB", (ends[0].width, 2 * ends[0].height))
    for i, image in enumerate(ends):
        both.paste(image, (0, i * image.height))
    palette = both.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    bar = tqdm(frames, "frames", file=sys.stderr, leave=False, disable=not on_terminal())
    images = [picture.image(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in bar]
    durations = [round(1000 / fps)] * (len(images) - 1) + [round(1000 * HOLD)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False)
