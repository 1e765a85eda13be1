"""Training killed with SIGKILL at random moments and resumed each time, beside the same run left alone.

    python benchmarks/kill_and_resume.py
    python benchmarks/kill_and_resume.py --kills 40 --seed 1

A run is started, killed, resumed, killed again, ..., until it ends by itself; then another, until there were as many
kills as asked for. Every second kill waits for a random checkpoint to be under way and strikes within a few
milliseconds, or just after it; the others strike at any moment in the life of the process, its imports included. After
each kill measurements.jsonl must hold nothing but whole rows of the undisturbed run, in order, each once, perhaps
followed by a piece of the next; at the end of each run all of them, bit for bit, except for the seconds.

Runs are on the CPU. Exit code 1 on a difference.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

POLL = 2e-4  # seconds between two looks for a checkpoint under way


class Moment(NamedTuple):
    """When to kill: so many seconds after the start, or after that many checkpoints have begun."""

    seconds: float
    checkpoints: int


class Death(NamedTuple):
    """What a kill met: seconds since the start, whether a file was under way, rows on disk, what is wrong with them."""

    seconds: float
    writing: bool
    rows: int
    difference: str


def command(folder: Path, options: list[str]) -> list[str]:
    """A run in the folder, resumed if there is a checkpoint."""
    resumed = ["--resume"] * (folder / "checkpoint.pt").exists()
    return [sys.executable, "-m", "deepnet_runs.train", *options, "--output", str(folder), *resumed]


def rows(folder: Path) -> list[dict]:
    """The whole rows on disk, without their seconds."""
    path = folder / "measurements.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def difference(found: list[dict], reference: list[dict]) -> str:
    """The first row that is not the undisturbed run's, with the keys that differ; empty if there is none."""
    for i, row in enumerate(found):
        expected = reference[i] if i < len(reference) else {}
        if row != expected:
            keys = sorted(key for key in row.keys() | expected.keys() if row.get(key) != expected.get(key))
            return f"row {i + 1}: {', '.join(keys)}"
    return ""


def wait(process: subprocess.Popen, folder: Path, moment: Moment) -> None:
    """Until the moment has come, or the process has ended."""
    begin = time.perf_counter()
    unfinished, begun, there = folder / ".unfinished-checkpoint.pt", 0, False
    while process.poll() is None and begun < moment.checkpoints:
        was, there = there, unfinished.exists()
        begun += there and not was
        time.sleep(POLL)
    if moment.checkpoints:
        begin = time.perf_counter()
    while process.poll() is None and time.perf_counter() - begin < moment.seconds:
        time.sleep(POLL)


def life(folder: Path, options: list[str], moment: Moment | None) -> float | None:
    """Run until the moment; seconds until the kill, or None if the run had ended by itself.

    Raises:
        RuntimeError: if the run fails.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(command(folder, options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if moment is not None:
            wait(process, folder, moment)
            process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    finally:
        process.kill()
    if process.returncode == -signal.SIGKILL:
        return time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {said.decode()}")
    return None


def draw(rng: np.random.Generator, i: int, seconds: float) -> Moment:
    """The i-th moment: in turn at any time, and at a checkpoint."""
    if i % 2:
        return Moment(float(rng.uniform(0, 0.012)), int(rng.integers(1, 4)))
    return Moment(float(rng.uniform(0, seconds)), 0)


def undisturbed(folder: Path, options: list[str]) -> tuple[list[dict], float]:
    """Rows and seconds of a run left alone."""
    begin = time.perf_counter()
    life(folder, options, None)
    return rows(folder), time.perf_counter() - begin


def chain(folder: Path, options: list[str], reference: list[dict], moments: list[Moment]) -> tuple[list[Death], bool]:
    """One run, killed at the moments until it ends by itself; the kills, and whether the rows are right then.

    After the last moment the run is left to itself.
    """
    deaths = []
    while True:
        moment = moments.pop(0) if moments else None
        started = time.time()
        seconds = life(folder, options, moment)
        found = rows(folder)
        if seconds is None:
            left = list(folder.glob(".unfinished*"))
            return deaths, found == reference and not left
        writing = any(path.stat().st_mtime > started for path in folder.glob(".unfinished*"))
        deaths.append(Death(seconds, writing, len(found), difference(found, reference)))


def main() -> int:
    """Kill, resume, compare, print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--network", default="resnet8", help="default: %(default)s")
    args = parser.parse_args()
    options = ["--epochs", str(args.epochs), "--network", args.network, "--device", "cpu", "--quiet"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(args.seed)
    good, kills, runs = True, 0, 0
    with tempfile.TemporaryDirectory() as name:
        undisturbed(Path(name) / "warm", options)  # bytecode and compiled programs
        reference, seconds = undisturbed(Path(name) / "alone", options)
        print(f"{args.network}, {args.epochs} epochs: {len(reference)} rows, {seconds:.1f} s from start to end")
        print("kill  run  seconds after the start  file under way  rows on disk  right so far")
        while kills < args.kills:
            moments = [draw(rng, kills + i, seconds) for i in range(args.kills - kills)]
            deaths, right = chain(Path(name) / f"run{runs}", options, reference, moments)
            runs += 1
            for death in deaths:
                kills += 1
                print(
                    f"{kills:4d}  {runs:3d}  {death.seconds:23.2f}  {'yes' if death.writing else 'no':>14}"
                    f"  {death.rows:12d}  {death.difference or 'yes'}",
                    flush=True,
                )
            good &= right and not any(death.difference for death in deaths)
            print(f"run {runs} has ended: rows {'identical' if right else 'DIFFERENT'}", flush=True)
    print(f"{kills} kills, {runs} runs: " + ("none lost, none twice, bit for bit" if good else "a row differs"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
