"""Files that appear whole or not at all.

`staging` collects the files of a run in a hidden folder beside their destination. Only when all are complete and on
disk are they renamed into place, `last` after the others; a failure before that (a full disk, an interrupt) leaves
the destination as it was. Files of an earlier run that are replaced or removed are named on stderr.
"""

import json
import math
import os
import secrets
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

UNFINISHED = ".unfinished-"
A_DAY = 86400.0


def read_samples(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Arrays `features` and `labels` of an .npz file.

    Raises:
        ValueError: if the file is missing, unreadable, truncated, not an .npz archive, or lacks an array.
    """
    if not path.is_file():
        raise ValueError(
            f"Need a file with features, got {path}: it {'is a folder' if path.is_dir() else 'does not exist'}; "
            "check the path."
        )
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no zip archive, or a truncated one")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in ("features", "labels") if name not in archive.files]
            if not missing:
                features, labels = archive["features"], archive["labels"]
                if not (isinstance(features, np.ndarray) and isinstance(labels, np.ndarray)):
                    raise ValueError("`features` and `labels` are not arrays")
                return features, labels
            found = ", ".join(archive.files) or "nothing"
    except (
        Exception
    ) as error:  # a damaged archive fails in zipfile, zlib, or NumPy's header parser, each in its own way
        detail = " ".join(str(error).split())
        raise ValueError(
            f"Need an .npz archive of plain arrays, got {path} ({detail or type(error).__name__}): "
            "save it with numpy.savez."
        ) from error
    raise ValueError(
        f"Need arrays `features` and `labels` in {path}, got {found}: {' and '.join(missing)} missing; "
        "save both with numpy.savez."
    )


def check_destination(folder: Path, names: tuple[str, ...], *, option: str = "--output") -> None:
    """Refuse an output folder that cannot be made or written, or in which one of the files to come is a folder.

    Raises:
        ValueError: with the path and the remedy.
    """
    try:
        existing = folder.absolute()
        while not existing.exists() and not existing.is_symlink():
            existing = existing.parent
        taken = [name for name in names if (folder / name).is_dir()]
    except (OSError, ValueError) as error:
        raise ValueError(f"Need a folder for the results, got {folder}: {error}; give another {option}.") from error
    if not existing.is_dir():
        raise ValueError(
            f"Need a folder for the results, got {folder}: {existing} is not a folder; give another {option}."
        )
    if taken:
        raise ValueError(f"Need {taken[0]} in {folder} to be a file, got a folder: move it, or give another {option}.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(
            f"Need a writable folder for the results, got {folder}: {existing} is not writable; give another {option}."
        )


@contextmanager
def staging(folder: Path, *, last: str, stale: tuple[str, ...] = ()) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` when the block ends without an error.

    Files named in `stale`, of an earlier run, are removed then. What is replaced or removed is said on stderr.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    stage = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
    try:  # from here an interrupt, whenever it comes, leaves nothing behind
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{UNFINISHED}*"):
            if time.time() - left.stat().st_mtime > A_DAY:  # by a run that was killed
                shutil.rmtree(left, ignore_errors=True)
        stage.mkdir(mode=0o700)
        yield stage
        files = sorted(stage.iterdir(), key=lambda path: (path.name == last, path.name))
        for path in files:
            _to_disk(path)
        replaced = [path.name for path in files if (folder / path.name).exists()]
        removed = [name for name in stale if (folder / name).exists()]
        (folder / last).unlink(
            missing_ok=True
        )  # while files of two runs stand side by side, no summary vouches for them
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        for path in files:
            path.replace(folder / path.name)
        made = []
        say_what_is_gone(folder, replaced, removed)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def say_what_is_gone(folder: Path, replaced: Sequence[str], removed: Sequence[str] = ()) -> None:
    """Name on stderr, in one line, the files of an earlier run that this one has replaced or removed, if any."""
    done = [f"{verb} {', '.join(names)}" for verb, names in (("replaced", replaced), ("removed", removed)) if names]
    if done and sys.stderr is not None:
        print(f"{folder}: {' and '.join(done)} of an earlier run", file=sys.stderr)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def without_nan(value: Any) -> Any:
    """The same nested value in JSON's terms: arrays as lists, null for NaN and infinities."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return without_nan(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Valid JSON, indented."""
    path.write_text(json.dumps(without_nan(value), indent=2, allow_nan=False) + "\n", encoding="utf-8")
