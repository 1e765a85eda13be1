"""Train a network and measure its neural collapse while it trains.

    python -m deepnet_runs.train --dataset digits --network resnet8 --loss mse
    torchrun --nproc-per-node 2 -m deepnet_runs.train --dataset cifar10 --network resnet18 --loss mse

The loss `mse` is the paper's, L = 1/2 Ave ||W h + b - y||^2 + lambda/2 (||W||^2 + ||b||^2), summed over classes, whose
weight decay is the optimiser's own; so the lambda of the decomposition is the one that is trained with. Writes
config.json, measurements.jsonl, checkpoint.pt and, on request, features and weights; `--help` says the rest.

Source: Han, Papyan & Donoho (2022), Eq. 2, Appendix A.3.
"""

import os
import sys
import time
from collections.abc import Sequence

from central_path.cli.program import INTERRUPTED, run_program
from deepnet_runs.storage.row import Row
from deepnet_runs.training.config import Execution, TrainConfig
from deepnet_runs.training.options import PROGRAM, parse
from deepnet_runs.training.run import TrainOutcome, attempt, is_primary

COLUMNS = {
    "epoch": "d",
    "loss": ".2e",
    "loss_nc1": ".2e",
    "loss_nc23": ".2e",
    "loss_ls_perp": ".2e",
    "nc1_train": ".2e",
    "equinorm_means_train": ".3f",
    "self_duality_train": ".3f",
    "train_error": ".2%",
    "test_error": ".2%",
}


def table(rows: Sequence[Row]) -> str:
    """The measured epochs, eight of them at most."""
    shown = [rows[i] for i in sorted({round(j * (len(rows) - 1) / 7) for j in range(8)})]
    heads = [key.removesuffix("_train") for key in COLUMNS]
    cells = [heads, *([format(getattr(row, key), form) for key, form in COLUMNS.items()] for row in shown)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    started = time.perf_counter()
    config, execution = parse(argv)
    outcome = attempt(config, execution)
    print_failure(outcome)
    if outcome.code == 0 and is_primary() and not execution.quiet:
        say(config, execution, outcome.rows, time.perf_counter() - started)
    return outcome.code


def print_failure(outcome: TrainOutcome) -> None:
    """A line on stderr if the training has not reached its end; of a divergence, which all processes see, one says it.

    An error of one process alone is said by that process.
    """
    if not outcome.message or (outcome.diverged and not is_primary()):
        return
    error = "" if outcome.diverged or outcome.code == INTERRUPTED else "error: "
    print(f"{PROGRAM}: {error}{outcome.message}", file=sys.stderr)


def say(config: TrainConfig, execution: Execution, rows: Sequence[Row], seconds: float) -> None:
    """The table printed at the end of a run, on stdout."""
    done = "nothing written (dry run)" if execution.dry_run else f"{seconds:.0f} s; results in {execution.output}"
    text = f"{config.network} on {config.dataset}, {config.loss}, seed {config.seed}: {done}"
    try:
        print(f"{table(rows)}\n\n{text}" if rows else text, flush=True)
    except OSError:  # a reader that has left, a full disk behind it: the results are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run_program(main)
