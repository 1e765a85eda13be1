"""Neural collapse of the three small networks on the embedded digits: three seeds each, against bounds.

    python benchmarks/deepnet_digits.py
    python benchmarks/deepnet_digits.py --seeds 5 --epochs 60

Every run is `python -m deepnet_runs.train --dataset digits --loss mse` in a process of its own with one thread; two at
a time. Printed are, over the seeds, smallest, median and largest of

    NC1               tr(Sigma_W Sigma_B^+)/C of the training features, last epoch
    perp/LS           L_LS_perp/(L_NC1 + L_NC2/3), its largest value in the measured epochs after the last drop
    self-duality      of classifier and class means, last epoch
    test error        last epoch
    zero error        first measured epoch without a training error
    identity          largest relative residual of L = L_NC1 + L_NC2/3 + L_LS_perp over all rows

Exit code 1 if a run is beyond a bound.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

BOUNDS = {"NC1": 1e-3, "perp/LS": 0.1, "self-duality": 0.1, "test error": 0.01, "identity": 1e-12}
OWN_BOUNDS = {("densenet10", "NC1"): 5e-3}
NETWORKS = ("vgg7", "resnet8", "densenet10")
FORMS = {"NC1": ".1e", "perp/LS": ".3f", "self-duality": ".3f", "test error": ".2%", "zero error": ".0f"}
FORMS |= {"identity": ".0e"}


def train(network: str, seed: int, epochs: int | None, folder: Path) -> list[dict]:
    """The rows of a run.

    Raises:
        RuntimeError: if it fails.
    """
    command = [sys.executable, "-m", "deepnet_runs.train", "--dataset", "digits", "--network", network, "--loss", "mse"]
    command += ["--seed", str(seed), "--device", "cpu", "--quiet", "--output", str(folder)]
    command += ["--epochs", str(epochs)] if epochs else []
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{network}, seed {seed}, exit code {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]


def numbers(rows: list[dict]) -> dict[str, float]:
    """What is printed of a run."""
    last = rows[-1]
    settled = [row for row in rows if row["lr"] == last["lr"]]
    clean = [row["epoch"] for row in rows if row["train_error"] == 0]
    return {
        "NC1": last["nc1_train"],
        "perp/LS": max(row["loss_ls_perp"] / (row["loss_nc1"] + row["loss_nc23"]) for row in settled),
        "self-duality": last["self_duality_train"],
        "test error": last["test_error"],
        "zero error": clean[0] if clean else math.nan,
        "identity": max(
            abs(row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"] - row["loss"]) / row["loss"] for row in rows
        ),
    }


def main() -> int:
    """Train and print; 1 if a bound fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=3, help="from 0 (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    args = parser.parse_args()
    cells = [(network, seed) for network in NETWORKS for seed in range(args.seeds)]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(train, *cell, args.epochs, Path(name) / "-".join(map(str, cell))) for cell in cells]
        found = dict(zip(cells, (run.result() for run in runs), strict=True))
    epochs = {rows[-1]["epoch"] for rows in found.values()}
    print(f"digits, mse, {' or '.join(map(str, sorted(epochs)))} epochs, seeds 0 to {args.seeds - 1}")
    print(f"{'network':10}  {'quantity':12}  {'min':>7}  {'median':>7}  {'max':>7}  bound")
    failed = False
    for network in NETWORKS:
        table = [numbers(found[network, seed]) for seed in range(args.seeds)]
        for key, form in FORMS.items():
            values = [row[key] for row in table]
            bound = OWN_BOUNDS.get((network, key), BOUNDS.get(key))
            holds = bound is None or max(values) <= bound
            failed |= not holds
            line = "  ".join(f"{value:{form}}".rjust(7) for value in (min(values), np.median(values), max(values)))
            verdict = "" if bound is None else f"{bound:g}: {'holds' if holds else 'FAILS'}"
            print(f"{network:10}  {key:12}  {line}  {verdict}".rstrip())
    print("a bound fails" if failed else "every bound holds")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
