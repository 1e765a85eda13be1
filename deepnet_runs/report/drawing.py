"""A panel as SVG, once for each choice of linear and logarithmic axes; ticks are matplotlib's.

The style sheet shows one of the drawings, so that axes change without a script. Text is text, and sizes are those of a
phone: wider screens have more panels beside one another.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.ticker import LogLocator, MaxNLocator

from deepnet_runs.report.charts import Chart, Curve, Panel
from deepnet_runs.report.elements import element

W, H = 360.0, 232.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 8.0, 34.0
MARKS = {  # about (0, 0)
    "o": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
    "s": "M-2.6 -2.6h5.2v5.2h-5.2z",
    "^": "M0 -3.4l3.2 5.8h-6.4z",
    "D": "M0 -3.6l3 3.6l-3 3.6l-3 -3.6z",
    "x": "M-2.6 -2.6l5.2 5.2M2.6 -2.6l-5.2 5.2",
}
MINUS = "\N{MINUS SIGN}"
LARGEST = 1e300  # end of an axis: its products overflow beyond
DASHES = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6), ":": (1, 1.65)}  # matplotlib's, in widths of the line
DOT = "M-1.8 0a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0 -3.6 0z"  # of a value without neighbours


class Scale(NamedTuple):
    """An axis: values from low to high lie between two positions in the drawing."""

    low: float
    high: float
    log: bool
    start: float
    end: float

    def shows(self, values: Float[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
        """Which values have a place on the axis."""
        return np.isfinite(values) & ((values > 0) | (not self.log))

    def at(self, values: Any) -> Any:
        """Positions of values that it shows."""
        low, high, x = (np.log10(v) if self.log else v for v in (self.low, self.high, np.asarray(values, dtype=float)))
        with np.errstate(over="ignore"):
            return self.start + (x - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """A few round values within the axis."""
        if self.log:
            decades = np.log10(self.high / self.low)
            for subs in ((1.0,), (1.0, 2.0, 5.0)) if decades < 3 else ((1.0,),):
                with np.errstate(over="ignore"):  # of ticks beyond the axis
                    found = self._within(LogLocator(subs=subs, numticks=6).tick_values(self.low, self.high))
                if len(found) > 2 or decades >= 3:
                    return found
        return self._within(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(self.low, self.high))

    def _within(self, values: Iterable[float]) -> list[float]:
        small = 1e-9 * (self.high - self.low)
        return [float(v) for v in values if self.low - small <= v <= self.high + small and (v > 0 or not self.log)]


def scales_of(values: Iterable[np.ndarray], *, log: bool) -> tuple[float, float] | None:
    """Ends of an axis that shows all values; None if it can show none. A linear axis of positive values begins at 0."""
    there = np.concatenate([np.ravel(v) for v in values] or [np.empty(0)])
    there = there[np.isfinite(there) & ((there > 0) | (not log))]
    if not there.size:
        return None
    low, high = float(max(there.min(), -LARGEST)), float(min(there.max(), LARGEST))
    if log:
        beyond = 1.15 if high > low else 2.0
        return max(low / beyond, 1 / LARGEST), high * beyond
    if low >= 0:
        return (-0.03 * high, 1.05 * high) if high > 0 else (-0.03, 1.0)
    margin = 0.05 * (high - low) or abs(low)
    return low - margin, high + margin


def drawings(chart: Chart, panel: Panel) -> Iterator[Element]:
    """The panel with each pair of axes on which the chart has values: classes x-linear, x-log, y-linear, y-log."""
    curves = [curve for one in chart.panels for curve in one.curves]
    shown = [curve.values for curve in curves]
    signed = any(np.any(values < 0) for values in shown) or any(level <= 0 for level in chart.levels)
    for y_log in (False,) if signed else (False, True):
        ends = scales_of([*shown, np.array(chart.levels)], log=y_log)
        if ends is None:
            continue
        if chart.limits and not y_log:
            ends = chart.limits
        y = Scale(*ends, y_log, H - BOTTOM, TOP)
        last = max(float(curve.epochs.max()) for curve in curves)
        for x_log in (False, True):
            low, high = (0.9, 1.1 * last) if x_log else (0.0, 1.03 * last)
            x = Scale(low, high, x_log, LEFT, W - RIGHT)
            yield _drawing(chart, panel, x, y)


def _drawing(chart: Chart, panel: Panel, x: Scale, y: Scale) -> Element:
    names = f"x-{'log' if x.log else 'linear'} y-{'log' if y.log else 'linear'}"
    svg = element("svg", *_axes(x, y), viewBox=f"0 0 {W:g} {H:g}", class_=names, aria_hidden="true", focusable="false")
    for level in chart.levels:
        svg.append(_line(x.start, y.at(level), x.end, y.at(level), class_="level"))
    if np.isfinite(panel.zero_error) and x.shows(np.array([panel.zero_error]))[0]:
        at = x.at(panel.zero_error)
        svg.append(_line(at, TOP, at, H - BOTTOM, class_="zero-error"))
    for curve in panel.curves:
        svg.extend(_curve(curve, x, y))
    epochs = epochs_of(panel)
    svg.set("data-x", " ".join(f"{v:.1f}" for v in x.at(np.maximum(epochs, x.low))))
    svg.append(_line(LEFT, TOP, LEFT, H - BOTTOM, class_="cursor"))
    return svg


def epochs_of(panel: Panel) -> Float[np.ndarray, " T"]:
    """All epochs at which a curve of the panel has been measured, in order."""
    return np.unique(np.concatenate([np.empty(0), *(curve.epochs for curve in panel.curves)]))


def _line(x1: float, y1: float, x2: float, y2: float, *, class_: str) -> Element:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return element("line", **ends, class_=class_)


def _axes(x: Scale, y: Scale) -> Iterator[Element]:
    """Frame, grid, ticks, and the word below the epochs."""
    for tick in x.ticks():
        yield _line(x.at(tick), TOP, x.at(tick), H - BOTTOM, class_="grid")
        yield element("text", f"{tick:g}", x=f"{x.at(tick):.1f}", y=H - BOTTOM + 13, text_anchor="middle")
    ticks = y.ticks()
    powers = any(tick and (abs(tick) < 1e-3 or abs(tick) >= 1e5) for tick in ticks)
    for tick in ticks:
        yield _line(LEFT, y.at(tick), W - RIGHT, y.at(tick), class_="grid")
        yield element("text", *_number(tick, powers), x=LEFT - 5, y=f"{y.at(tick) + 4:.1f}", text_anchor="end")
    yield _line(LEFT, H - BOTTOM, W - RIGHT, H - BOTTOM, class_="axis")
    yield _line(LEFT, TOP, LEFT, H - BOTTOM, class_="axis")
    yield element("text", "epoch", x=(LEFT + W - RIGHT) / 2, y=H - 6, text_anchor="middle")


def _number(value: float, power: bool) -> list[Element | str]:
    """A tick's number, or a power of ten with its exponent raised."""
    if not power or not value:
        return [f"{value:g}".replace("-", MINUS)]
    mantissa, exponent = f"{value:.2e}".split("e")
    factor = "" if float(mantissa) == 1 else f"{float(mantissa):g}·".replace("-", MINUS)
    return [f"{factor}10", element("tspan", str(int(exponent)).replace("-", MINUS), dy="-5", class_="raised")]


