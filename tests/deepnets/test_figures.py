"""Figures 2 to 12 against the records they are drawn from, and what the program refuses."""

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import made_up_runs
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from deepnet_runs import figures, panels, runs
from deepnet_runs.paper_cells import cells
from deepnet_runs.paper_figures import FIGURES

README = Path(__file__).parents[2] / "README.md"
BY_NUMBER = {figure.number: figure for figure in FIGURES}
# From the paper's captions, not from the module: the keys of each figure, its scale, and the losses.
SHOWN = {
    2: ("log", "mse", "loss loss_nc1 loss_nc23 loss_ls_perp"),
    3: ("linear", "mse", "equinorm_means_train equinorm_classifier"),
    4: ("linear", "mse", "equiangularity_means_train equiangularity_classifier"),
    5: ("linear", "mse", "max_angle_means_train max_angle_classifier"),
    6: ("linear", "mse", "self_duality_train"),
    7: ("log", "mse", "nc1_train"),
    8: ("linear", "mse", "ncc_mismatch_test"),
    9: ("linear", "mse", "robustness"),
    10: ("log", "mse ce", "nc1_train"),
    11: ("log", "mse ce", "robustness"),
    12: ("log", "mse ce", "nc1_test"),
}


def read(*folders):
    return cells([runs.read(folder) for folder in runs.within(folders)])[0]


def panel_lines(axis):
    return {
        line.get_gid(): np.array(line.get_data(), dtype=float) for line in axis.lines if line.get_gid() in gids(axis)
    }


def gids(axis):
    return {line.get_gid() for line in axis.lines if ":" in str(line.get_gid())}


def medians(folders, key):
    """Epochs and the median over runs, by the plain definition."""
    rows = [
        [json.loads(text) for text in (folder / "measurements.jsonl").read_text().splitlines()] for folder in folders
    ]
    epochs = [row["epoch"] for row in rows[0]]
    return np.array([epochs, [float(np.median([run[i][key] for run in rows])) for i in range(len(epochs))]])


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The paper's fifteen pairs, both losses, two seeds."""
    return made_up_runs.paper_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def drawn(grid):
    """Every figure of the grid."""
    found = read(grid)
    return {figure.number: panels.draw(figure, found) for figure in FIGURES}


@pytest.mark.parametrize("number", SHOWN)
def test_every_panel_shows_the_records(grid, drawn, number):
    scale, losses, keys = SHOWN[number]
    axes = drawn[number].axes
    assert len(axes) == 15
    names = sorted({folder.name.rsplit("-", 2)[0] for folder in grid.iterdir()})
    seen = set()
    for axis in axes:
        assert (axis.get_yscale(), axis.get_xscale()) == (scale, "linear")
        lines = panel_lines(axis)
        expected = {f"{loss}:{key}" for loss in losses.split() for key in (*keys.split(), "zero error")}
        assert set(lines) == expected
        network = axis.get_title().split(",")[0].lower()
        first = {loss: lines[f"{loss}:zero error"][0] for loss in losses.split()}
        for name in names:
            loss = losses.split()[0]
            data = medians([grid / f"{name}-{loss}-{seed}" for seed in range(2)], keys.split()[0])
            if np.array_equal(lines[f"{loss}:{keys.split()[0]}"], data):
                break
        else:
            pytest.fail(f"no pair's records are in the panel of {network}")
        assert name.endswith(f"-{network}")
        seen.add(name)
        for loss in losses.split():
            folders = [grid / f"{name}-{loss}-{seed}" for seed in range(2)]
            for key in keys.split():
                np.testing.assert_array_equal(lines[f"{loss}:{key}"], medians(folders, key))
            rows = [json.loads(text) for text in (folders[0] / "measurements.jsonl").read_text().splitlines()]
            assert set(first[loss]) == {min(row["epoch"] for row in rows if row["train_error"] == 0)}
    assert seen == set(names)


def test_rows_are_families_and_columns_data_sets_in_the_papers_order(drawn):
    titles = [axis.get_title().split(",")[0] for axis in drawn[3].axes]
    assert titles[:5] == ["VGG11", "VGG11", "VGG13", "VGG11", "VGG11"]
    assert titles[10:] == ["DenseNet40", "DenseNet250", "DenseNet40", "DenseNet100", "DenseNet201"]
    heads = [
        text for text in drawn[3].texts if text.get_text() in ("MNIST", "FashionMNIST", "SVHN", "CIFAR10", "STL10")
    ]
    assert [text.get_text() for text in heads] == ["MNIST", "FashionMNIST", "SVHN", "CIFAR10", "STL10"]
    assert sorted(heads, key=lambda text: text.get_position()[0]) == heads


