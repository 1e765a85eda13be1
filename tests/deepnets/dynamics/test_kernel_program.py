"""`python -m deepnet_runs.kernel`: from the saved weights of a run to field.jsonl, the figure, and the tables."""

import json
import shutil

import numpy as np
import pytest
import torch
from refusal import refused
from short_runs import short

from deepnet_runs import kernel, which_law
from deepnet_runs.dynamics import field_figure, field_records, field_tables, measured_field
from deepnet_runs.dynamics.field import MODELS, gradient
from deepnet_runs.dynamics.snr_frame import SNRFrame
from deepnet_runs.storage import runs
from deepnet_runs.training.images import images_of

FEW = ["--draws", "3", "--probes", "2"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of three epochs of a narrow network, measured at two of them, and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "narrow"
    code, _ = short(folder, "--save-weights", "--width", "0.125", "--weight-decay", "0", epochs=3)
    assert code == 0
    assert kernel.main([str(folder), "--epochs", "2", "3", *FEW]) == 0
    return folder, field_records.read(folder)


def test_a_line_for_each_epoch_with_every_model(measured):
    folder, rows = measured
    assert [row.epoch for row in rows] == [2, 3]
    assert {path.name for path in (folder / "weights").iterdir()} == {f"epoch_{i:04d}.pt" for i in (1, 2, 3)}
    assert (folder / "field.png").stat().st_size > 10_000
    for row in rows:
        assert tuple(row.field.models) == MODELS
        assert (row.field.n, row.field.C, row.batchnorm) == (1400, 10, "training")
        assert -1 <= row.field.velocity_cosine <= 1
        assert row.kernel["kappa_d"] > row.kernel["kappa_c"] > row.kernel["kappa_n"]
        assert 1 / row.field.P <= row.kernel["isotropy"] <= 1
    lines = [json.loads(line, parse_constant=pytest.fail) for line in (folder / "field.jsonl").read_text().splitlines()]
    assert lines[0]["models"]["common_factor"]["residual"]["cosine"] is None
    assert lines == [json.loads(field_records.text([row])) for row in rows]


def test_without_probes_there_are_no_traces_and_the_test_is_the_same(measured, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(measured[0], folder)
    assert kernel.main([str(folder), "--epochs", "3", "--draws", "3", "--probes", "0", "--no-plots"]) == 0
    (row,) = field_records.read(folder)
    assert set(row.kernel) == {"isotropy", "isotropy_error"}
    assert row.field.to_dict() == measured[1][1].field.to_dict()


def test_that_more_memory_would_be_faster_is_said_and_the_numbers_are_the_same(measured, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(measured[0], folder)
    words = ["--epochs", "3", "--draws", "3", "--probes", "0", "--no-plots"]
    assert kernel.main([str(folder), *words, "--memory", "0.05"]) == 0
    said = capsys.readouterr().err
    assert "a derivative takes 10 passes over the training set: one pass needs 0.1 GiB of activations" in said
    (row,) = field_records.read(folder)
    wanted = measured[1][1].field
    assert row.field.velocity_cosine == pytest.approx(wanted.velocity_cosine, rel=1e-9)
    assert row.field.b == pytest.approx(wanted.b, rel=1e-9)


def test_the_rates_are_those_of_a_step_of_gradient_descent_on_the_network(measured):
    folder, rows = measured
    run = runs.read(folder)
    config = measured_field.config_of(run)
    images = images_of(config, folder)
    weights = folder / "weights" / "epoch_0003.pt"
    found = []
    for step in (1e-6, -1e-6):  # of a network whose last layer is the least-squares one
        network = measured_field.network_of(config, images, weights).double().train()
        x, y = images.train.batch().x.double(), images.train.y.numpy()
        H = network.body(x)
        frame = SNRFrame.of(H.detach().numpy(), y)
        G = torch.from_numpy(gradient(H.detach().numpy(), y))
        (H * G).sum().backward()
        with torch.no_grad():
            for p in network.body.parameters():
                p -= step * p.grad
            found.append(network.body(x).numpy())
    difference = frame.rates((found[0] - found[1]) / 2e-6)
    A = np.array(rows[1].field.rates)
    assert np.abs(difference - A).max() < 1e-5 * np.abs(A).max()


def test_the_tables_and_which_law_show_it(measured, tmp_path, capsys):
    folder, rows = measured
    first, second = tmp_path / "a", tmp_path / "b"
    for copy, seed in ((first, 0), (second, 1)):
        shutil.copytree(folder, copy)
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | {"seed": seed}))
    found = {str(path): field_records.read(path) for path in (first, second)}
    text = field_tables.tables(found, {"digits": list(found.values())})
    assert text.count(f"{rows[1].field.velocity_cosine:.2f}") >= 3
    assert f"{rows[1].field.velocity_cosine:.2f} ({rows[1].field.velocity_cosine:.2f} to" in text  # of equal seeds
    assert (
        which_law.main([str(first), str(second), "--from", "1", "--output", str(tmp_path / "out"), "--no-plots"]) == 0
    )
    assert "field test" in capsys.readouterr().out
    (group,) = json.loads((tmp_path / "out" / "which_law.json").read_text())["groups"]
    assert [row["epoch"] for row in group["field"]] == [3, 3]
    figure = field_figure.draw(rows, "narrow")
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, [row.field.models["free"].whole.cosine for row in rows])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda folder: shutil.rmtree(folder / "weights"), "train with --save-weights"),
        (lambda folder: (folder / "weights" / "epoch_0002.pt").write_bytes(b"PK"), "Need the weights of resnet8"),
        (lambda folder: (folder / "config.json").write_text('{"dataset": "digits"}'), "Need the configuration"),
    ],
)
def test_what_cannot_be_measured_gets_one_line_and_writes_nothing(measured, tmp_path, capsys, change, match):
    folder = tmp_path / "run"
    shutil.copytree(measured[0], folder, ignore=shutil.ignore_patterns("field.*"))
    change(folder)
    assert match in refused(capsys, kernel.main, [str(folder), "--epochs", "2", *FEW])
    assert not list(folder.glob("field.*"))


def test_epochs_and_options_that_cannot_be(measured, tmp_path, capsys):
    said = refused(capsys, kernel.main, [str(measured[0]), "--epochs", "9"])
    assert "Need weights of epoch 9" in said
    assert "got 1, 2, 3" in said
    for words in (["--probes", "1"], ["--draws", "2"], ["--memory", "0"], ["--lam", "-1"]):
        assert "need" in refused(capsys, kernel.main, [str(measured[0]), *words])
    broken = tmp_path / "broken"
    shutil.copytree(measured[0], broken)
    (broken / "field.jsonl").write_text('{"epoch": 2}\n')
    with pytest.raises(ValueError, match=r"Need a file of deepnet_runs\.kernel"):
        field_records.read(broken)
