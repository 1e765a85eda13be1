"""What a run leaves behind: config.json, checkpoint.pt, measurements.jsonl and features, each whole or not at all.

A checkpoint holds everything that the rest of the run depends on, the rows so far included, and appears by a rename
before its row is appended to measurements.jsonl. Whatever moment a run is killed at, `--resume` rewrites
measurements.jsonl from the checkpoint's rows and goes on from there: no row is lost, none comes twice. Reading one
executes nothing, and a changed byte is found by the archive's check sums.
"""

import errno
import fcntl
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, Int

from central_path.cli.records import UNFINISHED, check_destination, without_nan
from deepnet_runs.storage.row import Row


def check_output(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that cannot be made or written, with another run's results in it, or with nothing to resume.

    Raises:
        ValueError: with the path and the remedy.
    """
    check_destination(folder, ("config.json", "measurements.jsonl", "checkpoint.pt"))
    checkpoint, rows, features = (folder / name for name in ("checkpoint.pt", "measurements.jsonl", "features"))
    if features.exists() and not features.is_dir():
        raise ValueError(f"Need {features} to be a folder, got a file: move it, or give another --output.")
    if resume and not checkpoint.is_file():
        raise ValueError(f"Need a checkpoint to resume from, got none in {folder}: start without --resume.")
    if not resume and (checkpoint.is_file() or (rows.is_file() and rows.stat().st_size)):
        raise ValueError(f"Need a folder without a run, got {folder}: give --resume to go on, or another --output.")


class StoppedError(Exception):
    """A training that had begun had to stop: no room on the disk or in memory, or an error of a library."""


@contextmanager
def held(folder: Path, *, patience: float = 1.0) -> Iterator[None]:
    """The folder for this run alone, made if it is not there, and removed again if it is left empty.

    A killed run lets go of it. Whoever holds it is waited for so many seconds: `is_held` holds it for an instant.

    Raises:
        ValueError: if another run writes there. File systems without locks are not asked.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    directory = None
    try:
        directory = _hold(folder, time.monotonic() + patience)
        yield
    finally:
        with suppress(OSError):  # what is not empty stays
            for parent in made:
                parent.rmdir()
        if directory is not None:
            os.close(directory)


def _hold(folder: Path, deadline: float) -> int:
    """The open and locked folder."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        directory = os.open(folder, os.O_RDONLY)
        if _locked(directory, fcntl.LOCK_EX) and _is_still(directory, folder):
            return directory
        os.close(directory)
        if time.monotonic() > deadline:
            raise ValueError(
                f"Need a folder to which no other run writes, got {folder}: wait for it, or give another --output."
            )
        time.sleep(0.05)


def _is_still(directory: int, folder: Path) -> bool:
    """Whether the open folder is the one of that name: one that was left empty may have been removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(directory), folder.stat())
    except FileNotFoundError:
        return False


def is_held(folder: Path) -> bool:
    """Whether a run writes to the folder. File systems without locks are not asked: False."""
    try:
        directory = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _locked(directory, fcntl.LOCK_SH)
    finally:
        os.close(directory)


def _locked(directory: int, kind: int) -> bool:
    try:
        fcntl.flock(directory, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed run was writing, and why an earlier one failed."""
    (folder / "failed.json").unlink(missing_ok=True)
    for path in (*folder.glob(f"{UNFINISHED}*"), *folder.glob(f"*/{UNFINISHED}*")):
        if path.is_file():
            path.unlink()


class _Remembering:
    """A file that keeps the error of a failed write, which torch.save replaces by one of its own."""

    def __init__(self, file: BinaryIO):
        self.file, self.error = file, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> int:
        """Write, and keep the error of a failed write."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file that could not be written, and the remedy, in an error of the disk."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"Need to write {path}, got {error.strerror or error}: make room there; what it held before is kept"
        ) from error


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """A file that appears by a rename once it is complete and on disk.

    Raises:
        OSError: if it cannot be written, naming it; what was there before stays.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                watched = _Remembering(file)
                try:
                    write(watched)
                except RuntimeError as error:
                    raise watched.error or error from error
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def line(row: Mapping[str, Any]) -> bytes:
    """An object as one line of JSON, null for numbers that do not exist."""
    return (json.dumps(without_nan(row), allow_nan=False) + "\n").encode()


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """`config.json`."""
    text = json.dumps(without_nan(config), indent=2, allow_nan=False) + "\n"
    write_whole(folder / "config.json", lambda file: file.write(text.encode()))


def write_failure(folder: Path, sentence: str) -> None:
    """`failed.json`: why the training ended before its last epoch."""
    write_whole(folder / "failed.json", lambda file: file.write(line({"failed": sentence})))


def append_row(folder: Path, row: Row) -> None:
    """Append to `measurements.jsonl`, on disk when this returns."""
    path = folder / "measurements.jsonl"
    with _naming(path), path.open("ab") as file:
        file.write(line(row.to_dict()))
        file.flush()
        os.fsync(file.fileno())


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Replace `measurements.jsonl`."""
    write_whole(folder / "measurements.jsonl", lambda file: file.writelines(line(row.to_dict()) for row in rows))


def write_features(folder: Path, epoch: int, features: Float[np.ndarray, "n P"], labels: Int[np.ndarray, " n"]) -> None:
    """`features/epoch_0001.npz`: the input of `central_path.simulate --features`."""
    path = folder / "features" / f"epoch_{epoch:04d}.npz"
    write_whole(path, lambda file: np.savez(file, features=features, labels=labels))


def write_weights(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """`weights/epoch_0001.pt`: parameters and buffers of the network, from which `deepnet_runs.kernel` measures."""
    import torch  # heavy: the records of runs are read without it

    write_whole(folder / "weights" / f"epoch_{epoch:04d}.pt", lambda file: torch.save(state, file))


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """`checkpoint.pt`."""
    import torch  # heavy: the records of runs are read without it

    write_whole(folder / "checkpoint.pt", lambda file: torch.save(state, file))


def read_checkpoint(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint of a run with this config, on the CPU.

    Raises:
        ValueError: if it cannot be read, or is of a run with another config, naming the fields.
    """
    import torch  # heavy: the records of runs are read without it

    path = folder / "checkpoint.pt"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not look at the check sums
        if damaged:
            raise ValueError(f"check sum of {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        before = state["config"]
    except Exception as error:  # a damaged file fails in zipfile or pickle, each in its own way
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"Need a readable checkpoint, got {path} ({detail}): start anew elsewhere.") from error
    different = [key for key in config if before.get(key) != config[key]]
    if different:
        changes = ", ".join(f"{key} = {config[key]} for {before.get(key)}" for key in different)
        reason = " (the epochs say when the rate drops and what is measured)" if "epochs" in different else ""
        raise ValueError(
            f"Need the options of the run that is resumed, got {changes}{reason}: give the same, or start anew."
        )
    return state
