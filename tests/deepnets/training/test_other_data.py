"""Runs on Fashion-MNIST, on folders of images, and with torchvision's models: the program from options to rows."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from refusal import refused
from short_runs import rows_on_disk, short

from deepnet_runs import grid, train
from deepnet_runs.cells import plan
from deepnet_runs.datasets import idx
from deepnet_runs.networks import build, library
from deepnet_runs.training import options
from deepnet_runs.training import run as training

sys.path.append(str(Path(__file__).parents[1] / "image_sets"))
from made_up_folders import write

INSTALLED = (idx.SYSTEM / "fashion-mnist").is_dir()
COUNTS = {"ants": 9, "bees": 8, "cats": 8}


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


@pytest.mark.skipif(not INSTALLED, reason="needs Debian's package: apt-get install dataset-fashion-mnist")
def test_a_subset_of_fashion_mnist_is_trained_on_recorded_and_resumed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["--dataset", "fashionmnist", "--network", "vgg7", "--per-class", "12", "--test-per-class", "6"]
    code, rows = short(tmp_path / "whole", *given, "--lr", "0.05")
    assert code == 0
    assert rows[-1]["loss"] < rows[0]["loss"]
    config = config_of(tmp_path / "whole")
    assert (config["per_class"], config["train_images"], config["test_images"]) == (12, 120, 60)
    assert config["data"]["image"] == [1, 28, 28]  # small networks take them as they are
    assert (config["data"]["mean"], config["data"]["std"]) == ([0.5], [0.5])
    assert config["data"]["read_from"] == str(idx.SYSTEM / "fashion-mnist")
    # Stopped after its first epoch, and resumed: the same rows.
    real = training.train

    def stop(trainer, execution, board):
        trainer.train_epoch()
        trainer.measure()
        training.records.write_checkpoint(execution.output, trainer.state())
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stop)
    assert short(tmp_path / "parts", *given, "--lr", "0.05")[0] == 130
    monkeypatch.setattr(training, "train", real)
    other = [word if word != "12" else "11" for word in given]
    assert short(tmp_path / "parts", *other, "--lr", "0.05", "--resume")[0] == 2
    assert "per_class = 11 for 12" in capsys.readouterr().err
    assert short(tmp_path / "parts", *given, "--lr", "0.05", "--resume")[0] == 0
    assert rows_on_disk(tmp_path / "parts") == rows_on_disk(tmp_path / "whole")


def test_a_torchvision_model_trains_on_a_folder_and_other_images_are_not_resumed_on(tmp_path, capsys):
    write(tmp_path / "set", COUNTS, size=(32, 32))
    given = ["--dataset", f"folder:{tmp_path / 'set'}", "--network", "torchvision:resnet18", "--whole"]
    given += ["--data-dir", str(tmp_path / "data")]
    code, rows = short(tmp_path / "run", *given, epochs=1)
    assert code == 0
    parts = sum(rows[0][key] for key in ("loss_nc1", "loss_nc23", "loss_ls_perp"))
    assert math.isclose(parts, rows[0]["loss"], rel_tol=1e-9)
    config = config_of(tmp_path / "run")
    assert config["data"]["classes"] == 3
    assert (config["train_images"], config["test_images"]) == (22, 3)
    (tmp_path / "set" / "ants" / "000.png").write_bytes((tmp_path / "set" / "cats" / "000.png").read_bytes())
    assert short(tmp_path / "run", *given, "--resume", epochs=1)[0] == 2
    assert "got other images or another mean of folder:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "googlenet", pytest.param("vit_b_32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_body_and_the_head_are_the_model(name, channels):
    torch.manual_seed(0)
    network = build(f"torchvision:{name}", channels=channels, size=64, classes=3).eval()
    model = library.models.get_model(name, weights=None, num_classes=3, **library._options(name, 64)).eval()
    prefix = "model." if channels == 1 else ""
    state = {key.removeprefix(f"body.{prefix}"): value for key, value in network.state_dict().items()}
    head = next(key for key in model.state_dict() if key not in state and key.endswith("weight"))
    for part in ("weight", "bias"):
        state[head.removesuffix("weight") + part] = state.pop(f"head.{part}")
    model.load_state_dict(state)
    images = torch.randn(2, channels, 64, 64)
    features, outputs = network(images)
    torch.testing.assert_close(outputs, model(images.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(outputs, features @ network.head.weight.T + network.head.bias)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            ["--network", "torchvision:resnet81"],
            "need a classification model of torchvision, got resnet81: for example",
        ),
        (
            ["--network", "torchvision:squeezenet1_1", "--image-size", "64"],
            "Need a model that ends with a linear layer, got torchvision's sq",
        ),
        (["--network", "torchvision:densenet121"], "Need images that torchvision's densenet121 takes, got 1 x 8"),
        (["--dataset", "imagenet"], "need one of mnist, fashionmnist, svhn, cifar10, stl10, digits, cifar100, mnist5k"),
        (["--dataset", "folder:"], "or folder:PATH, got folder:"),
        (["--dataset", "folder:nowhere"], "nowhere, which does not exist"),
        (["--per-class", "1"], "need at least 2 images of each class, got 1"),
        (["--per-class", "141"], "Need at most 140 train images of each class of digits for --per-class, got 141"),
        (["--per-class", "20", "--whole"], "--whole trains on all images, --per-class on 20 a class: give one of them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_trained_gets_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    message = refused(capsys, train.main, ["--output", "out", "--quiet", *arguments], f"{options.PROGRAM}: error: ")
    assert match in message
    assert not list(tmp_path.iterdir())


def test_a_grid_takes_folders_and_names_their_cells(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--datasets", "folder:a/pets", "--losses", "mse", "--output", "out"]
    assert grid.main([*given, "--networks", "resnet8", "torchvision:resnet18", "--status"]) == 0
    said = capsys.readouterr().out
    assert "pets-resnet8-mse-0 " in said
    assert "pets-torchvision-resnet18-mse-0 " in said
    assert plan.pairs(["cifar100"], None) == [("cifar100", name) for name in ("vgg7", "resnet8", "densenet10")]
    message = refused(capsys, grid.main, ["--datasets", "folder:a/pets", "folder:b/pets", "--output", "out"])
    assert "Need data sets with different names" in message