def test_letters_are_seven_points_or_more_and_lines_differ_without_colour(drawn):
    for figure in drawn.values():
        assert figure.get_size_inches()[0] <= 7.0
        figure.canvas.draw()
        texts = [*figure.texts, *(text for axis in figure.axes for text in (axis.title, *axis.get_yticklabels()))]
        texts += figure.legends[0].get_texts()
        assert min(text.get_fontsize() for text in texts) >= 7
        styles = [line._dash_pattern for line in figure.legends[0].get_lines()]  # no public name tells two dashes apart
        assert len({str(style) for style in styles}) == len(styles)


def test_no_text_runs_out_of_the_page_or_into_another_panels_title(drawn):
    for figure in drawn.values():
        page = figure.bbox
        for text in [*figure.texts, figure._suptitle, *(axis.title for axis in figure.axes)]:
            box = text.get_window_extent()
            assert box.x0 >= page.x0 - 1
            assert box.x1 <= page.x1 + 1
        for row in range(3):
            boxes = [axis.title.get_window_extent() for axis in figure.axes[5 * row : 5 * row + 5]]
            assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_swapped_key_and_a_later_epoch_are_caught(grid, drawn, tmp_path, monkeypatch):
    """Planted: the classifier's norms under the name of the means', and the second clean epoch."""
    wrong = BY_NUMBER[3]
    means, classifier = wrong.curves
    swapped = (means._replace(line=means.line._replace(key=classifier.line.key)), classifier)
    bad = drawn | {3: panels.draw(wrong._replace(curves=swapped), read(grid))}
    with pytest.raises(AssertionError):
        test_every_panel_shows_the_records(grid, bad, 3)

    def second(run):
        return [row["epoch"] for row in run.rows if row["train_error"] == 0][1]

    monkeypatch.setattr(runs.Run, "first_clean", property(second))
    bad = drawn | {7: panels.draw(BY_NUMBER[7], read(grid))}
    with pytest.raises(AssertionError):
        test_every_panel_shows_the_records(grid, bad, 7)


def test_the_shade_is_the_range_of_the_seeds_and_the_red_line_their_median(tmp_path):
    for seed, clean in enumerate((5, 9, 11)):
        made = made_up_runs.rows(seed=seed, clean_from=clean)
        made_up_runs.write(tmp_path / str(seed), seed=seed, made=made)
    axis = panels.draw(BY_NUMBER[7], read(tmp_path)).axes[0]
    assert axis.get_title() == "ResNet8, n = 3"
    band = axis.collections[0].get_paths()[0].vertices
    values = [medians([tmp_path / str(seed)], "nc1_train") for seed in range(3)]
    epoch = values[0][0][4]
    at = [data[1][4] for data in values]
    seen = band[band[:, 0] == epoch][:, 1]
    np.testing.assert_allclose([seen.min(), seen.max()], [min(at), max(at)])
    line = next(line for line in axis.lines if line.get_gid() == "mse:zero error")
    assert set(line.get_xdata()) == {9}
    assert to_rgb(line.get_color()) == to_rgb("#CC0000")
    span = axis.patches[0]
    assert (span.get_x(), span.get_x() + span.get_width()) == (5, 11)


def test_a_partial_grid_has_the_rows_and_columns_that_exist(tmp_path):
    for dataset, network in (("mnist", "vgg11"), ("cifar10", "vgg11"), ("cifar10", "densenet100")):
        made_up_runs.write(tmp_path / f"{dataset}{network}", network, dataset=dataset)
    figure = panels.draw(BY_NUMBER[2], read(tmp_path))
    shown = [(axis.get_title(), axis.axison) for axis in figure.axes]
    assert shown == [("VGG11, n = 1", True), ("VGG11, n = 1", True), ("", False), ("DenseNet100, n = 1", True)]
    labelled = [axis.xaxis.get_tick_params()["labelbottom"] for axis in figure.axes if axis.axison]
    assert labelled == [True, False, True]


