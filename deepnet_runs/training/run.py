"""Carry out a training: the folder of its records, the device, the epochs, and how it ended.

`attempt` is what the command `deepnet_runs.train` and the processes of a grid call.
"""

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from central_path.cli.program import INTERRUPTED, on_terminal, set_up_jax, shown
from deepnet_runs.storage import records
from deepnet_runs.storage.records import StoppedError, check_destination, check_output, held
from deepnet_runs.storage.row import Row
from deepnet_runs.training.config import Execution, TrainConfig
from deepnet_runs.training.recipes import DivergenceError, measured_epochs

if TYPE_CHECKING:
    from deepnet_runs.datasets.data import DataSet
    from deepnet_runs.dynamics.live_field import LiveField
    from deepnet_runs.training.trainer import Trainer

CHECKPOINT_SECONDS = 30.0  # at most between two of them, beside one for each row
TRAINED, FAILED, REFUSED = 0, 1, 2  # exit codes, beside INTERRUPTED


@dataclass(frozen=True)
class TrainOutcome:
    """How a training ended.

    Attributes:
        code: the exit code: 0 trained, 1 diverged or could not go on, 2 refused, 130 interrupted.
        message: why, in a sentence; empty if it was trained.
        diverged: whether the loss was not finite any more.
        rows: the measured epochs, if it was trained.
    """

    code: int
    message: str = ""
    diverged: bool = False
    rows: list[Row] = field(default_factory=list)


