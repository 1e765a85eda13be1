"""The page of `figures --html`: it shows the records, says what is missing, and needs nothing but itself."""

import json
import re

import made_up_field
import made_up_runs
import numpy as np
import page_reader
import pytest
from page_reader import chart, remarks, table

from deepnet_runs import figures
from deepnet_runs.dynamics import field_series
from deepnet_runs.paper.definitions import FIGURES
from deepnet_runs.report.page import PAPER
from deepnet_runs.storage import records

K = 3


def with_omega(*, seed=0):
    """Rows of a run with K singular values."""
    made = made_up_runs.rows(seed=seed)
    return [row | {"omega": [float((K - j) * row["epoch"] ** 0.25) for j in range(K)]} for row in made]


def page(tmp_path, *runs, name="page.html", more=()):
    file = tmp_path / name
    assert figures.main([*map(str, runs), "--html", str(file), *more]) == 0
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A run with everything, and its page."""
    folder = tmp_path_factory.mktemp("single")
    run = made_up_runs.write(folder / "run", made=with_omega(), versions={"torch": "9.9.9", "jax": "0.0.1"})
    made_up_field.write(run, made_up_field.rows())
    text = page(folder, run)
    return run, text, page_reader.read(text)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Two seeds of MSE and one run of cross-entropy with another rate."""
    folder = tmp_path_factory.mktemp("several")
    for seed in (0, 1):
        made_up_runs.write(folder / f"mse-{seed}", seed=seed, made=with_omega(seed=seed))
    made_up_runs.write(folder / "ce", loss="ce", lr=0.05, made=made_up_runs.rows(factor=3.0))
    made_up_field.write(folder / "mse-1", made_up_field.rows())
    text = page(folder, folder)
    return folder, text, page_reader.read(text)


def states(root):
    """What is said of each run."""
    runs = root.one("section", id="runs")
    (row,) = [row for row in runs.all("tr") if row.children[0].text == "state"]
    names = [cell.text for cell in runs.all("th", scope="col")]
    return dict(zip(names[1:], [cell.text for cell in row.all("td")], strict=True))


def lines(run):
    return [json.loads(text) for text in (run / "measurements.jsonl").read_text().splitlines()]


def test_it_is_whole_and_needs_no_network(several):
    _, text, root = several
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert root.one("html").attributes["lang"] == "en"
    links = [link.attributes["href"] for link in root.all("a")]
    assert PAPER in links
    assert all(link == PAPER or link[1:] in ids for link in links)
    assert not re.search(r"url\(|@import|<link|<img|<iframe|\bsrc=|fetch\(|XMLHttpRequest", text)
    assert re.findall(r"https?://[^\s\"<]+", text) == [PAPER]


def test_every_value_of_the_records_is_in_its_table(single):
    run, _, root = single
    for figure in FIGURES[:7]:
        heads, cells = table(chart(root, figure.subject).one("figure"))
        assert heads[0] == "epoch"
        for j, curve in enumerate(figure.curves):
            shown = [float(row[j + 1].replace("\N{MINUS SIGN}", "-")) for row in cells]
            assert shown == pytest.approx([row[curve.line.key] for row in lines(run)], rel=6e-4)
    heads, cells = table(chart(root, "omega").one("figure"))
    assert heads[1:] == ["ω1", "ω2", "ω3"]
    shown = np.array([[float(text) for text in row[1:]] for row in cells])
    np.testing.assert_allclose(shown, [row["omega"] for row in lines(run)], rtol=6e-4)


@pytest.mark.parametrize("y", ["linear", "log"])
@pytest.mark.parametrize("x", ["linear", "log"])
def test_curves_are_where_the_ticks_say(single, x, y):
    run, _, root = single
    for figure in FIGURES[:6]:
        (svg,) = [
            svg
            for svg in chart(root, figure.subject).all("svg", class_=f"x-{x}")
            if f"y-{y}" in svg.attributes["class"]
        ]
        for curve in figure.curves:
            found = page_reader.points(svg, curve.line.color)
            expected = np.array([[row["epoch"], row[curve.line.key]] for row in lines(run)])
            spread = np.ptp(np.log10(expected), axis=0) if "log" in (x, y) else None
            for axis, scale in enumerate((x, y)):
                one, other = (np.log10(v) if scale == "log" else v for v in (found[:, axis], expected[:, axis]))
                size = spread[axis] if scale == "log" else np.ptp(expected[:, axis])
                assert np.max(np.abs(one - other)) < 0.005 * max(size, np.max(np.abs(other)) * (scale == "linear"))
                assert np.max(np.abs(1.03 * one - other)) > 0.005 * size  # a wrong scale would be seen


