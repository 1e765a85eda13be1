"""The command line of the grid: what it plans, shows and refuses, with nothing trained."""

import shlex

import pytest
from refusal import refused

from deepnet_runs import grid
from deepnet_runs.cells import launch
from deepnet_runs.cells import plan as cells
from deepnet_runs.cells.conditions import USUAL, VARIED
from deepnet_runs.training import options


def test_the_status_of_a_grid_that_is_not_begun(tmp_path, capsys):
    output = tmp_path / "out"
    assert grid.main(["--status", "--output", str(output)]) == 0
    assert "30 cells: 30 not begun" in capsys.readouterr().out
    assert grid.main(["--status", "--sweep", "--datasets", "digits", "--output", str(output)]) == 0
    assert "75 cells: 75 not begun" in capsys.readouterr().out
    assert not output.exists()


def test_a_dry_run_prints_commands_that_are_real(tmp_path, capsys):
    output = tmp_path / "out"
    assert grid.main(["--dry-run", "--conditions", "--seeds", "0", "5", "--output", str(output), "--", "--amp"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(cells.cells([("digits", VARIED)], ["mse"], [0], output, conditions=list(USUAL)))
    for line in lines:
        start, _, command = line.partition("-m deepnet_runs.train ")
        assert start == "python "
        assert options.parse(shlex.split(command))[0].amp
    assert not output.exists()


def test_the_papers_column_of_a_data_set_begins_with_least_squares(tmp_path):
    found = grid.parse(["--paper", "fashionmnist", "--minutes", "9", "--output", str(tmp_path)])
    networks = ["resnet18", "vgg11", "densenet250"]
    assert [cell.name for cell in found.cells] == [
        f"fashionmnist-{network}-{loss}-0" for loss in ("mse", "ce") for network in networks
    ]
    assert {(cell.config.epochs, cell.config.per_class) for cell in found.cells} == {(350, None)}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--datasets", "imagenet"], "imagenet"),
        (["--datasets", "digits", "--networks", "vgg11"], "take the images of digits, got vgg11"),
        (["--losses", "hinge"], "hinge"),
        (["--seeds", "-1"], "got -1"),
        (["--conditions", "cold"], "cold"),
        (["--conditions", "--sweep"], "not allowed with argument"),
        (["--paper", "digits"], "digits"),
        (["--paper", "svhn", "--networks", "vgg13"], "leave out --datasets and --networks"),
        (["--paper", "svhn", "--sweep"], "not allowed with argument"),
        (["--minutes", "0"], "need positive and finite, got 0"),
        (["--parallel", "0"], "need at least 1, got 0"),
        (["--processes", "two"], "got two"),
        (["--executor", "local", "--slurm", "time=60"], "got the local executor"),
        (["--sweep", "--losses", "rescaled-mse"], "got rescaled-mse"),
        (["--losses", "rescaled-mse", "--datasets", "digits"], "digits-vgg7-rescaled-mse-0: need --k and --M"),
        (["--", "--epochs", "0"], "after --: argument --epochs: need at least 1 epoch, got 0"),
        (["--", "--seed", "3"], "--seed after -- is set by the grid"),
        (["--", "--output=x"], "--output=x after -- is set by the grid"),
        (["--", "--resume"], "--resume after -- is set by the grid"),
        (["--", "--download"], "got --download after --: fetch them first"),
        (["--sweep", "--", "--lr", "1"], "--lr after -- is set by the grid"),
        (["--output", "file"], "file is not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_command_gets_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    given = arguments if "--output" in arguments or "--executor" in arguments else ["--executor", "local", *arguments]
    assert match in refused(capsys, grid.main, given, f"{grid.PROGRAM}: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_options_of_slurm_are_its_own(monkeypatch, capsys):
    found = launch.slurm_options(["partition=gpu", "gpus-per-node=2", "reservation=mine", "exclusive=true", "time=60"])
    further = {"requeue": True, "reservation": "mine"}
    expected = {"partition": "gpu", "gpus_per_node": 2, "exclusive": True, "time": 60, "signal_delay_s": 90}
    assert found == expected | {"additional_parameters": further}
    for text, match in {
        "partition": "Need KEY=VALUE",
        "array_parallelism=3": "Need --parallel",
        "ntasks_per_node=3": "Need --processes",
        "time=1-00:00:00": "Need a time in minutes",
        "time=1": "Need more time than the 90 s",
        "signal_delay_s=soon": "Need seconds",
    }.items():
        with pytest.raises(ValueError, match=match):
            launch.slurm_options([text])
    with monkeypatch.context() as patch:
        patch.setattr(launch, "has_slurm", lambda: True)
        assert grid.main(["--minutes", "9"]) == 2
    assert "got Slurm: give --slurm time=MINUTES instead" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert grid.main(["--executor", "slurm"]) == 2
    assert "Need sbatch for --executor slurm, got none" in capsys.readouterr().err


def test_the_commands_that_the_module_prints_parse():
    for line in (grid.__doc__ or "").splitlines():
        if "-m deepnet_runs.grid" in line:
            grid.parse(line.partition("-m deepnet_runs.grid")[2].split())
