"""What the figures of the report share: colours that stay apart in grey, panels, guides to the eye."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

BLACK, BLUE, PALE, VERMILION, GREY = "#000000", "#0072B2", "#a9d3ee", "#D55E00", "#666666"
GREEN = "#009E73"
TIME = "time $t$ (units of the gradient flow)"


def panels(n: int) -> tuple[Figure, list[Axes]]:
    """Panels one above the other, which a narrow screen can show."""
    wide, high, (left, right, bottom, top) = 4.5, 2.8, (0.75, 0.15, 0.5, 0.3)  # inches; a layout engine draws twice
    figure = Figure(figsize=(wide, n * high))
    axes = list(figure.subplots(n, 1, squeeze=False)[:, 0])
    between = (bottom + top) / (high - bottom - top)
    figure.subplots_adjust(left / wide, bottom / (n * high), 1 - right / wide, 1 - top / (n * high), hspace=between)
    return figure, axes


def decades_only(figure: Figure) -> None:
    """No minor ticks on log axes: they take most of the time, and say nothing over many decades."""
    for axis in figure.axes:
        for scale in (axis.xaxis, axis.yaxis):
            if scale.get_scale() == "log":
                scale.set_minor_locator(NullLocator())


def guide(axis: Axes, x: tuple[float, float], y: float, slope: float, text: str, *, above: bool = False) -> None:
    """A thin line of a slope on log axes, from y at x[0], with its text above or below the middle."""
    axis.plot(x, (y, y * (x[1] / x[0]) ** slope), color=GREY, linewidth=1.0)
    middle = (np.sqrt(x[0] * x[1]), y * np.sqrt(x[1] / x[0]) ** slope)
    side = "right" if above == (slope > 0) else "left"
    offset = (-5 if side == "right" else 5, 4 if above else -4)
    at = "bottom" if above else "top"
    axis.annotate(text, middle, xytext=offset, textcoords="offset points", color=GREY, ha=side, va=at)
