"""How each network is trained on each data set: recipes as data.

The paper trains with SGD, momentum 0.9, weight decay 5e-4, batches of 128, 350 epochs, and the learning rate divided by
10 at a third and two thirds of them. Its learning rates were tuned for `torch.nn.MSELoss`, which averages over the C
classes too: it is (2/C) L. The same path with L takes the learning rate times 2/C and the weight decay times C/2.
Other data sets have the same recipes, with the conversion of ten classes: L is a sum over the classes, and the rate up
to which its least squares are stable does not depend on their number.

The last partial batch of an epoch is kept, but for the digits, where it would be one of eleven and noisier than they.

Source: Han, Papyan & Donoho (2022), Appendix A.3; Papyan, Han & Donoho (2020); for the digits, this project.
"""

import math
from typing import NamedTuple

CLASSES = 10  # of the paper's data sets, for which its rates are converted

MEASURED = (
    *range(1, 15),
    *(16, 17, 19, 20, 22, 24, 27, 29, 32, 35, 38, 42, 45, 50, 54, 59, 65, 71, 77, 85, 92, 101, 110, 121, 132, 144, 158),
    *(172, 188, 206, 225, 245, 268, 293, 320, 350),
)

PUBLISHED_MSE = {  # best learning rates for torch.nn.MSELoss, of 25 from 1e-4 to 0.25
    ("mnist", "vgg11"): 0.025519618,
    ("mnist", "resnet18"): 0.018420157,
    ("mnist", "densenet40"): 0.025519618,
    ("fashionmnist", "vgg11"): 0.018420157,
    ("fashionmnist", "resnet18"): 0.094015077,
    ("fashionmnist", "densenet250"): 0.009596916,
    ("svhn", "vgg13"): 0.018420157,
    ("svhn", "resnet34"): 0.009596916,
    ("svhn", "densenet40"): 0.013295740,
    ("cifar10", "vgg11"): 0.025519618,
    ("cifar10", "resnet50"): 0.009596916,
    ("cifar10", "densenet100"): 0.048981924,
    ("stl10", "vgg11"): 0.018420157,
    ("stl10", "resnet18"): 0.06786044,
    ("stl10", "densenet201"): 0.001880302,
}
PUBLISHED_CE = {("mnist", "resnet18"): 0.0679, ("cifar10", "resnet18"): 0.13025}
OTHERWISE = 0.018420157  # the median of the published ones, for pairs that the paper does not have

SMALL_NETWORKS = ("vgg7", "resnet8", "densenet10", "plain7")
SMALL_RATE = 0.1  # at the median rate small networks are far from fitting 400 images a class after 50 epochs

DIGITS_EPOCHS = {"vgg7": 120, "resnet8": 120, "densenet10": 200}  # until the classifier is dual to the means


class DivergenceError(Exception):
    """The loss is no longer finite."""


class Recipe(NamedTuple):
    """Learning rate and weight decay are for L as this project defines it."""

    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    momentum: float
    warmup_steps: int  # linear, from 0: the last layer is least squares and diverges at a rate too high for its start
    full_batches: bool = False  # leave out an epoch's last batch if it is smaller than the others
    constant_rate: bool = False  # no drops

    def steps_per_epoch(self, n: int) -> int:
        """Batches of an epoch over n examples; a set smaller than a batch is one batch."""
        return max(1, n // self.batch_size) if self.full_batches else -(-n // self.batch_size)


def recipe(dataset: str, network: str, loss: str, *, k: float = 1.0, M: float = 1.0) -> Recipe:
    """The recipe of a pair; for the rescaled loss the rate of `mse` is divided by the growth of the gradient."""
    if loss == "rescaled-mse":
        plain = recipe(dataset, network, "mse")
        return plain._replace(lr=plain.lr / (M * (1 + (k - 1) / CLASSES)))
    if dataset == "digits":
        epochs = DIGITS_EPOCHS.get(network, 120)
        rate = SMALL_RATE
        return Recipe(epochs, rate, weight_decay=5e-3, batch_size=128, momentum=0.9, warmup_steps=30, full_batches=True)
    if loss == "ce":
        rate, decay = PUBLISHED_CE.get((dataset, network), OTHERWISE), 5e-4
    else:
        rate, decay = PUBLISHED_MSE.get((dataset, network), OTHERWISE) * 2 / CLASSES, 5e-4 * CLASSES / 2
    rate = SMALL_RATE if network in SMALL_NETWORKS else rate
    return Recipe(350, rate, weight_decay=decay, batch_size=128, momentum=0.9, warmup_steps=30)


def measured_epochs(epochs: int) -> tuple[int, ...]:
    """The paper's epochs, log-spaced from 1 to 350, scaled to another number of them (ends included)."""
    power = math.log(epochs) / math.log(MEASURED[-1])
    return tuple(sorted({min(epochs, max(1, round(epoch**power))) for epoch in MEASURED}))


def rate_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step (from 0): linear warm-up, then divided by 10 at 1/3 and 2/3 of the epochs.

    The first epoch is before every drop, however few there are. With a constant rate there is only the warm-up.
    """
    warm = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    if recipe.constant_rate:
        return recipe.lr * warm
    epoch = step // steps_per_epoch
    drops = sum(epoch >= max(1, round(recipe.epochs * share)) for share in (1 / 3, 2 / 3))
    return recipe.lr * warm * 10.0**-drops


def summed_rate(recipe: Recipe, epoch: int, steps_per_epoch: int) -> float:
    """Sum of the learning rates of all steps up to the end of an epoch: the time of a gradient flow, to first order."""
    return math.fsum(rate_at(recipe, step, steps_per_epoch) for step in range(epoch * steps_per_epoch))