def test_the_axis_of_the_paper_is_chosen_at_first_and_the_other_is_there(single):
    _, _, root = single
    for figure in FIGURES[:7]:
        checked = [box for box in chart(root, figure.subject).all("input") if "checked" in box.attributes]
        assert [box.attributes["class"] for box in checked] == [f"choose-{figure.scale}"]
        assert len(chart(root, figure.subject).all("svg", class_="plot")) == 4
    for part in field_series.PARTS:  # cosines have signs
        assert not chart(root, f"field_{part}").all("input")
        assert len(chart(root, f"field_{part}").all("svg", class_="plot")) == 2


def test_the_field_test_is_that_of_its_file(single):
    _, _, root = single
    rows = made_up_field.rows()
    for part in field_series.PARTS:
        heads, cells = table(chart(root, f"field_{part}").one("figure"))
        for series in field_series.cosines(part):
            if part == "residual" and series.label == "common factor":
                assert series.label not in heads
                continue
            j = heads.index(series.label)
            shown = [float(row[j].split(" ")[0].replace("\N{MINUS SIGN}", "-")) for row in cells]
            assert shown == pytest.approx([series.of(row) for row in rows], abs=6e-4)
        assert " to " in cells[0][heads.index("sample kernel")]
        assert cells[0][heads.index(field_series.CHANCE)].startswith("\N{MINUS SIGN}0.")
    assert "No value of common factor in the field test of run." in remarks(chart(root, "field_residual"))
    assert root.one("section", id="recipe").text.count("9.9.9") == 1


def test_configurations_are_compared_by_panel_and_by_quantity(several):
    _, _, root = several
    decomposition = chart(root, "decomposition")
    by = {name: decomposition.one("div", class_=f"by-{name}").all("figure") for name in ("configuration", "quantity")}
    assert [figure.one("figcaption").text for figure in by["configuration"]] == [
        "digits resnet8 ce",
        "digits resnet8 mse lr=0.1, n = 2",
    ]
    assert [figure.one("figcaption").text for figure in by["quantity"]] == [
        f"\N{SCRIPT CAPITAL L}{rest}" for rest in (", the sum", "NC1", "NC2/3", "LS⊥")
    ]
    one, other = (table(by["configuration"][1])[1], table(by["quantity"][1])[1])
    assert [row[2] for row in one] == [row[2] for row in other]  # MSE's L_NC1, in both arrangements
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", one[0][2])
    svg = by["quantity"][0].one("svg", class_="usual")
    dashes = {path.attributes.get("stroke-dasharray", "") for path in svg.all("path", class_="curve")}
    assert len(dashes) == 2  # legible in grey
    assert list(states(root)) == ["ce", "mse-0", "mse-1"]
    differs = root.one("section", id="recipe").all("tr", class_="differs")
    assert {"loss", "lr"} <= {row.children[0].text for row in differs}


def test_what_runs_lack_is_said(several):
    _, _, root = several
    assert remarks(chart(root, "omega")) == ["omega is not in the records of ce."]
    field = remarks(root.one("section", id="field"))
    assert [text.split(":")[0] for text in field[:2]] == ["ce", "mse-0"]
    assert "--save-weights" in field[0]
    assert "robustness is not in the records of ce, mse-0, mse-1: train with --robustness 100." in remarks(
        chart(root, "robustness")
    )