def dashes(style: Any) -> str:
    """A line style of matplotlib as the attribute stroke-dasharray, in widths of the line; empty for a solid line."""
    lengths = DASHES[style] if style in DASHES else style[1]
    return " ".join(f"{1.6 * length:g}" for length in lengths)


def _stroke(curve: Curve) -> dict[str, str]:
    dashed = dashes(curve.style)
    return {"stroke": curve.color} | ({"stroke_dasharray": dashed} if dashed else {})


def _curve(curve: Curve, x: Scale, y: Scale) -> Iterator[Element]:
    """Shade, line and marks; a value without neighbours is a dot, and its range a bar."""
    middle, low, high = curve.values
    ranged = x.shows(curve.epochs) & y.shows(low) & y.shows(high) & (high > low)
    for part in _stretches(ranged):
        across, above, below = x.at(curve.epochs[part]), y.at(high[part]), y.at(low[part])
        if len(across) == 1:
            yield element("path", d=f"M{across[0]:.1f} {above[0]:.1f}V{below[0]:.1f}", class_="bar", stroke=curve.color)
        else:
            d = f"M{_points(across, above)}L{_points(across[::-1], below[::-1])}Z"
            yield element("path", d=d, class_="shade", fill=curve.color)
    there = x.shows(curve.epochs) & y.shows(middle)
    for part in _stretches(there):
        across, up = x.at(curve.epochs[part]), y.at(middle[part])
        if len(across) > 1:
            yield element("path", d=f"M{_points(across, up)}", class_="curve", **_stroke(curve))
        if curve.mark or len(across) == 1:
            drawn = MARKS[curve.mark] if curve.mark else DOT
            for at, height in zip(across, up, strict=True):
                place = f"translate({at:.1f} {height:.1f})"
                yield element("path", d=drawn, transform=place, class_="mark", stroke=curve.color, fill=curve.color)


def _points(across: Float[np.ndarray, " T"], up: Float[np.ndarray, " T"]) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(across, up, strict=True))


def _stretches(there: Bool[np.ndarray, " T"]) -> list[slice]:
    """Runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def sample(curve: Curve) -> Element:
    """The curve's line and mark, for a legend."""
    pieces = [] if np.isnan(curve.values[0]).all() else [element("path", d="M1 6H29", class_="curve", **_stroke(curve))]
    if not pieces:
        pieces.append(element("path", d="M1 2H29V10H1Z", class_="shade", fill=curve.color))
    if curve.mark:
        drawn = {"d": MARKS[curve.mark], "transform": "translate(15 6)", "class_": "mark"}
        pieces.append(element("path", **drawn, stroke=curve.color, fill=curve.color))
    return _sample(*pieces)


def zero_error_sample() -> Element:
    """The same of the red line."""
    return _sample(_line(1.0, 6.0, 29.0, 6.0, class_="zero-error"))


def _sample(*pieces: Element) -> Element:
    return element("svg", *pieces, viewBox="0 0 30 12", class_="sample", aria_hidden="true", focusable="false")
