import io
import json
import math
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from central_path import collapse, loss, problem, samples, simulate
from central_path.records import read_samples
from deepnet_runs import data, options, recipes, records, train
from deepnet_runs.recipes import DivergenceError, Recipe, measured_epochs, rate_at, recipe
from deepnet_runs.trainer import Trainer

CLASSES = 10
COMMON = """epoch seconds lr train_loss train_error test_error loss loss_nc1 loss_nc23 loss_ls_perp lam omega
rank_between condition_between
batchnorm_reestimated equinorm_classifier equiangularity_classifier max_angle_classifier"""
TWICE = """nc1 equinorm_means equiangularity_means max_angle_means self_duality ncc_mismatch"""
KEYS = {*COMMON.split(), *(f"{key}_{split}" for key in TWICE.split() for split in ("train", "test"))}
IDENTITY = 1e-12  # relative, of L = L_NC1 + L_NC2/3 + L_LS_perp in float64


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def short(folder, *more, epochs=2):
    code = train.main(["--epochs", str(epochs), "--device", "cpu", "--output", str(folder), "--quiet", *more])
    return code, rows_of(folder)


def rows_of(folder):
    path = folder / "measurements.jsonl"
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    code, rows = short(folder, "--save-features", "--seed", "3", epochs=3)
    assert code == 0
    return folder, rows


def check_row(row):
    assert set(row) >= KEYS
    omega = np.array(row["omega"])
    assert omega.shape == (CLASSES - 1,)
    assert (np.diff(omega) <= 0).all()
    parts = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
    assert abs(parts - row["loss"]) <= IDENTITY * row["loss"]
    assert min(row["loss_nc1"], row["loss_nc23"], row["loss_ls_perp"]) > 0
    assert 0 <= row["train_error"] <= 1
    assert 0 <= row["test_error"] <= 1


def test_a_run_leaves_its_files_and_every_key_of_the_contract(run):
    folder, rows = run
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "measurements.jsonl",
        "checkpoint.pt",
        "features",
    }
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        check_row(row)
        assert row["lam"] == 5e-3
        assert row["batchnorm_reestimated"] is True
        assert row["rank_between"] == CLASSES - 1
    assert rows[-1]["loss"] < rows[0]["loss"]
    config = json.loads((folder / "config.json").read_text())
    expected = {"dataset": "digits", "network": "resnet8", "loss": "mse", "seed": 3, "epochs": 3, "lr": 0.1}
    assert config.items() >= (expected | {"lam": 5e-3, "weight_decay": 5e-3, "batch_size": 128}).items()
    assert {"torch", "torchvision", "jax", "central_path"} <= set(config["versions"])
    state = records.read_checkpoint(folder, {key: config[key] for key in expected})
    assert state["epoch"] == 3
    assert len(state["rows"]) == 3


def test_the_parts_of_a_row_sum_to_the_loss_of_its_features(run):
    folder, rows = run
    state = records.read_checkpoint(folder, {})
    W, b = (state["network"][f"head.{name}"].double().numpy() for name in ("weight", "bias"))
    features, labels = read_samples(folder / "features" / "epoch_0003.npz")
    residual = features.astype(float) @ W.T + b - np.eye(CLASSES)[labels]

    def objective(lam):
        return (residual**2).sum() / (2 * len(labels)) + lam / 2 * ((W**2).sum() + (b**2).sum())

    row = rows[-1]
    parts = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
    assert abs(parts - objective(5e-3)) <= IDENTITY * parts
    assert abs(parts - objective(5e-4)) > 1e-3 * parts


