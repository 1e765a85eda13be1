"""The program that describes the omega of runs: planted records, null models, groups, windows, refusals."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from planted_laws import planted
from planted_records import write
from refusal import refused

from deepnet_runs import which_law
from deepnet_runs.dynamics import clock, common_growth, forecast, judgement, law_figures, law_of_run
from deepnet_runs.storage import runs


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(common_growth, "DRAWS", 25)


def with_a_start_of_its_own(omega):
    """An epoch before the window that follows no law."""
    return np.concatenate([omega[:1] * np.linspace(0.2, 1.8, omega.shape[1]), omega])


def test_planted_laws_are_read_from_records_and_repetitions_are_judged_together(tmp_path, capsys):
    runs = [write(tmp_path / f"a{s}", with_a_start_of_its_own(planted(1, s, 0.003)), seed=s) for s in range(3)]
    runs.append(write(tmp_path / "b", with_a_start_of_its_own(planted(2, 5, 0.003)), network="vgg7"))
    assert which_law.main([*runs, "--output", str(tmp_path / "out"), "--no-plots"]) == 0
    first, second = json.loads((tmp_path / "out" / "which_law.json").read_text())["groups"]
    assert (first["verdict"], len(first["runs"]), len(first["interval"])) == ("renormalized", 3, 2)
    assert (second["description"], second["network"], second["interval"]) == ("unnormalized", "vgg7", None)
    assert second["verdict"] == "not distinguishable from a common growth factor"
    assert [null["name"] for null in first["nulls"]] == [
        "random matrices, spread of the run",
        "independent rates",
        "random matrices, spread of the epoch",
    ]
    assert first["within_limit"]["renormalized"] == 3
    assert all(null["within_limit"]["renormalized"] == 0 for null in first["nulls"][:-1])
    assert first["epochs"][0] == list(range(3, 52, 2))
    out = capsys.readouterr().out
    assert "digits resnet8 mse" in out
    assert re.search(r"^digits resnet8 mse .* renormalized$", out, re.M)
    assert re.search(r"^digits vgg7 mse .* not distinguishable from a common growth factor$", out, re.M)
    assert len(re.findall(r"^  null: ", out, re.M)) == 3 * 2 * 3  # tables, groups, models
    assert "is an open question" in out
    assert "velocity must be measured" in out
    again = tmp_path / "again"
    assert which_law.main([*runs, "--from", "1", "--output", str(again), "--no-plots"]) == 0  # planted: too early
    early = json.loads((again / "which_law.json").read_text())["groups"]
    assert [entry["description"] for entry in early] == ["none", "none"]


def test_runs_on_other_numbers_of_images_are_no_repetitions(tmp_path):
    sizes = {"train_images": 1400, "test_images": 397}
    configs = [{}, sizes, sizes, sizes | {"train_images": 1000}]
    found = [runs.read(Path(write(tmp_path / f"{s}", planted(1, s), seed=s, **c))) for s, c in enumerate(configs)]
    assert [run.images for run in found] == [(None, None), (1400, 397), (1400, 397), (1000, 397)]
    groups = [[run.config["seed"] for run in group] for group in runs.repetitions(found[:3])]
    assert groups == [[0, 1, 2]]  # what an earlier version did not record tells no run from another
    groups = [[run.config["seed"] for run in group] for group in runs.repetitions(found)]
    assert groups == [[0], [1, 2], [3]]
    assert "train_images=1000" in runs.labels(runs.repetitions(found[1:]))[1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (["missing"], "Need a run of deepnet_runs.train or a folder that holds some, got missing"),
        (["run", "--to", "5"], "Need omega > 0 at 3 epochs or more"),
        (["dirty"], "No measured epoch has zero training error: choose the first epoch with --from"),
        (["empty"], "Need a run with measured epochs"),
        (["run", "--from", "0"], "need an epoch from 1 on, got 0"),
    ],
)
def test_what_cannot_be_read_gets_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, change, match):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run", planted(0, 0))
    write(tmp_path / "dirty", planted(0, 0), clean_from=1000)
    write(tmp_path / "empty", planted(0, 0)[:0])
    assert match in refused(capsys, which_law.main, [*change, "--output", "out"])
    assert not (tmp_path / "out").exists()


def test_the_clock_the_predictions_and_the_assumptions_are_read_from_records(tmp_path, capsys):
    omega = planted(1.0, 0, 0.0)
    plain = write(tmp_path / "a", omega, clean_from=1)
    changed = write(tmp_path / "b", omega, clean_from=1, momentum=0.0)
    assert which_law.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    entries = json.loads((tmp_path / "out" / "which_law.json").read_text())["groups"]
    assert [entry["label"] for entry in entries] == ["digits resnet8 mse", "digits resnet8 mse momentum=0.0"]
    assert [entry["runs"] for entry in entries] == [[plain], [changed]]
    rows = [json.loads(line) for line in (tmp_path / "a" / "measurements.jsonl").read_text().splitlines()]
    x = np.array([row["lr_sum"] for row in rows])
    for name, k in (("riemannian", 0.0), ("renormalized", 1.0), ("own", entries[0]["k"])):
        expected = clock.power(clock.elapsed(omega, k), x - x[0])
        assert entries[0]["clocks"][name]["lr_sum"][0]["exponent"] == pytest.approx(expected.exponent, rel=1e-9)
        ahead = forecast.by_law(omega, x - x[0], k, free_power=False)
        errors = entries[0]["forecast_errors"][f"{name}, summed learning rate"]
        assert errors == [pytest.approx(ahead.error, rel=1e-6)]
    measured = entries[0]["assumptions"][0]
    assert measured["loss_ls_perp_over_loss_ls"][1] == 0.5
    assert measured["mean_output_gap"][1] == 0.25
    assert measured["overlap_V"] == pytest.approx(np.ones(len(rows)))
    assert measured["chance_V"] == pytest.approx(0.2734 * np.ones(len(rows)), rel=1e-3)
    assert measured["overlap_E"] is None  # no features were saved
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "which_law.json",
        "laws.png",
        "law_digits-resnet8-mse.png",
        "law_digits-resnet8-mse-momentum=0.0.png",
    }
    out = capsys.readouterr().out
    for head in ("time (p / R^2)", "prediction error", "assumptions", "1.00 (0.27)"):
        assert head in out


def test_runs_that_cannot_be_analysed_are_named_and_do_not_stop_the_others(tmp_path, capsys):
    for seed in range(3):
        write(tmp_path / f"a{seed}", planted(1, seed), seed=seed, clean_from=1000 if seed == 1 else 1)
    write(tmp_path / "b", planted(1, 0), network="vgg7", clean_from=1000)
    assert which_law.main([str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert f"not analysed: {tmp_path / 'b'}: No measured epoch has zero training error" in said.err
    assert "(1 omitted)" in said.out


def test_the_figures_show_the_records(tmp_path):
    omega = planted(1.0, 0, 0.0)
    run = runs.read(Path(write(tmp_path / "a", omega, clean_from=1)))
    (entry,), refusals = judgement.judge([run])
    assert refusals == []
    written = json.loads(json.dumps(entry.to_dict()))
    assert judgement.Group.from_dict(written).to_dict() == entry.to_dict()
    planted_k = judgement.Group.from_dict(written | {"k": 5.0})
    assert planted_k.to_dict() != entry.to_dict()
    axes = law_figures.group(entry, run).axes
    np.testing.assert_array_equal(np.stack([line.get_ydata() for line in axes[0].lines[:9]], axis=1), omega)
    spreads = [np.max(np.abs(np.stack([line.get_ydata() for line in axis.lines]))) for axis in axes[1:4]]
    np.testing.assert_allclose(
        spreads, [entry.finding.distances[name] for name in law_of_run.LAWS], rtol=1e-9, atol=1e-12
    )
    assert spreads[1] < 1e-6 < 0.1 < min(spreads[0], spreads[2])  # that of the planted law alone stays flat
    left, right = law_figures.laws([entry]).axes
    assert left.lines[-1].get_xdata() == [entry.finding.k]
    assert entry.finding.distances["riemannian"] in [line.get_xdata()[0] for line in right.lines]


def test_it_needs_no_torch():
    code = "import sys, deepnet_runs.which_law; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
