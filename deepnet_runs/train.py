"""Train a network and measure its neural collapse while it trains.

    python -m deepnet_runs.train --dataset digits --network resnet8 --loss mse
    torchrun --nproc-per-node 2 -m deepnet_runs.train --dataset cifar10 --network resnet18 --loss mse

The loss `mse` is the paper's, L = 1/2 Ave ||W h + b - y||^2 + lambda/2 (||W||^2 + ||b||^2), summed over classes, whose
weight decay is the optimiser's own; so the lambda of the decomposition is the one that is trained with. Writes
config.json, measurements.jsonl, checkpoint.pt and, on request, features; `--help` says the rest.

Source: Han, Papyan & Donoho (2022), Eq. 2, Appendix A.3.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from central_path.program import INTERRUPTED, on_terminal, run_program, set_up_jax, shown
from deepnet_runs.options import PROGRAM, parse
from deepnet_runs.recipes import DivergenceError, Recipe, measured_epochs, recipe
from deepnet_runs.records import StoppedError, check_destination, check_output, held

if TYPE_CHECKING:
    from deepnet_runs.data import DataSet
    from deepnet_runs.trainer import Trainer

GIVEN = ("epochs", "lr", "weight_decay", "batch_size", "momentum", "full_batches", "constant_rate")  # over the recipe
CHECKPOINT_SECONDS = 30.0  # at most between two of them, beside one for each row


def config_of(args: argparse.Namespace) -> tuple[dict[str, Any], Recipe]:
    """Everything that the rows depend on, and the recipe with the options applied."""
    chosen = recipe(args.dataset, args.network, args.loss, k=args.k, M=args.M)
    given = {key: getattr(args, key) for key in GIVEN}
    chosen = chosen._replace(**{key: value for key, value in given.items() if value is not None})
    lam = chosen.weight_decay if args.lam is None else args.lam
    what = ("dataset", "network", "width", "depth", "no_batchnorm", "weight_norm", "loss", "k", "M")
    data = ("seed", "whole", "random_labels")
    how = ("amp", "channels_last", "compile", "stale_batchnorm", "robustness")
    return {name: getattr(args, name) for name in what + data + how} | chosen._asdict() | {"lam": lam}, chosen


def run(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Train as the options say, in a folder that is `reserved`; the rows.

    Raises:
        ValueError: for unusable options, data or checkpoints, before anything is written.
        DivergenceError: if the loss is not finite any more.
        StoppedError: if a training that has begun cannot go on.
    """
    with shown("loading the libraries", silent=args.quiet or not is_primary()):
        set_up_jax()
        import torch

        from deepnet_runs import records
        from deepnet_runs.trainer import Trainer

    if args.dataset == "digits" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # more only wait for each other
    writer = board_writer() if args.tensorboard else None
    config, chosen = config_of(args)
    device = choose_device(args.device)
    state = records.read_checkpoint(args.output, config) if args.resume else None
    trainer = Trainer(config, chosen, load_data(args), device, compiled=args.compile, state=state)
    if args.dry_run:
        trainer.dry_run()
        return []
    if is_primary() and state is None:
        records.write_config(args.output, trainer.config | {"versions": versions(), "device": str(device)})
    try:
        board = None
        if is_primary():
            records.clear_unfinished(args.output)
            records.write_rows(args.output, trainer.rows)
            if writer:
                board = writer(str(args.output / "tensorboard"), purge_step=trainer.epoch + 1)
        train(trainer, args, board)
        if board:
            board.close()
    except DivergenceError as error:
        if is_primary():
            records.write_failure(args.output, str(error))
        raise
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        raise StoppedError(" ".join(str(error).split()) or type(error).__name__) from error
    return trainer.rows


@contextmanager
def reserved(args: argparse.Namespace) -> Iterator[None]:
    """The output folder for this run alone, from before anything in it is judged until the run has ended.

    Raises:
        ValueError: for a folder that cannot be used, that another run writes to, or that holds another run.
    """
    if args.dry_run:
        yield
        return
    check_destination(args.output, ())
    with held(args.output) if is_primary() else nullcontext():
        check_output(args.output, resume=args.resume)
        yield


def load_data(args: argparse.Namespace) -> "DataSet":
    """The data set that the options ask for; of several processes the first downloads it, before the others read."""
    from torch import distributed as dist

    from deepnet_runs import data

    if args.download and not is_primary():
        dist.barrier()
    seed = args.seed if args.random_labels else None
    options = {"download": args.download, "whole": args.whole, "random_labels_seed": seed}
    images = data.load(args.dataset, args.data_dir, **options)
    if args.download and is_primary() and dist.is_initialized():
        dist.barrier()
    return images


