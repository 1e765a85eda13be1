"""Figures 2 to 12 against the records they are drawn from."""

import json
from itertools import pairwise

import made_up_runs
import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb

from deepnet_runs.paper import panels
from deepnet_runs.paper.definitions import FIGURES
from deepnet_runs.storage import runs

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
    found = made_up_runs.read(grid)
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
        page, measures = figure.bbox, RendererAgg(1, 1, figure.dpi)  # its own of the whole page takes 30 MB
        for text in [*figure.texts, figure._suptitle, *(axis.title for axis in figure.axes)]:
            box = text.get_window_extent(measures)
            assert box.x0 >= page.x0 - 1
            assert box.x1 <= page.x1 + 1
        for row in range(3):
            boxes = [axis.title.get_window_extent(measures) for axis in figure.axes[5 * row : 5 * row + 5]]
            assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_swapped_key_and_a_later_epoch_are_caught(grid, drawn, tmp_path, monkeypatch):
    """Planted: the classifier's norms under the name of the means', and the second clean epoch."""
    wrong = BY_NUMBER[3]
    means, classifier = wrong.curves
    swapped = (means._replace(line=means.line._replace(key=classifier.line.key)), classifier)
    bad = drawn | {3: panels.draw(wrong._replace(curves=swapped), made_up_runs.read(grid))}
    with pytest.raises(AssertionError):
        test_every_panel_shows_the_records(grid, bad, 3)

    def second(run):
        return [row.epoch for row in run.rows if row.train_error == 0][1]

    monkeypatch.setattr(runs.RecordedRun, "first_clean", property(second))
    bad = drawn | {7: panels.draw(BY_NUMBER[7], made_up_runs.read(grid))}
    with pytest.raises(AssertionError):
        test_every_panel_shows_the_records(grid, bad, 7)


def test_the_shade_is_the_range_of_the_seeds_and_the_red_line_their_median(tmp_path):
    for seed, clean in enumerate((5, 9, 11)):
        made = made_up_runs.rows(seed=seed, clean_from=clean)
        made_up_runs.write(tmp_path / str(seed), seed=seed, made=made)
    axis = panels.draw(BY_NUMBER[7], made_up_runs.read(tmp_path)).axes[0]
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
    figure = panels.draw(BY_NUMBER[2], made_up_runs.read(tmp_path))
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
    unseen, axis = panels.draw(BY_NUMBER[7], made_up_runs.read(tmp_path)).axes
    line, dots = axis.lines
    assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [2, 4, 6, 8]
    assert dots.get_xdata().tolist() == [made[i]["epoch"] for i in (3, 5, 7)]
    assert dots.get_marker() == "."
    assert [text.get_text() for text in unseen.texts] == ["not measured"]
    assert [text.get_text() for text in axis.texts] == ["no zero\nerror"]
    assert "mse:zero error" not in gids(axis)
    assert axis.get_ylim()[0] > 0


@pytest.mark.parametrize(("last", "expected"), [(30, [1, 2, 5, 10, 20]), (350, [1, 3, 10, 30, 100, 300])])
def test_a_log_axis_of_epochs_has_a_tick_in_every_part_of_a_decade(last, expected, tmp_path):
    folder = made_up_runs.write(tmp_path / "a", made=made_up_runs.rows(epochs=last), epochs=last)
    drawn = panels.draw(FIGURES[0], made_up_runs.read(folder), log_epochs=True)
    axis = drawn.axes[0].xaxis
    low, high = axis.get_view_interval()
    assert [x for x in axis.get_majorticklocs() if low <= x <= high] == expected