def test_gaps_zeros_one_epoch_and_runs_under_way_are_said(tmp_path):
    made = with_omega()
    made[2]["nc1_train"] = made[3]["nc1_train"] = None
    made[4]["loss_nc23"] = 0.0
    made[5]["omega"] = [1.0, None, 0.5]
    gaps = made_up_runs.write(tmp_path / "gaps", made=made)
    made_up_runs.write(tmp_path / "one", seed=1, made=with_omega()[:1])
    made_up_runs.write(tmp_path / "diverged", seed=2, made=with_omega()[:4])
    (tmp_path / "diverged" / "failed.json").write_text('{"failed": "the loss is <nan>"}')
    made_up_runs.write(tmp_path / "waits", seed=3)
    (tmp_path / "waits" / "measurements.jsonl").unlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model": "of another project"}')
    with records.held(tmp_path / "one"):
        root = page_reader.read(page(tmp_path, tmp_path))
    assert "nc1_train has no value at epochs 3, 4 of gaps." in remarks(chart(root, "variability_collapse"))
    assert "loss_nc23 is 0 or less at epoch 5 of gaps: not on a log axis." in remarks(chart(root, "decomposition"))
    assert "omega has no value at epoch 6 of gaps." in remarks(chart(root, "omega"))
    assert states(root) == {
        "gaps": "finished, 30 epochs",
        "one": "in progress, epoch 1 of 30",
        "diverged": "failed after epoch 4 of 30: the loss is <nan>",
    }
    assert remarks(root.one("section", id="runs")) == [f"{tmp_path / 'waits'} has no measured epoch yet."]
    alone = page_reader.read(page(tmp_path, tmp_path / "one", name="alone.html"))
    assert len(chart(alone, "omega").all("svg", class_="usual")[0].all("path", class_="mark")) == K
    dots = chart(page_reader.read(page(tmp_path, gaps, name="gaps.html")), "variability_collapse")
    (svg,) = dots.all("svg", class_="usual")
    assert len(svg.all("path", class_="curve")) == 3  # the gap cuts the curve of the training set in two


def test_runs_that_cannot_be_read_are_named_in_the_page_and_in_what_is_printed(tmp_path, capsys):
    made_up_runs.write(tmp_path / "good")
    made_up_runs.write(tmp_path / "cut")
    with (tmp_path / "cut" / "measurements.jsonl").open("a") as file:
        file.write('{"epoch": 31, "lo')
    made_up_runs.write(tmp_path / "list")
    (tmp_path / "list" / "config.json").write_text("[]")
    made_up_runs.write(tmp_path / "field", seed=1)
    (tmp_path / "field" / "field.jsonl").write_text("{}\n")
    root = page_reader.read(page(tmp_path, tmp_path))
    said = remarks(root.one("section", id="runs"))
    assert re.match(rf"Need a run of deepnet_runs.train, got {tmp_path / 'cut'}: Unterminated string", said[0])
    assert said[1].startswith(f"Need dataset, network, loss, seed, epochs in config.json of {tmp_path / 'list'}")
    assert all(text in capsys.readouterr().out for text in said[:1])
    assert any("Need a file of deepnet_runs.kernel" in text for text in remarks(root.one("section", id="field")))


def test_names_are_text_whatever_they_consist_of(tmp_path):
    name = '<b>"x" & $y</b><script>alert(1)</script>'.replace("/", "\\")
    run = made_up_runs.write(tmp_path / name, "<i>net", made=with_omega(), note="</script><b>", versions={"<u>": "<s>"})
    other = made_up_runs.write(tmp_path / "$a$b_c", "<i>net", loss="ce", dataset="folder:/x/<em>$")
    made_up_field.write(run, made_up_field.rows())
    for runs in ((run,), (run, other)):
        text = page(tmp_path, *runs)
        root = page_reader.read(text)
        assert not re.search(r"<(b|i|u|s|em)>", text)
        assert len(root.all("script")) == 1
        assert root.one("section", id="runs").all("th", scope="col")[1].text == name
        assert name in chart(root, "field_k").all("table")[0].one("caption").text
    assert "folder:/x/<em>$" in root.one("section", id="recipe").text
    assert any("<em>$" in caption.text for caption in root.all("figcaption"))


def test_the_same_records_give_the_same_page_and_options_choose_its_axes(several, tmp_path):
    folder, text, _ = several
    assert page(tmp_path, folder) == text
    root = page_reader.read(page(tmp_path, folder, name="log.html", more=["--log-epochs"]))
    assert "checked" in root.one("input", id="epochs-log").attributes
