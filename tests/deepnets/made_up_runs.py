"""Records of runs that never were: numbers that are plainly made up, in the files of a real run."""

import json

import numpy as np

from deepnet_runs.paper.experiments import grouped
from deepnet_runs.storage import runs
from deepnet_runs.training.recipes import PUBLISHED_MSE, measured_epochs, recipe

EPOCHS = 30
START = {  # of each quantity, and how fast it decays with the epoch, at different rates so that no two are alike
    "loss_nc1": (0.3, 0.10),
    "loss_nc23": (0.2, 0.30),
    "loss_ls_perp": (0.1, 0.22),
    "nc1_train": (2.0, 0.25),
    "nc1_test": (2.5, 0.05),
    "self_duality_train": (1.4, 0.12),
    "equinorm_means_train": (0.5, 0.11),
    "equinorm_classifier": (0.2, 0.07),
    "equiangularity_means_train": (0.4, 0.13),
    "equiangularity_classifier": (0.3, 0.08),
    "max_angle_means_train": (0.35, 0.14),
    "max_angle_classifier": (0.25, 0.06),
    "ncc_mismatch_test": (0.6, 0.2),
    "test_error": (0.4, 0.1),
}


def rows(*, seed=0, clean_from=9, factor=1.0, epochs=EPOCHS, robustness=False):
    """Rows of a run without a training error from an epoch on; seeds and factors scale everything."""
    made = []
    for epoch in measured_epochs(epochs):
        scale = factor * (1 + 0.1 * seed)
        row = {key: start * scale * float(np.exp(-rate * epoch)) for key, (start, rate) in START.items()}
        row["loss"] = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
        if robustness:
            row["robustness"] = 0.01 * scale * epoch
        made.append({"epoch": epoch, "train_error": 0.0 if epoch >= clean_from else 0.1, **row})
    return made


def write(folder, network="resnet8", *, dataset="digits", loss="mse", seed=0, made=None, **changes):
    """A run's folder: the recipe with changes in config.json, and rows in measurements.jsonl."""
    folder.mkdir(parents=True)
    plain = recipe(dataset, network, "mse" if loss == "rescaled-mse" else loss)
    config = {"dataset": dataset, "network": network, "loss": loss, "seed": seed, "weight_norm": False}
    config |= plain._asdict() | {"lam": plain.weight_decay, "epochs": EPOCHS, "device": "cpu"} | changes
    (folder / "config.json").write_text(json.dumps(config))
    lines = rows(seed=seed) if made is None else made
    (folder / "measurements.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in lines))
    return folder


def paper_grid(folder, *, seeds=2, epochs=EPOCHS):
    """The paper's fifteen pairs, MSE and CE, CE slower and less robust."""
    for i, (dataset, network) in enumerate(PUBLISHED_MSE):
        for loss, factor in (("mse", 1.0), ("ce", 3.0)):
            for seed in range(seeds):
                made = rows(seed=seed, clean_from=4 + i, factor=factor * (1 + i / 15), epochs=epochs, robustness=True)
                name = f"{dataset}-{network}-{loss}-{seed}"
                write(folder / name, network, dataset=dataset, loss=loss, seed=seed, made=made, epochs=epochs)
    return folder


def read(*folders):
    """The cells of runs in and below folders, as the figures take them."""
    return grouped([runs.read(folder) for folder in runs.within(folders)])[0]
