"""The options of `python -m deepnet_runs.train`, checked before torch is imported."""

import argparse
import math
from pathlib import Path

from central_path.options import POSITIVE, SEED, Parser, checked

PROGRAM = "python -m deepnet_runs.train"
DATASETS = ("digits", "mnist", "fashionmnist", "svhn", "cifar10", "stl10")
SMALL_NETWORKS = ("vgg7", "resnet8", "densenet10", "plain7")
NETWORKS = (
    *("vgg11", "vgg13", "resnet18", "resnet34", "resnet50"),
    *("densenet40", "densenet100", "densenet201", "densenet250"),
    *SMALL_NETWORKS,
)
LOSSES = ("mse", "ce", "rescaled-mse")

DESCRIPTION = """\
Train a network on an image data set, and measure NC1 to NC4, the decomposition of the MSE loss and the singular values
of the SNR matrix while it trains."""

EPILOG = """\
loss        mse is L = 1/2 Ave ||W h + b - y||^2 + lambda/2 (||W||^2 + ||b||^2): a sum over classes, so that the weight
            decay of the last layer is the lambda of the decomposition. rescaled-mse gives the true class the weight k
            and the target M (Hui & Belkin 2020), and is decomposed as such; of ce the decomposition is that of mse.
networks    plain7 is vgg7 without batch normalization and without any bias: homogeneous. With --weight-norm every layer
            keeps the Frobenius norm of its weights, except that the last has a free one, rho (Poggio & Liao 2020); the
            weight decay is then of rho alone.
defaults    epochs, learning rate, weight decay and batch size come from the recipe of the data set and network; the
            paper's learning rates, which were tuned for a loss averaged over classes, are converted to this one.
data        digits is part of scikit-learn. The others are read from --data-dir, where --download puts them.
training    balanced classes: 140 a class of digits, 5000 of mnist, 4600 of svhn; --whole trains on all.
records     config.json, measurements.jsonl (a line a measured epoch: 1 to 14, then ever fewer), checkpoint.pt, which
            --resume goes on from as if nothing had happened, whatever moment the run was ended at, with the same
            options: other --epochs would move the drops of the rate.
robustness  Ave ||r(x)||/||x|| of DeepFool's perturbations r of standardised test images, the same in every run; images
            not flipped in 50 steps are left out of the average and counted.
exit codes  0: trained; 1: the training diverged, or could not go on (a full disk, say); 2: unusable arguments or data,
            and nothing is written; 130: ended by Ctrl-C or SIGTERM.

example     python -m deepnet_runs.train --dataset digits --network resnet8 --loss mse
            torchrun --nproc-per-node 4 -m deepnet_runs.train --dataset cifar10 --network resnet18 --download"""

EPOCHS = checked(int, lambda n: n >= 1, "at least 1 epoch")
IMAGES = checked(int, lambda n: n >= 1, "at least 1 image")
BATCH = checked(int, lambda n: n >= 2, "at least 2 images in a batch")
DEPTH = checked(int, lambda n: n >= 1, "a whole number from 1 on")
MOMENTUM = checked(float, lambda x: 0 <= x < 1, "a number from 0 to below 1")
RATE = checked(float, lambda x: 0 < x < math.inf, "a positive finite number")
DECAY = checked(float, lambda x: 0 <= x < math.inf, "a finite number >= 0")


def takes(network: str, dataset: str) -> bool:
    """Whether the network is made for images of that size: the digits are too small for a full-size one."""
    return dataset != "digits" or network in SMALL_NETWORKS