def train(trainer: "Trainer", args: argparse.Namespace, board: Any) -> None:
    """The epochs that are left; each measured one leaves a row, and each checkpoint what a resumed run needs."""
    from tqdm import tqdm

    from deepnet_runs import records

    epochs, primary = trainer.recipe.epochs, is_primary()
    measured, saved = measured_epochs(epochs), time.monotonic()
    silent = args.quiet or not primary or not on_terminal()
    bar = tqdm(total=epochs, initial=trainer.epoch, desc="epochs", file=sys.stderr, leave=False, disable=silent)
    with bar:
        while trainer.epoch < epochs:
            trainer.train_epoch()
            row = None
            if trainer.epoch in measured:
                row, seen = trainer.measure()
                if args.save_features:
                    features, labels = trainer.gathered(seen)
                    if primary:
                        records.write_features(args.output, trainer.epoch, features, labels)
            if primary and (row or time.monotonic() - saved > CHECKPOINT_SECONDS):
                records.write_checkpoint(args.output, trainer.state())
                saved = time.monotonic()
            if primary and row:
                records.append_row(args.output, row)
                write_board(board, row)
            bar.update()


def is_primary() -> bool:
    """Whether this is the process that writes: the only one, or torchrun's first."""
    return int(os.environ.get("RANK", "0")) == 0


def choose_device(name: str) -> Any:
    """The device, and the process group of torchrun.

    Raises:
        ValueError: for cuda where there is none, or fewer devices than processes.
    """
    import torch
    from torch import distributed as dist

    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("Need a CUDA device for --device cuda, got none: give --device cpu.")
    cuda = name != "cpu" and torch.cuda.is_available()
    processes, local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if cuda and processes > torch.cuda.device_count():
        raise ValueError(
            f"Need a CUDA device for each process, got {torch.cuda.device_count()} for {processes}: "
            "lower --nproc-per-node, or give --device cpu."
        )
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return device


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that make the numbers."""
    from importlib.metadata import version

    from central_path.report import versions as core

    return core() | {name: version(name) for name in ("torch", "torchvision", "scikit-learn")}


def board_writer() -> Any:
    """The class that writes for TensorBoard.

    Raises:
        ValueError: if tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "Need the package tensorboard for --tensorboard, got none: pip install tensorboard."
        ) from error
    return SummaryWriter


def write_board(board: Any, row: dict[str, Any]) -> None:
    """The numbers of a row, by epoch."""
    if board is not None:
        for key, value in row.items():
            if isinstance(value, float) and value == value:
                board.add_scalar(key, value, row["epoch"])
        board.flush()


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


def table(rows: list[dict[str, Any]]) -> str:
    """The measured epochs, eight of them at most."""
    shown = [rows[i] for i in sorted({round(j * (len(rows) - 1) / 7) for j in range(8)})]
    heads = [key.removesuffix("_train") for key in COLUMNS]
    cells = [heads, *([format(row[key], form) for key, form in COLUMNS.items()] for row in shown)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def leave_group() -> None:
    """Leave the process group after everybody is done; a backend may abort in a process that ends while in it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        gc.collect()  # DistributedDataParallel, which holds on to the group
        distributed.destroy_process_group()


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # JAX sees class statistics alone; the device is torch's
    started = time.perf_counter()
    args = parse(argv)
    try:
        with reserved(args):
            rows, diverged = run(args), None
    except DivergenceError as error:  # on every process at the same epoch
        rows, diverged = [], str(error)
    except StoppedError as error:
        print(f"{PROGRAM}: error: {error}; {_how_to_go_on(args)}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"{PROGRAM}: error: {error}: pip install 'central-path[deepnets]'", file=sys.stderr)
        return 2
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; {_how_to_go_on(args)}", file=sys.stderr)
        return INTERRUPTED
    leave_group()
    if is_primary() and diverged:
        print(f"{PROGRAM}: {diverged}", file=sys.stderr)
    elif is_primary() and not args.quiet:
        say(args, rows, time.perf_counter() - started)
    return 1 if diverged else 0


def _how_to_go_on(args: argparse.Namespace) -> str:
    left = (args.output / "checkpoint.pt").is_file() and not args.dry_run
    return "--resume goes on from the last checkpoint" if left else "no checkpoint yet"


def say(args: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> None:
    """The closing table on stdout."""
    done = "nothing written (dry run)" if args.dry_run else f"{seconds:.0f} s; results in {args.output}"
    text = f"{args.network} on {args.dataset}, {args.loss}, seed {args.seed}: {done}"
    try:
        print(f"{table(rows)}\n\n{text}" if rows else text, flush=True)
    except OSError:  # a reader that has left, a full disk behind it: the results are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run_program(main)
