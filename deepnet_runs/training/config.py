"""The configuration of a run: options are parsed into it once, and conditions are differences of it.

`TrainConfig` holds what the measured rows depend on, `Execution` where and how a run is carried out. Neither needs
PyTorch.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from deepnet_runs.datasets.registry import SETS
from deepnet_runs.training.recipes import SMALL_NETWORKS, Recipe, recipe

DATASETS = tuple(SETS)
NETWORKS = (
    *("vgg11", "vgg13", "resnet18", "resnet34", "resnet50"),
    *("densenet40", "densenet100", "densenet201", "densenet250"),
    *SMALL_NETWORKS,
)
TORCHVISION = "torchvision:"  # before the name of one of its classification models
SMALLEST, SMALLEST_FULL_SIZE = 8, 32  # pixels a side that the small networks take, and the paper's
LOSSES = ("mse", "ce", "rescaled-mse")
SCALED = ("vgg7", "resnet8", "densenet10")  # networks whose width and depth can be changed
WITHOUT_BATCHNORM = ("vgg7", "resnet8")
NAMED = ("dataset", "network", "loss", "seed")  # fields that name a run, with its condition or learning rate


def takes(network: str, dataset: str) -> bool:
    """Whether the network is made for images of that size: the digits are too small for a full-size one."""
    return dataset != "digits" or network not in NETWORKS or network in SMALL_NETWORKS


def padded_size(network: str) -> int:
    """Height and width to which smaller images are padded for the network: 32 for the paper's, 0 (not) for others."""
    return SMALLEST_FULL_SIZE if network in NETWORKS and network not in SMALL_NETWORKS else 0