def parser() -> Parser:
    """The options, in the groups in which `--help` shows them."""
    p = Parser(PROGRAM, DESCRIPTION, EPILOG)
    what = p.add_argument_group("what")
    datasets = f"{', '.join(DATASETS)} (default: %(default)s)"
    what.add_argument("--dataset", choices=DATASETS, default="digits", metavar="NAME", help=datasets)
    networks = f"{', '.join(NETWORKS)} (default: %(default)s)"
    what.add_argument("--network", choices=NETWORKS, default="resnet8", metavar="NAME", help=networks)
    what.add_argument("--loss", choices=LOSSES, default="mse", help="default: %(default)s")
    what.add_argument("--k", type=POSITIVE, metavar="X", help="weight of the true class, for rescaled-mse")
    what.add_argument("--M", type=POSITIVE, metavar="X", help="target of the true class, for rescaled-mse")
    what.add_argument("--width", type=POSITIVE, default=1.0, metavar="X", help="of a small network, times its own")
    what.add_argument("--depth", type=DEPTH, default=1, metavar="INT", help="of a small network, times its own")
    what.add_argument(
        "--no-batchnorm", action="store_true", help="vgg7 or resnet8 with shifts in the place of BatchNorm"
    )
    what.add_argument("--weight-norm", action="store_true", help="train with the norm of each layer's weights fixed")
    what.add_argument("--whole", action="store_true", help="train on all examples, balanced or not")
    what.add_argument("--random-labels", action="store_true", help="shuffle the training labels")
    what.add_argument("--data-dir", type=Path, default=Path("data"), metavar="DIR", help="of the data (default: data)")
    what.add_argument("--download", action="store_true", help="fetch the data set if it is not there")
    how = p.add_argument_group("recipe")
    how.add_argument("--epochs", type=EPOCHS, metavar="INT", help="measured ones and drops of the rate are scaled")
    how.add_argument("--lr", type=RATE, metavar="X", help="peak learning rate, for the loss as it is defined below")
    how.add_argument("--weight-decay", type=DECAY, metavar="X", help="of every parameter")
    how.add_argument("--lam", type=DECAY, metavar="X", help="of the last layer [W, b] (default: the weight decay)")
    how.add_argument("--momentum", type=MOMENTUM, metavar="X", help="default: 0.9")
    how.add_argument("--constant-rate", action="store_true", default=None, help="no drops of the rate")
    how.add_argument("--batch-size", type=BATCH, metavar="INT", help="of all processes together")
    how.add_argument(
        "--full-batches",
        action=argparse.BooleanOptionalAction,
        help="leave out an epoch's last batch if it is smaller (default: for the digits alone)",
    )
    how.add_argument("--seed", type=SEED, default=0, metavar="INT", help="of weights, order and labels (default 0)")
    where = p.add_argument_group("machine")
    where.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")
    where.add_argument("--amp", action="store_true", help="forward passes of the training in bfloat16")
    where.add_argument("--channels-last", action="store_true", help="memory format of images and weights")
    where.add_argument("--compile", action="store_true", help="compile the network by torch.compile")
    out = p.add_argument_group("output")
    out.add_argument("--output", type=Path, metavar="DIR", help="default: runs/DATASET-NETWORK-LOSS-SEED")
    out.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    out.add_argument("--save-features", action="store_true", help="write features/epoch_0001.npz, ... as measured")
    out.add_argument("--stale-batchnorm", action="store_true", help="measure without estimating BatchNorm's statistics")
    fooled = "measure adversarial robustness on so many test images (the paper: 100)"
    out.add_argument("--robustness", type=IMAGES, metavar="INT", help=fooled)
    out.add_argument("--tensorboard", action="store_true", help="write the rows for TensorBoard too")
    out.add_argument("--dry-run", action="store_true", help="one step and one small measurement, and write nothing")
    out.add_argument("--quiet", action="store_true", help="no table, no progress bar")
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed and checked options; exits with code 2 and one line for what cannot be."""
    p = parser()
    args = p.parse_args(argv)
    if not takes(args.network, args.dataset):
        p.error(
            f"{args.network} does not take the images of {args.dataset}: "
            f"digits (8 x 8) go with {', '.join(SMALL_NETWORKS)}, the others with every network"
        )
    given = [f"--{name}" for name in ("k", "M") if getattr(args, name) is not None]
    if (args.loss == "rescaled-mse") != (len(given) == 2) or (args.loss != "rescaled-mse" and given):
        p.error(f"need --k and --M with --loss rescaled-mse and with no other, got {' '.join([args.loss, *given])}")
    args.k, args.M = (1.0, 1.0) if not given else (args.k, args.M)
    changed = [f"--{name}" for name in ("width", "depth") if getattr(args, name) != 1]
    if changed and args.network not in ("vgg7", "resnet8", "densenet10"):
        p.error(f"{' '.join(changed)} needs vgg7, resnet8 or densenet10, got {args.network}")
    if args.no_batchnorm and args.network not in ("vgg7", "resnet8"):
        p.error(f"--no-batchnorm needs vgg7 or resnet8, got {args.network}")
    if args.dry_run and args.resume:
        p.error("--dry-run starts anew, --resume goes on: give one of them")
    if args.output is None:
        args.output = Path("runs") / f"{args.dataset}-{args.network}-{args.loss}-{args.seed}"
    return args