def test_saved_features_give_the_rows_again_and_start_the_simulator(run, tmp_path, monkeypatch):
    folder, rows = run
    paths = sorted((folder / "features").iterdir())
    assert [path.name for path in paths] == ["epoch_0001.npz", "epoch_0002.npz", "epoch_0003.npz"]
    given = samples.check_samples(*read_samples(paths[0]))
    assert given.features.shape == (1400, 64)
    assert (given.counts == 140).all()
    features, labels = read_samples(paths[0])
    moments = problem.moments(
        jnp.asarray(np.stack([features[labels == c].astype(float).T for c in range(CLASSES)], axis=1))
    )
    np.testing.assert_allclose(collapse.nc1(moments), rows[0]["nc1_train"], rtol=1e-9)
    np.testing.assert_allclose(problem.snr_singular_values(moments.Mbar, moments.Sigma_W), rows[0]["omega"], rtol=1e-9)

    monkeypatch.setenv("EQX_ON_ERROR", "nan")
    command = ["--level", "spectrum", "--saves", "3", "--no-plots", "--quiet", "--restrict-rank"]
    assert simulate.main(["--features", str(paths[0]), "--output", str(tmp_path), *command]) == 0
    with np.load(tmp_path / "trajectory.npz") as trajectory:
        np.testing.assert_allclose(trajectory["riemannian/omega"][0], rows[0]["omega"], rtol=1e-6)


@pytest.mark.parametrize(
    "more",
    [
        ("--loss", "ce"),
        ("--whole", "--network", "densenet10"),
        ("--random-labels", "--network", "vgg7"),
        ("--lam", "0.02", "--weight-decay", "0.001"),
        ("--amp", "--channels-last"),
        ("--stale-batchnorm", "--batch-size", "700"),
    ],
    ids=lambda more: more[0],
)
def test_variants_run_and_keep_the_identity(tmp_path, more):
    code, rows = short(tmp_path, *more, epochs=1)
    assert code == 0
    assert [row["epoch"] for row in rows] == [1]
    check_row(rows[0])
    config = json.loads((tmp_path / "config.json").read_text())
    assert rows[0]["lam"] == config["lam"] == (0.02 if "--lam" in more else config["weight_decay"])
    assert rows[0]["batchnorm_reestimated"] is ("--stale-batchnorm" not in more)
    if "--random-labels" in more:  # one epoch learns nothing of them
        assert rows[0]["train_error"] > 0.7
        assert rows[0]["test_error"] > 0.7


# --- what is refused -------------------------------------------------------------------------------------------------