def checked_network(text: str) -> str:
    """The name of a network.

    Raises:
        ValueError: for a name that is none, of torchvision's models too where torchvision is installed.
    """
    if text.startswith(TORCHVISION):
        try:
            from deepnet_runs.networks.library import check_name  # imports torchvision, only where it is named
        except ImportError as error:
            raise ValueError(f"{text} needs torchvision ({error}): pip install 'central-path[deepnets]'") from error
        check_name(text.removeprefix(TORCHVISION))
    elif text not in NETWORKS:
        raise ValueError(f"need one of {', '.join(NETWORKS)}, or {TORCHVISION}NAME, got {text}")
    return text


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that the measured rows of a run depend on; its fields are keys of config.json, in their order.

    The recipe of data set, network and loss gives the fields that have no default here: see `from_recipe`.

    Attributes:
        dataset: the data set, one of `DATASETS` or folder:PATH.
        network: the network, one of `NETWORKS` or torchvision:NAME.
        width: factor of the widths of a small network.
        depth: factor of the depth of a small network.
        no_batchnorm: shifts in the place of batch normalization.
        weight_norm: the norm of each layer's weights is fixed.
        loss: the loss, one of `LOSSES`.
        k: weight of the true class in rescaled-mse, 1 otherwise.
        M: target of the true class in rescaled-mse, 1 otherwise.
        seed: of weights, order and labels.
        whole: train on all examples, balanced or not.
        per_class: number of training images of each class; None: that of the data set.
        test_per_class: number of test images of each class; None: all.
        image_size: height and width to which images are resized; None: as they are.
        random_labels: shuffle the training labels.
        amp: forward passes of the training in bfloat16.
        channels_last: memory format of images and weights.
        compile: compile the network by torch.compile.
        stale_batchnorm: measure without estimating the statistics of batch normalization anew.
        robustness: number of test images on which adversarial robustness is measured; None: it is not.
        epochs: passes through the training set.
        lr: peak learning rate, for the loss as this project defines it.
        weight_decay: of every parameter but those of the last layer.
        batch_size: images in a batch, of all processes together.
        momentum: of SGD.
        warmup_steps: steps in which the learning rate grows linearly from 0.
        full_batches: leave out an epoch's last batch if it is smaller than the others.
        constant_rate: no drops of the learning rate.
        lam: weight decay of the last layer [W, b], which is the lambda of the decomposition.

    Raises:
        ValueError: for a network that the data set or a variant does not go with.
    """

    dataset: str = "digits"
    network: str = "resnet8"
    width: float = 1.0
    depth: int = 1
    no_batchnorm: bool = False
    weight_norm: bool = False
    loss: str = "mse"
    k: float = 1.0
    M: float = 1.0
    seed: int = 0
    whole: bool = False
    per_class: int | None = None
    test_per_class: int | None = None
    image_size: int | None = None
    random_labels: bool = False
    amp: bool = False
    channels_last: bool = False
    compile: bool = False
    stale_batchnorm: bool = False
    robustness: int | None = None
    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    momentum: float
    warmup_steps: int
    full_batches: bool
    constant_rate: bool
    lam: float

    def __post_init__(self) -> None:
        if not takes(self.network, self.dataset):
            raise ValueError(
                f"{self.network} does not take the images of {self.dataset}: "
                f"digits (8 x 8) go with {', '.join(SMALL_NETWORKS)}, the others with every network"
            )
        if self.whole and self.per_class is not None:
            raise ValueError(f"--whole trains on all images, --per-class on {self.per_class} a class: give one of them")
        changed = [f"--{name}" for name in ("width", "depth") if getattr(self, name) != 1]
        if changed and self.network not in SCALED:
            raise ValueError(f"{' '.join(changed)} needs vgg7, resnet8 or densenet10, got {self.network}")
        if self.no_batchnorm and self.network not in WITHOUT_BATCHNORM:
            raise ValueError(f"--no-batchnorm needs vgg7 or resnet8, got {self.network}")

    @classmethod
    def from_recipe(cls, **given: Any) -> "TrainConfig":
        """The recipe of data set, network and loss with the given fields; lambda is the weight decay by default.

        Raises:
            ValueError: for fields that do not go together.
        """
        loss = given.get("loss", cls.loss)
        weights = [f"--{name}" for name in ("k", "M") if name in given]
        if len(weights) != (2 if loss == "rescaled-mse" else 0):
            raise ValueError(
                f"need --k and --M with --loss rescaled-mse and with no other, got {' '.join([loss, *weights])}"
            )
        pair = given.get("dataset", cls.dataset), given.get("network", cls.network)
        chosen = recipe(*pair, loss, k=given.get("k", cls.k), M=given.get("M", cls.M))
        filled = chosen._asdict() | given
        return cls(**{"lam": filled["weight_decay"]} | filled)

    @property
    def recipe(self) -> Recipe:
        """The fields by which the optimiser and its schedule are set."""
        return Recipe(**{name: getattr(self, name) for name in Recipe._fields})

    def differences(self) -> dict[str, Any]:
        """The fields that name the run, and those that differ from its recipe's.

        `from_recipe` makes the same configuration of them.
        """
        rescaled = ("k", "M") if self.loss == "rescaled-mse" else ()
        named = {name: getattr(self, name) for name in (*NAMED, *rescaled)}
        usual = TrainConfig.from_recipe(**named).to_dict() | {"lam": self.weight_decay}
        return named | {name: value for name, value in self.to_dict().items() if value != usual[name]}

    def to_dict(self) -> dict[str, Any]:
        """The keys of config.json that do not depend on data and machine."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where and how a run is carried out: nothing that changes its rows.

    Attributes:
        data_dir: folder of the data sets.
        download: fetch the data set if it is not there.
        device: auto, cpu or cuda.
        output: folder of the records.
        resume: go on from the checkpoint in the output folder.
        save_features: write the features of every measured epoch.
        save_weights: write the network's weights at every measured epoch.
        field: make the field test at every measured epoch.
        tensorboard: write the rows for TensorBoard too.
        dry_run: one step and one small measurement, and nothing written.
        quiet: no table and no progress bar.

    Raises:
        ValueError: for a dry run that is to resume another run.
    """

    data_dir: Path = Path("data")
    download: bool = False
    device: str = "auto"
    output: Path
    resume: bool = False
    save_features: bool = False
    save_weights: bool = False
    field: bool = False
    tensorboard: bool = False
    dry_run: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.dry_run and self.resume:
            raise ValueError("--dry-run starts anew, --resume goes on: give one of them")

    def differences(self) -> dict[str, Any]:
        """The output folder, and what is not the default."""
        usual = Execution(output=self.output)
        changed = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: v for name, v in changed.items() if name == "output" or v != getattr(usual, name)}


CONFIGURED = tuple(field.name for field in fields(TrainConfig))
EXECUTED = tuple(field.name for field in fields(Execution))
