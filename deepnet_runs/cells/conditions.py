"""What could decide whose law a network follows, as fields of `TrainConfig`, one change at a time.

Each condition differs from `base`, the recipe as it is, by what its name says, and by as many epochs as it then takes
to leave the training errors behind: a full batch is one step an epoch, and without momentum a step is a tenth as long.
Without BatchNorm the recipe's rate and decay leave training errors to the end, so both are lower there. `smooth` takes
away noise, decay and the drops of the rate at once, in a network of half the width; `gradient-flow` momentum too. That
and the widest networks take ten times as long and more, and are left out unless they are named.
"""

from collections.abc import Mapping
from typing import Any

VARIED = "resnet8"  # the network that they are about
SMOOTH = {"batch_size": 1400, "weight_decay": 0.0, "constant_rate": True, "width": 0.5}

CONDITIONS: dict[str, Mapping[str, Any]] = {
    "base": {},
    "full-batch": {"batch_size": 1400, "epochs": 600},
    "no-decay": {"weight_decay": 0.0},
    "constant-rate": {"constant_rate": True},
    "no-momentum": {"momentum": 0.0, "epochs": 400},
    "no-batchnorm": {"no_batchnorm": True, "lr": 0.05, "weight_decay": 5e-4},
    "ce": {"loss": "ce"},
    "random-labels": {"random_labels": True, "epochs": 400},
    "quarter": {"width": 0.25},
    "narrow": {"width": 0.5},
    "wide": {"width": 2.0},
    "deep": {"depth": 2},
    "vgg7": {"network": "vgg7"},
    "densenet10": {"network": "densenet10"},
    "smooth": SMOOTH | {"epochs": 400},
    "width-4": {"width": 4.0},
    "width-8": {"width": 8.0},
    "gradient-flow": SMOOTH | {"momentum": 0.0, "epochs": 5000},  # omega grow tenfold
}
LONG = ("width-4", "width-8", "gradient-flow")
USUAL = tuple(name for name in CONDITIONS if name not in LONG)