def test_nulls_leave_gaps_zeros_are_not_drawn_on_a_log_axis_and_lonely_points_are_dots(tmp_path):
    made = made_up_runs.rows(clean_from=1000)
    made[2]["nc1_train"], made[4]["nc1_train"], made[6]["nc1_train"] = None, None, 0.0
    del made[8]["nc1_train"]
    made_up_runs.write(tmp_path / "gaps", made=made)
    nothing = [row | {"nc1_train": None} for row in made_up_runs.rows()]
    made_up_runs.write(tmp_path / "nothing", "vgg7", made=nothing)
    unseen, axis = panels.draw(BY_NUMBER[7], read(tmp_path)).axes
    line, dots = axis.lines
    assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [2, 4, 6, 8]
    assert dots.get_xdata().tolist() == [made[i]["epoch"] for i in (3, 5, 7)]
    assert dots.get_marker() == "."
    assert [text.get_text() for text in unseen.texts] == ["not measured"]
    assert [text.get_text() for text in axis.texts] == ["no zero\nerror"]
    assert "mse:zero error" not in gids(axis)
    assert axis.get_ylim()[0] > 0


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One pair, both losses."""
    folder = tmp_path_factory.mktemp("small")
    for loss in ("mse", "ce"):
        made_up_runs.write(folder / loss, loss=loss)
    return folder


def test_the_files_of_a_run_replace_those_of_another_format(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    out = tmp_path / "out"
    tables = {"table1.md", "table1.csv", "figures.json"}
    stems = {f"figure_{n:02d}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 12)}
    for ending, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert figures.main([str(small), "--output", str(out), "--format", ending]) == 0
        names = {path.name for path in out.iterdir()} - tables
        assert {name[:9] for name in names} == stems
        assert {name.rsplit(".")[-1] for name in names} == {ending}
        assert all((out / name).read_bytes().startswith(magic) for name in names)
    said = capsys.readouterr().out
    assert "Figure 9 is left out, no run with MSE loss has robustness: train with --robustness 100." in said
    assert "Figure 11 is left out, no run with MSE or CE loss has robustness" in said
    assert (out / "table1.md").read_text() in said
    record = json.loads((out / "figures.json").read_text())
    assert {entry["file"] for entry in record["figures"] if entry["file"]} == names
    assert [run["loss"] for run in record["runs"]] == ["mse", "ce"]
    assert record["runs"][0]["differs_from_recipe"] == {"epochs": "30 for 120"}


def test_the_same_records_give_the_same_vector_graphic(small, tmp_path):
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    for path in (one, other):
        panels.save(panels.draw(BY_NUMBER[2], read(small)), path, dpi=40)
    assert one.read_text().startswith("<?xml")
    assert one.read_bytes() == other.read_bytes()


def test_other_losses_and_unfinished_runs_are_named(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    made_up_runs.write(tmp_path / "hui", loss="rescaled-mse", k=3.0, M=2.0)
    made_up_runs.write(tmp_path / "cut", "vgg7", made=made_up_runs.rows()[:6])
    assert figures.main([*map(str, (small / "mse", tmp_path)), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'hui'} is left out: its loss is rescaled-mse" in said
    assert re.search(rf"{tmp_path / 'cut'} is not finished: epoch \d+ of 30", said)
    assert "Figure 10 is left out, no run with CE loss has nc1_train: train the same networks with --loss ce." in said
    assert "not finished" in (tmp_path / "out" / "table1.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["missing"], "Need a run of deepnet_runs.train or a folder that holds some, got missing"),
        (["a", "other"], r"differ in the seed alone .* digits ResNet mse, got lr = 0.1 and 0.05 in a and other"),
        (["a", "normed"], "got weight_norm = False and True in a and normed"),
        (["a", "again"], "Need one run of each seed, got seed 0 in a and in again"),
        (["hui"], "Need a run with loss mse or ce, got rescaled-mse in hui"),
        (["bare"], "Need train_error in the records of bare, got none"),
        (["strange"], "got alexnet in strange"),
        (["a", "--output", "a/config.json"], "Need a folder for the results"),
        (["a", "--output", "taken"], "Need table1.md in taken to be a file, got a folder"),
        (["a", "--format", "gif"], "invalid choice: 'gif'"),
        ([], "required: RUN"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, arguments, match):
    monkeypatch.chdir(tmp_path)
    made_up_runs.write(Path("a"))
    made_up_runs.write(Path("again"))
    made_up_runs.write(Path("other"), seed=1, lr=0.05)
    made_up_runs.write(Path("normed"), seed=1, weight_norm=True)
    made_up_runs.write(Path("hui"), loss="rescaled-mse")
    made_up_runs.write(Path("bare"), made=[{"epoch": 1, "test_error": 0.5}])
    made_up_runs.write(Path("strange"), network="alexnet")
    (Path("taken") / "table1.md").mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    try:
        code = figures.main(arguments if "--output" in arguments else [*arguments, "--output", "out"])
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert re.search(match, said.err), said.err
    assert sorted(Path().rglob("*")) == before


def test_a_failure_while_drawing_leaves_the_folder_as_it_was(small, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "figures.json").write_text("before")

    def full(drawn, path, *, dpi):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(panels, "save", full)
    assert figures.main([str(small), "--output", str(out)]) == 2
    assert [path.name for path in out.iterdir()] == ["figures.json"]
    assert (out / "figures.json").read_text() == "before"
    assert "No space left on device" in capsys.readouterr().err


def test_it_needs_neither_torch_nor_jax(small, tmp_path):
    code = f"""
import sys
from deepnet_runs import figures
code = figures.main([{str(small)!r}, "--output", {str(tmp_path / "out")!r}, "--log-epochs"])
print(code, sorted({{"torch", "jax"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stderr == "0 []\n"


def test_printed_commands_of_the_readme_parse():
    commands = re.findall(r"python -m deepnet_runs\.figures (.*)$", README.read_text(), re.M)
    assert commands
    for command in commands:
        assert figures.parse(shlex.split(command)).runs
