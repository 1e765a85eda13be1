"""`python -m deepnet_runs.kernel --forecast`: from the saved weights of a run to forecast.jsonl, figure and table."""

import json
import shutil

import numpy as np
import pytest
from refusal import refused
from short_runs import short

from deepnet_runs import kernel
from deepnet_runs.dynamics import forecast_tables, measured_field, measured_forecast
from deepnet_runs.dynamics.field import gradient
from deepnet_runs.dynamics.snr_frame import class_means
from deepnet_runs.storage import runs
from deepnet_runs.training.images import images_of
from deepnet_runs.training.run import choose_device

HOW = {"batchnorm": "training", "memory": 2.0**30, "device": choose_device("cpu")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "narrow"
    data = ["--per-class", "20", "--width", "0.125", "--weight-decay", "1e-3"]
    assert short(folder, "--save-weights", *data, epochs=6)[0] == 0
    return folder


def test_the_later_epochs_are_predicted_from_an_earlier_one(trained, capsys):
    assert kernel.main([str(trained), "--forecast", "1", "2"]) == 0
    printed = capsys.readouterr().out
    lines = (trained / "forecast.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [(made["epoch"], made["epochs"]) for made in found] == [(1, [2, 3, 4, 5, 6]), (2, [3, 4, 5, 6])]
    assert all(tuple(made["models"]) == tuple(forecast_tables.SHOWN) for made in found)
    assert all(name in printed for name in forecast_tables.HEAD)
    assert (trained / "forecast.png").stat().st_size > 10_000
    rows = {row.epoch: row for row in runs.read(trained).rows}
    assert found[0]["lam"] == pytest.approx(1e-3)
    omega = {epoch: np.log(row.omega).mean() for epoch, row in rows.items()}  # batch statistics are running there
    assert np.log(found[0]["growth"][-1]) == pytest.approx(omega[6] - omega[1], abs=0.3)
    assert kernel.main([str(trained), "--forecast", "1", "--no-plots"]) == 0
    assert not (trained / "forecast.png").exists()


def test_the_rates_are_those_of_the_kernel_along_the_gradient(trained):
    run = runs.read(trained)
    config = measured_field.config_of(run)
    images = images_of(config, trained)
    network = measured_field.network_of(config, images, trained / "weights" / "epoch_0003.pt")
    of_network = measured_field.kernel_of(network, images, **HOW)
    H, labels = measured_forecast.arrays_of(of_network)
    G = gradient(H, labels, 1e-3)
    moved = of_network.apply(of_network.features.new_tensor(G)).numpy()
    found = measured_forecast.block_kernel_of(of_network, 1e-3)
    means = class_means(G, labels)[labels]
    parts = {"class_means": means - G.mean(axis=0), "within": G - means, "global_mean": 0 * G + G.mean(axis=0)}
    rates = [getattr(found, name) for name in parts]
    assert min(rates) > 0
    applied = {name: of_network.apply(of_network.features.new_tensor(X)).numpy() for name, X in parts.items()}
    np.testing.assert_allclose(sum(applied.values()), moved, rtol=1e-6, atol=1e-6 * abs(moved).max())
    for name, X in parts.items():
        assert getattr(found, name) == pytest.approx(np.sum(applied[name] * X) / np.sum(X**2), rel=1e-6)
    without = measured_forecast.block_kernel_of(of_network, 0.0)
    assert without.global_mean == without.class_means


def test_time_is_the_summed_rate_over_what_momentum_leaves(trained):
    run = runs.read(trained)
    sums = [row.lr_sum for row in run.rows]
    assert measured_forecast.times_of(run, [1, 2, 6], 0.9) == pytest.approx([10 * sums[0], 10 * sums[1], 10 * sums[5]])
    lost = run._replace(rows=[row for row in run.rows if row.epoch != 2])
    with pytest.raises(ValueError, match="Need the summed learning rate of epoch 2"):
        measured_forecast.times_of(lost, [1, 2], 0.0)


@pytest.mark.parametrize(
    ("words", "damage", "match"),
    [
        (["3"], None, "Need at least 4 checkpoints after epoch 3"),
        (["9"], None, "Need weights of epoch 9"),
        (["0"], None, "an epoch from 1 on"),
        (["1"], {"loss": "ce"}, "Need a run trained with --loss mse, got ce"),
    ],
)
def test_what_cannot_be_predicted_gets_one_line_and_writes_nothing(trained, tmp_path, capsys, words, damage, match):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("forecast.*"))
    if damage:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | damage))
    assert match in refused(capsys, kernel.main, [str(folder), "--forecast", *words])
    assert not list(folder.glob("forecast.*"))
