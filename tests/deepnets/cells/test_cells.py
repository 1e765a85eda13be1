"""Which cells a grid has, and what their records say of them."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from short_runs import short

from deepnet_runs.cells import plan as cells
from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.storage import records
from deepnet_runs.training import options
from deepnet_runs.training.recipes import PUBLISHED_CE, PUBLISHED_MSE

EMPTY = MappingProxyType({})
TWO = ("--network", "vgg7", "--loss", "mse", "--seed", "0")


def of_digits(folder, extra=EMPTY, **more):
    return cells.cells([("digits", "vgg7")], ["mse"], [0], folder, extra={"epochs": 2, **extra}, **more)


def state_of(cell):
    return cells.state_of(cell).state


def test_the_default_grid_is_the_papers_fifteen_pairs_with_both_losses(tmp_path):
    found = cells.cells(cells.pairs(cells.PAPER, None), ["mse", "ce"], [0], tmp_path)
    assert len(found) == len({cell.folder for cell in found}) == 30
    assert {(cell.config.dataset, cell.config.network) for cell in found} == set(PUBLISHED_MSE)
    assert {cell.config.loss for cell in found} == {"mse", "ce"}
    assert found[0].name == "mnist-vgg11-mse-0"
    expected = ["--dataset", "mnist", "--network", "vgg11", "--loss", "mse", "--seed", "0"]
    assert found[0].command() == [*expected, "--output", str(tmp_path / "mnist-vgg11-mse-0")]


def test_networks_are_taken_by_the_data_sets_that_fit_them():
    assert cells.pairs(["digits"], None) == [("digits", "vgg7"), ("digits", "resnet8"), ("digits", "densenet10")]
    mixed = cells.pairs(["digits", "mnist"], ["resnet8", "resnet18"])
    assert mixed == [("digits", "resnet8"), ("mnist", "resnet8"), ("mnist", "resnet18")]
    with pytest.raises(ValueError, match="take the images of digits, got resnet18"):
        cells.pairs(["digits"], ["resnet8", "resnet18"])


def test_conditions_name_their_cells_and_may_bring_a_loss(tmp_path):
    found = cells.cells([("digits", "vgg7")], ["mse"], [0, 1], tmp_path, conditions=["base", "ce"])
    assert [cell.name for cell in found] == [
        *("digits-vgg7-mse-0-base", "digits-vgg7-mse-1-base"),
        *("digits-vgg7-ce-0-ce", "digits-vgg7-ce-1-ce"),
    ]
    assert found[2].config.loss == "ce"
    both = cells.cells([("digits", "vgg7")], ["mse", "ce"], [0], tmp_path, conditions=["ce"])
    assert [cell.name for cell in both] == ["digits-vgg7-ce-0-ce"]
    every = cells.cells([("digits", "resnet8")], ["mse"], [0], tmp_path, conditions=list(CONDITIONS))
    assert len({cell.folder for cell in every}) == len(CONDITIONS)


def test_every_cell_has_the_configuration_that_it_had_as_options(tmp_path):
    """The expected ones were written when conditions were lists of options."""
    expected = json.loads((Path(__file__).parent / "configs_of_cells.json").read_text())
    rescaled, every = [("digits", "vgg7"), ("cifar10", "resnet50")], list(CONDITIONS)
    changed = {"weight_decay": 0.01, "amp": True, "full_batches": False, "whole": True}
    of_last_layer = {"lam": 0.02, "full_batches": True, "weight_norm": True, "robustness": 7}
    found = [
        *cells.cells([("digits", "resnet8")], ["mse"], [0], tmp_path, conditions=every),
        *cells.cells(cells.PAIRS, ["mse", "ce"], [0], tmp_path),
        *cells.cells(rescaled, ["rescaled-mse"], [3], tmp_path, extra={"k": 5.0, "M": 10.0}),
        *cells.cells([("mnist", "vgg11")], ["mse"], [1], tmp_path, extra=changed),
        *cells.cells([("digits", "vgg7")], ["ce"], [2], tmp_path, extra=of_last_layer, sweep=True)[:3],
    ]
    added = ("per_class", "test_per_class", "image_size")  # options since then, none of which a condition sets
    configs = {cell.name: cell.config.to_dict() for cell in found}
    assert all(config.pop(name) is None for config in configs.values() for name in added)
    assert {name: configs[name] for name in expected} == expected
    assert list(configs[found[0].name]) == list(expected[found[0].name])
    for cell in found:
        assert options.parse(cell.command()) == (cell.config, cell.execution)
        planted = replace(cell.config, momentum=0.5)
        assert options.parse(options.arguments(planted, cell.execution)) != (cell.config, cell.execution)


def test_the_sweep_is_the_published_one(tmp_path):
    assert len(cells.SWEEP) == 25
    assert (cells.SWEEP[0], cells.SWEEP[-1]) == (1e-4, 0.25)
    steps = [math.log(b / a) for a, b in zip(cells.SWEEP, cells.SWEEP[1:], strict=False)]
    assert max(steps) - min(steps) < 1e-12
    for published in PUBLISHED_MSE.values():  # printed to eight digits, after rounding in float32
        assert min(abs(rate / published - 1) for rate in cells.SWEEP) < 1e-6
    for published in PUBLISHED_CE.values():  # printed to three digits
        assert min(abs(rate / published - 1) for rate in cells.SWEEP) < 2e-3
    found = cells.cells([("mnist", "vgg11")], ["mse", "ce"], [0], tmp_path, sweep=True)
    assert len({cell.folder for cell in found}) == 50
    for cell in found:
        assert cell.rate is not None
        assert cell.config.lr == (cell.rate * 2 / 10 if cell.config.loss == "mse" else cell.rate)


def standing(error, state=cells.FINISHED):
    return cells.CellState(state, 3, 3, error, "")


def test_the_best_rate_has_the_least_mean_error_of_those_whose_seeds_have_finished(tmp_path):
    found = cells.cells([("digits", "vgg7")], ["mse"], [0, 1], tmp_path, sweep=True)
    errors = dict.fromkeys(found, 0.5)
    for i, pair in {4: (0.1, 0.3), 9: (0.15, 0.15), 12: (0.15, 0.15), 20: (0.0, 0.0)}.items():
        errors |= dict(zip(found[2 * i : 2 * i + 2], pair, strict=True))
    judged = [(cell, standing(error)) for cell, error in errors.items()]
    judged[41] = (found[41], standing(0.0, cells.INTERRUPTED))
    assert found[41].rate == cells.SWEEP[20]
    best = cells.best_rates(judged)
    assert best == {("digits", "vgg7", "mse"): cells.Best(cells.SWEEP[9], 0.15, 2, 24, 25)}
    assert f"{cells.SWEEP[9]:.4g}" in cells.table(judged)
    judged[41] = (found[41], standing(0.0))
    assert cells.best_rates(judged)["digits", "vgg7", "mse"] == cells.Best(cells.SWEEP[20], 0.0, 1, 25, 25)
    assert cells.best_rates([(cell, standing(None, cells.NOT_BEGUN)) for cell in found]) == {}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    (cell,) = of_digits(folder)
    code, rows = short(cell.folder, *TWO)
    assert code == 0
    return cell, rows


def test_a_finished_cell(done):
    cell, rows = done
    assert cells.state_of(cell) == cells.CellState(cells.FINISHED, 2, 2, rows[-1]["test_error"], "")


def test_a_cell_of_other_options_says_which(done):
    cell, _ = done
    (other,) = of_digits(cell.folder.parent, {"lr": 0.01})
    found = cells.state_of(other)
    assert found.state == cells.OTHER
    assert "lr = 0.1 for 0.01" in found.why
    assert "seed" not in found.why


def test_a_cell_that_is_held_is_running_and_looking_does_not_disturb_it(done):
    cell, _ = done
    with records.held(cell.folder):
        assert state_of(cell) == cells.RUNNING
    assert state_of(cell) == cells.FINISHED
    with records.held(cell.folder):
        pass


def test_a_cell_without_its_last_rows_is_interrupted_and_goes_on(done, tmp_path):
    (cell,) = of_digits(tmp_path)
    assert state_of(cell) == cells.NOT_BEGUN
    assert short(cell.folder, *TWO)[0] == 0
    path = cell.folder / "measurements.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    for torn in (first, first + second[:-1], b""):
        path.write_bytes(torn)
        assert state_of(cell) == cells.INTERRUPTED
        assert cell.command()[-1] == "--resume"
    (cell.folder / "checkpoint.pt").unlink()
    assert state_of(cell) == cells.NOT_BEGUN
    assert "--resume" not in cell.command()
    assert cells.state_of(of_digits(tmp_path, {"lr": 0.01})[0]).state == cells.NOT_BEGUN


def test_a_diverged_cell_keeps_its_sentence_until_it_is_trained_anew(tmp_path, capsys):
    (cell,) = of_digits(tmp_path, {"lr": 1e6})
    code, _ = short(cell.folder, *TWO, "--lr", "1e6")
    assert code == 1
    found = cells.state_of(cell)
    assert found.state == cells.DIVERGED
    assert found.why.endswith("give a lower --lr than 1e+06")
    assert found.why in capsys.readouterr().err
    assert json.loads((cell.folder / "failed.json").read_text()) == {"failed": found.why}
    assert f"{found.epoch}/2" in cells.table([(cell, found)])
    for path in cell.folder.glob("*"):
        if path.name != "failed.json":
            path.unlink()
    assert short(cell.folder, *TWO)[0] == 0
    assert state_of(of_digits(tmp_path)[0]) == cells.FINISHED
    assert not (cell.folder / "failed.json").exists()


def test_options_that_a_cell_cannot_have_are_refused_by_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"digits-plain7-mse-0: --width needs vgg7, resnet8 or densenet10, got plain7"):
        cells.cells([("digits", "plain7")], ["mse"], [0], tmp_path, extra={"width": 2.0})
    with pytest.raises(ValueError, match="need --k and --M"):
        cells.cells([("digits", "vgg7")], ["rescaled-mse"], [0], tmp_path)


def test_states_are_read_without_torch():
    code = "import sys, deepnet_runs.cells.plan, deepnet_runs.grid; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