def attempt(config: TrainConfig, execution: Execution) -> TrainOutcome:
    """Train, in a folder that no other run writes to meanwhile; every error of data, disk or libraries is an outcome.

    What is printed on the way is a progress bar on a terminal, and warnings on stderr.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # JAX sees class statistics alone; the device is torch's
    try:
        with reserved(execution):
            ended = TrainOutcome(TRAINED, rows=run(config, execution))
    except DivergenceError as error:  # on every process at the same epoch
        ended = TrainOutcome(FAILED, str(error), diverged=True)
    except StoppedError as error:
        return TrainOutcome(FAILED, f"{error}; {_how_to_go_on(execution)}")
    except ImportError as error:
        return TrainOutcome(REFUSED, f"{error}: pip install 'central-path[deepnets]'")
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        return TrainOutcome(REFUSED, _sentence(error))
    except KeyboardInterrupt:
        return TrainOutcome(INTERRUPTED, f"interrupted; {_how_to_go_on(execution)}")
    leave_group()
    return ended


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _how_to_go_on(execution: Execution) -> str:
    left = (execution.output / "checkpoint.pt").is_file() and not execution.dry_run
    return "--resume continues from the last checkpoint" if left else "no checkpoint yet"


def run(config: TrainConfig, execution: Execution) -> list[Row]:
    """Train in a folder that is `reserved`; the rows.

    Raises:
        ValueError: for unusable options, data or checkpoints, before anything is written.
        DivergenceError: if the loss is not finite any more.
        StoppedError: if a training that has begun cannot go on.
    """
    # Libraries, data and checkpoint: what fails here is refused, and nothing is written.
    with shown("loading the libraries", silent=execution.quiet or not is_primary()):
        set_up_jax()
        import torch  # heavy: options are checked before

        from deepnet_runs.training.trainer import Trainer  # imports torch

    if config.dataset == "digits" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # more only wait for each other
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if execution.field and processes > 1:
        raise ValueError(
            f"Need one process for --field, got {processes}: save the weights, and run deepnet_runs.kernel afterwards."
        )
    writer = board_writer() if execution.tensorboard else None
    device = choose_device(execution.device)
    state = records.read_checkpoint(execution.output, config.to_dict()) if execution.resume else None
    trainer = Trainer(config, load_data(config, execution), device, state=state)
    if execution.dry_run:
        trainer.dry_run()
        return []
    # From here the folder has the run's records; what fails now stops a run that has begun.
    if is_primary() and state is None:
        records.write_config(execution.output, trainer.record() | {"versions": versions(), "device": str(device)})
    try:
        board = None
        if is_primary():
            records.clear_unfinished(execution.output)
            records.write_rows(execution.output, trainer.rows)
            if writer:
                board = writer(str(execution.output / "tensorboard"), purge_step=trainer.epoch + 1)
        train(trainer, execution, board)
        if board:
            board.close()
    except DivergenceError as error:
        if is_primary():
            records.write_failure(execution.output, str(error))
        raise
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        raise StoppedError(_sentence(error)) from error
    return trainer.rows


@contextmanager
def reserved(execution: Execution) -> Iterator[None]:
    """Hold the output folder for this run, from before it is checked until the run has ended.

    Raises:
        ValueError: for a folder that cannot be used, that another run writes to, or that holds another run.
    """
    if execution.dry_run:
        yield
        return
    check_destination(execution.output, ())
    with held(execution.output) if is_primary() else nullcontext():
        check_output(execution.output, resume=execution.resume)
        yield


def load_data(config: TrainConfig, execution: Execution) -> "DataSet":
    """The data set of the configuration; the first of several processes downloads it before the others read it."""
    from torch import distributed as dist

    from deepnet_runs.training.images import images_of  # imports torch

    if execution.download and not is_primary():
        dist.barrier()
    quiet = execution.quiet or not is_primary()
    images = images_of(config, execution.data_dir, download=execution.download, quiet=quiet)
    if execution.download and is_primary() and dist.is_initialized():
        dist.barrier()
    return images


def train(trainer: "Trainer", execution: Execution, board: Any) -> None:
    """Train the remaining epochs; write a row for each measured epoch, and checkpoints from which a run is resumed."""
    epochs, primary = trainer.recipe.epochs, is_primary()
    measured, saved = measured_epochs(epochs), time.monotonic()
    live = live_field(trainer, execution) if execution.field else None
    silent = execution.quiet or not primary or not on_terminal()
    bar = tqdm(total=epochs, initial=trainer.epoch, desc="epochs", file=sys.stderr, leave=False, disable=silent)
    with bar:
        while trainer.epoch < epochs:
            trainer.train_epoch()
            row = None
            if trainer.epoch in measured:
                row, seen = trainer.measure()
                if execution.save_features:
                    features, labels = seen.gathered()
                    if primary:
                        records.write_features(execution.output, trainer.epoch, features, labels)
                if execution.save_weights and primary:
                    records.write_weights(execution.output, trainer.epoch, trainer.network.state_dict())
                if live:
                    live.measure()
            if primary and (row or time.monotonic() - saved > CHECKPOINT_SECONDS):
                records.write_checkpoint(execution.output, trainer.state())
                saved = time.monotonic()
            if primary and row:
                records.append_row(execution.output, row)
                write_board(board, row)
            bar.update()
    if live:
        live.draw()


def live_field(trainer: "Trainer", execution: Execution) -> "LiveField":
    """The field test of this run."""
    from deepnet_runs.dynamics.live_field import LiveField  # imports torch

    return LiveField(execution.output, trainer)


def is_primary() -> bool:
    """Whether this process writes the files: it is the only one, or torchrun's first."""
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
    """Versions of Python, this package and the libraries that the numbers depend on."""
    from central_path.cli import report  # imports JAX

    return report.versions() | {name: version(name) for name in ("torch", "torchvision", "scikit-learn")}


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


def write_board(board: Any, row: Row) -> None:
    """The numbers of a row, by epoch."""
    if board is not None:
        for key, value in row.to_dict().items():
            if isinstance(value, float) and value == value:
                board.add_scalar(key, value, row.epoch)
        board.flush()


def leave_group() -> None:
    """Leave the process group when all are done; a backend may abort a process that ends within the group."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        gc.collect()  # DistributedDataParallel, which holds on to the group
        distributed.destroy_process_group()
