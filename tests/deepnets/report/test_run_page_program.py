"""`figures --html` as a program: what it refuses, and that the page appears whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import made_up_runs
import pytest
from refusal import refused

from deepnet_runs import figures
from deepnet_runs.dynamics import field_series
from deepnet_runs.paper.definitions import FIGURES
from deepnet_runs.report import drawing
from deepnet_runs.report.elements import element, text_of
from deepnet_runs.report.formulas import formula, plain


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            ["missing", "--html", "new.html"],
            "Need a run of deepnet_runs.train or a folder that holds some, got missing",
        ),
        (["damaged", "--html", "new.html"], "Need a run with measured epochs, got none in damaged."),
        (["a", "--html", "taken"], "Need taken in . to be a file, got a folder: move it, or give another --html."),
        (["a", "--html", "a/config.json/new.html"], "config.json is not a folder; give another --html."),
        (["a", "--html", "."], "Need the name of a file for --html, got .: give one"),
        (["a", "--html", "new.html", "--output", "out"], "argument --output: not allowed with argument --html"),
        (["a", "--html", "new.html", "--format", "pdf"], "--format pdf is of the figures, and --html writes none"),
    ],
)
def test_what_cannot_be_shown_gets_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, arguments, match):
    monkeypatch.chdir(tmp_path)
    made_up_runs.write(Path("a"))
    made_up_runs.write(Path("damaged"), made=[])
    Path("taken").mkdir()
    before = sorted(Path().rglob("*"))
    assert match in refused(capsys, figures.main, arguments)
    assert sorted(Path().rglob("*")) == before


def test_a_failure_while_writing_leaves_the_earlier_page(tmp_path, capsys, monkeypatch):
    run = made_up_runs.write(tmp_path / "run")
    page = tmp_path / "page.html"
    page.write_text("before")

    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert figures.main([str(run), "--html", str(page)]) == 2
    assert page.read_text() == "before"
    assert "No space left on device" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"run", "page.html"}


def test_it_needs_neither_torch_nor_jax(tmp_path):
    run = made_up_runs.write(tmp_path / "run")
    code = f"""
import sys
from deepnet_runs import figures
code = figures.main([{str(run)!r}, "--html", {str(tmp_path / "page.html")!r}])
print(code, sorted({{"torch", "jax"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stderr == "0 []\n"


def test_every_label_of_the_figures_can_be_set_in_html():
    series = [one for part in field_series.PARTS for one in field_series.cosines(part)]
    labels = [one.label for one in (*series, *field_series.KERNEL, field_series.LEFT, field_series.MOBILITY)]
    for figure in FIGURES:
        labels += [figure.title, figure.label, *(curve.line.label for curve in figure.curves)]
    for label in labels:
        assert not set("\\${}") & set(text_of(formula(label))), label
    assert text_of(formula(r"$\Vert W^T\!/\Vert W\Vert - \bar{M}$")) == "‖WT/‖W‖ \N{MINUS SIGN} M\u0304"
    with pytest.raises(ValueError, match="Need a formula of known signs"):
        formula(r"$\unknown$")
    for name in ("$x$", r"\$", "a$b\\", "$"):
        assert text_of(formula(plain(name))) == name


def test_text_that_html_does_not_allow_is_replaced():
    assert text_of(element("p", "a\x00b\udc80c\n")) == "a\ufffdb\ufffdc\n"


@pytest.mark.parametrize(
    ("low", "high"), [(3e-7, 20), (3, 20), (0.9, 385), (1e-300, 1e300), (0.011, 0.0321), (5, 5.01)]
)
@pytest.mark.parametrize("log", [False, True])
def test_every_axis_has_a_few_ticks_within_it(low, high, log):
    ticks = drawing.Scale(low, high, log, 0, 100).ticks()
    assert 2 <= len(ticks) <= 8
    rounding = 1e-9 * (high - low)
    assert all(low - rounding <= tick <= high + rounding and (tick > 0 or not log) for tick in ticks)
