"""The program that reads whose law runs follow: planted records, groups, windows, refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest
from planted_laws import planted

from deepnet_runs import which_law


def write(folder, omega, *, seed=0, network="resnet8", clean_from=3):
    folder.mkdir()
    config = {"dataset": "digits", "network": network, "loss": "mse", "seed": seed, "lam": 0.0, "device": "cpu"}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [
        {"epoch": 2 * i + 1, "omega": list(values), "train_error": 0.0 if 2 * i + 1 >= clean_from else 0.1}
        for i, values in enumerate(omega)
    ]
    (folder / "measurements.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(folder)


def with_a_start_of_its_own(omega):
    """An epoch before the window that follows no law."""
    return np.concatenate([omega[:1] * np.linspace(0.2, 1.8, omega.shape[1]), omega])


def test_planted_laws_are_read_from_records_and_repetitions_are_judged_together(tmp_path, capsys):
    runs = [write(tmp_path / f"a{s}", with_a_start_of_its_own(planted(1, s, 0.003)), seed=s) for s in range(3)]
    runs.append(write(tmp_path / "b", with_a_start_of_its_own(planted(2, 5, 0.003)), network="vgg7"))
    assert which_law.main([*runs, "--output", str(tmp_path / "out")]) == 0
    first, second = json.loads((tmp_path / "out" / "which_law.json").read_text())["groups"]
    assert (first["verdict"], len(first["runs"]), first["resampled"]) == ("renormalized", 3, "runs")
    assert (second["verdict"], second["network"]) == ("unnormalized", "vgg7")
    assert first["epochs"][0] == list(range(3, 52, 2))
    out = capsys.readouterr().out
    assert "digits resnet8 mse" in out
    assert "renormalized" in out
    assert which_law.main([*runs, "--from", "1"]) == 0  # planted: a window that begins too early
    assert capsys.readouterr().out.count("none") == 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (["missing"], "Need a run of deepnet_runs.train or a folder that holds some, got missing"),
        (["run", "--to", "5"], "Need omega > 0 at 3 epochs or more"),
        (["dirty"], "Need an epoch without a training error, got none: give --from"),
        (["empty"], "Need a run with measured epochs"),
        (["run", "--from", "0"], "need an epoch from 1 on, got 0"),
    ],
)
def test_what_cannot_be_read_gets_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, change, match):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run", planted(0, 0))
    write(tmp_path / "dirty", planted(0, 0), clean_from=1000)
    write(tmp_path / "empty", planted(0, 0)[:0])
    try:
        code = which_law.main([*change, "--output", "out"])
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert match in said.err
    assert not (tmp_path / "out").exists()


def test_it_needs_no_torch():
    code = "import sys, deepnet_runs.which_law; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