def refused(capsys, arguments, match):
    try:
        code = train.main(arguments)
    except SystemExit as error:  # argparse's way
        code = error.code
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("python -m deepnet_runs.train: error: ")
    assert match in said.err
    return said.err


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--network", "resnet18"], "resnet18 does not take the images of digits"),
        (["--dataset", "mnist", "--network", "vgg7"], "vgg7 does not take the images of mnist"),
        (["--dataset", "mnist", "--network", "vgg11", "--data-dir", "nowhere"], "give --download"),
        (["--dataset", "cifar10", "--network", "resnet18", "--data-dir", "nowhere"], "nowhere"),
        (["--network", "lenet"], "lenet"),
        (["--epochs", "0"], "need at least 1 epoch, got 0"),
        (["--epochs", "1.5"], "got 1.5"),
        (["--lr", "nan"], "need a positive finite number, got nan"),
        (["--lr", "0"], "got 0"),
        (["--lam", "-1"], "need a finite number >= 0, got -1"),
        (["--weight-decay", "inf"], "got inf"),
        (["--batch-size", "1"], "need at least 2 images in a batch, got 1"),
        (["--batch-size", "1399"], "got 1 of 1400"),
        (["--seed", "-1"], "got -1"),
        (["--epoch", "3"], "unrecognized arguments"),
        (["--resume"], "got none in out"),
        (["--resume", "--dry-run"], "give one of them"),
        (["--output", "file"], "file is not a folder"),
        (["--output", "file/below"], "file is not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_command_gets_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    refused(capsys, ["--output", "out", *arguments], match)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_device_is_refused(tmp_path, capsys):
    refused(capsys, ["--device", "cuda", "--output", str(tmp_path / "out")], "got none: give --device cpu")
    assert not list(tmp_path.iterdir())


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_run_in_the_folder_is_left_alone(run, capsys):
    folder, _ = run
    before = contents(folder)
    refused(capsys, ["--output", str(folder)], "give --resume to go on, or another --output")
    message = refused(capsys, ["--output", str(folder), "--resume", "--epochs", "5", "--lr", "0.2"], "lr = 0.2 for 0.1")
    assert "epochs = 5 for 3" in message
    assert "seed = 0 for 3" in message
    assert "network" not in message
    assert contents(folder) == before


def test_rows_without_a_checkpoint_are_left_alone(tmp_path, capsys):
    (tmp_path / "measurements.jsonl").write_text("{}\n")
    refused(capsys, ["--output", str(tmp_path)], "Need a folder without a run")
    assert (tmp_path / "measurements.jsonl").read_text() == "{}\n"


def test_a_file_in_the_place_of_the_features_folder_is_refused(tmp_path, capsys):
    (tmp_path / "features").touch()
    refused(capsys, ["--output", str(tmp_path)], "features to be a folder")


def test_tensorboard_without_the_package_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    refused(capsys, ["--tensorboard", "--output", str(tmp_path / "out")], "pip install tensorboard")
    assert not list(tmp_path.iterdir())


def test_tensorboard_gets_the_numbers_of_every_row(tmp_path, monkeypatch):
    seen, module = [], types.ModuleType("torch.utils.tensorboard")

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            assert Path(folder).parent == tmp_path
            assert purge_step == 1

        def add_scalar(self, key, value, epoch):
            seen.append((epoch, key, value))

        def flush(self):
            seen.append("flush")

        def close(self):
            seen.append("close")

    module.__dict__["SummaryWriter"] = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    code, rows = short(tmp_path, "--tensorboard", "--network", "densenet10")
    assert code == 0
    assert seen[-1] == "close"
    assert seen.count("flush") == 2
    assert {(row["epoch"], "nc1_train", row["nc1_train"]) for row in rows} <= set(seen)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train.main(["--dry-run", "--network", "densenet10", "--device", "cpu", "--save-features"]) == 0
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == "densenet10 on digits, mse, seed 0: nothing written (dry run)\n"


def test_the_table_has_eight_rows_at_most_and_the_last(run, capsys, monkeypatch):
    folder, rows = run
    args = options.parse(["--epochs", "3", "--seed", "3", "--output", str(folder)])
    train.say(args, rows * 7, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 8 + 2
    assert lines[0].split()[:3] == ["epoch", "loss", "loss_nc1"]
    assert lines[8].split()[0] == "3"
    assert lines[-1] == f"resnet8 on digits, mse, seed 3: 1 s; results in {folder}"
    train.say(args, rows[:1], 1.0)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1 + 2


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_is_for_terminals(tmp_path, monkeypatch, terminal):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    arguments = ["--epochs", "1", "--network", "densenet10", "--device", "cpu", "--output", str(tmp_path)]
    assert train.main(arguments) == 0
    assert ("epochs" in stream.getvalue()) is terminal


def test_help_names_every_option_and_starting_imports_no_torch():
    code = "import sys, deepnet_runs.train; print(sorted({'jax', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    text = options.parser().format_help()
    for flag in ("--dataset", "--network", "--loss", "--epochs", "--lr", "--weight-decay", "--lam", "--batch-size"):
        assert flag in text
    for flag in ("--seed", "--device", "--data-dir", "--dry-run", "--resume", "--save-features", "--output"):
        assert flag in text
    for line in (train.__doc__ or "").splitlines():
        if "-m deepnet_runs.train" in line:
            options.parse(line.partition("-m deepnet_runs.train")[2].split())
    assert max(map(len, options.EPILOG.splitlines())) <= 120


def test_the_stability_warning_names_the_number(capsys):
    begin = ["--dry-run", "--quiet", "--device", "cpu"]
    assert train.main([*begin, "--lr", "0.05"]) == 0
    assert capsys.readouterr().err == ""
    assert train.main([*begin, "--lr", "0.7"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("learning rate 0.7 is beyond 2(1+m)/lambda_max")
    assert said.count("\n") == 1
    assert train.main([*begin, "--lr", "0.7", "--loss", "ce"]) == 0
    assert capsys.readouterr().err == ""

    torch.manual_seed(0)
    trainer = new_trainer()
    few = trainer._few(trainer.data.train)
    h = trainer.network.train()(few.x)[0].detach().double().numpy()
    extended = np.concatenate([h, np.ones((len(h), 1))], axis=1)
    bound = 2 * 1.9 / np.linalg.eigvalsh(extended.T @ extended / len(h))[-1]
    assert f"= {bound:.2g} at the start" in said


# --- divergence ------------------------------------------------------------------------------------------------------


def test_divergence_ends_in_one_sentence_without_a_row_of_nan(tmp_path, capsys):
    code, rows = short(tmp_path, "--lr", "1e6", epochs=5)
    assert code == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("learning rate 1e+06 is beyond")
    assert len(said) == 2
    assert "the loss is " in said[1]
    assert said[1].endswith("give a lower --lr than 1e+06")
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert rows == (records.read_checkpoint(tmp_path, {})["rows"] if rows else [])


@pytest.mark.parametrize("broken", ["body", "head"])
def test_what_the_last_step_broke_is_divergence_too(broken):
    trainer = new_trainer()
    trainer.epoch, trainer.train_loss = 1, 0.5
    with torch.no_grad():
        next(getattr(trainer.network, broken).parameters()).fill_(math.nan)
    with pytest.raises(DivergenceError, match="the loss is nan in epoch 1"):
        trainer.measure()
    assert trainer.rows == []


# --- the objective ---------------------------------------------------------------------------------------------------


def new_trainer(*arguments):
    args = options.parse(list(arguments))
    config, chosen = train.config_of(args)
    return Trainer(config, chosen, data.load("digits", Path("data")), torch.device("cpu"))


@pytest.mark.parametrize("lam", [0.005, 0.3])
def test_a_step_of_the_last_layer_descends_the_loss_of_the_decomposition(lam):
    trainer = new_trainer("--lam", str(lam), "--weight-decay", "0.001")
    head = trainer.network.head
    before = {name: value.detach().double().numpy().copy() for name, value in head.named_parameters()}
    images = trainer.data.train
    H = trainer.network.train()(images.x)[0].detach().double().numpy()
    trainer.step(images, len(images.y), 29)
    y = images.y.numpy()
    m = problem.moments(jnp.asarray(np.stack([H[y == c].T for c in range(CLASSES)], axis=1)))

    def objective(W, b, lam):
        return loss.decompose(W, b, m, lam=lam).total

    def miss(lam):
        steps = jax.grad(objective, argnums=(0, 1))(jnp.asarray(before["weight"]), jnp.asarray(before["bias"]), lam)
        moved = [(head.weight, before["weight"], steps[0]), (head.bias, before["bias"], steps[1])]
        return max(
            np.abs(now.detach().numpy() - old + 0.1 * step).max() / (0.1 * np.abs(step).max())
            for now, old, step in moved
        )

    assert miss(lam) < 1e-4  # float32: weights of 0.1 to 1e-8, steps of 1e-3
    assert miss(lam / CLASSES) > 1e-3
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.001


def test_converted_recipes_follow_the_path_of_the_published_ones():
    chosen = recipe("cifar10", "resnet50", "mse")
    published = recipes.PUBLISHED_MSE["cifar10", "resnet50"]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 7, generator=generator, dtype=torch.float64)
    y = torch.randint(CLASSES, (64,), generator=generator)
    target = torch.nn.functional.one_hot(y, CLASSES).double()

    def path(step_loss, lr, weight_decay):
        torch.manual_seed(0)
        layer = torch.nn.Linear(7, CLASSES).double()
        optimizer = torch.optim.SGD(layer.parameters(), lr=lr, weight_decay=weight_decay, momentum=chosen.momentum)
        for _ in range(5):
            optimizer.zero_grad()
            step_loss(layer(x)).backward()
            optimizer.step()
        return layer.weight.detach().numpy()

    def ours(outputs):
        return 0.5 * (outputs - target).square().sum() / len(x)

    theirs = path(lambda outputs: torch.nn.MSELoss()(outputs, target), published, 5e-4)
    converted = path(ours, chosen.lr, chosen.weight_decay)
    np.testing.assert_allclose(converted, theirs, rtol=1e-12, atol=1e-15)
    assert np.abs(path(ours, chosen.lr, 5e-4) - theirs).max() > 1e-5
    assert np.abs(path(ours, published, chosen.weight_decay) - theirs).max() > 1e-3


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_every_pair_of_the_paper_has_its_learning_rate():
    assert len(recipes.PUBLISHED_MSE) == 15
    assert {dataset for dataset, _ in recipes.PUBLISHED_MSE} == set(options.DATASETS) - {"digits"}
    for (dataset, network), lr in recipes.PUBLISHED_MSE.items():
        chosen = recipe(dataset, network, "mse")
        assert network in options.NETWORKS
        assert chosen.epochs == 350
        assert chosen.batch_size == 128
        assert math.isclose(chosen.lr * CLASSES / 2, lr)
        assert math.isclose(chosen.weight_decay, 5e-4 * CLASSES / 2)
        assert recipe(dataset, network, "ce").weight_decay == 5e-4
    assert recipe("cifar10", "resnet18", "ce").lr == 0.13025


def test_measured_epochs_are_the_papers_scaled():
    paper = (
        *range(1, 15),
        16,
        17,
        19,
        20,
        22,
        24,
        27,
        29,
        32,
        35,
        38,
        42,
        45,
        50,
        54,
        59,
        65,
        71,
        77,
        85,
        92,
        101,
        110,
    )
    paper += (121, 132, 144, 158, 172, 188, 206, 225, 245, 268, 293, 320, 350)
    assert measured_epochs(350) == paper
    for epochs in (1, 2, 3, 8, 14, 120, 500):
        measured = measured_epochs(epochs)
        assert measured[0] == 1
        assert measured[-1] == epochs
        assert len(measured) <= len(paper)
        assert list(measured) == sorted(set(measured))
    assert measured_epochs(3) == (1, 2, 3)


def test_the_rate_warms_up_and_drops_at_a_third_and_two_thirds():
    chosen = Recipe(epochs=30, lr=0.5, weight_decay=0.0, batch_size=128, momentum=0.9, warmup_steps=4)
    rates = np.array([rate_at(chosen, step, 10) for step in range(300)])
    expected = np.repeat([0.5, 0.05, 0.005], 100)
    expected[:4] = [0.125, 0.25, 0.375, 0.5]
    np.testing.assert_allclose(rates, expected, rtol=1e-14)
    assert rate_at(chosen._replace(warmup_steps=0), 0, 10) == 0.5
    assert rate_at(chosen._replace(epochs=1), 9, 10) == 0.5


# --- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("more", [(), ("--amp", "--channels-last")], ids=["float32", "bfloat16"])
def test_the_same_on_a_gpu(tmp_path, more, run):
    arguments = ["--epochs", "3", "--seed", "3", "--device", "cuda", "--output", str(tmp_path), "--quiet", *more]
    assert train.main(arguments) == 0
    rows = rows_of(tmp_path)
    for row, reference in zip(rows, run[1], strict=True):
        check_row(row)
        assert math.isclose(row["loss_nc1"], reference["loss_nc1"], rel_tol=0.1)
