"""Cold start: the whole process of the main command beside the bare import of its libraries.

    python benchmarks/cold_start.py
    python benchmarks/cold_start.py --C 10 --N 50 --repeats 7

Wall times of whole processes, in rounds of three that follow each other:

    import    python -c "import jax, diffrax"
    first     python -m central_path.simulate --C 10 --N 50, with an empty folder for compiled programs
    second    the same command again, with the folder that the first run of the round has filled

The ratios of the medians to the import's are compared with goals. Output and compiled programs go to a temporary
folder.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GOALS = {"first": 5.0, "second": 3.0}  # medians, in medians of the bare import


def seconds(arguments: list[str], folder: Path, cache: Path) -> float:
    """Wall time of one Python process, run in a folder, with a folder of compiled programs.

    Raises:
        subprocess.CalledProcessError: if it fails; what it said on stderr is printed.
    """
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    elapsed = time.perf_counter() - begin
    if done.returncode:
        print(done.stderr.decode(), file=sys.stderr)
        done.check_returncode()
    return elapsed


def entries(cache: Path) -> int:
    """Compiled programs in a folder."""
    return len(list(cache.glob("*-cache")))


def main() -> int:
    """Measure and print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    for name, default in (("--C", 10), ("--N", 50), ("--repeats", 7)):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    args = parser.parse_args()
    sizes = ["--C", str(args.C), "--N", str(args.N)]
    bare, command = ["-c", "import jax, diffrax"], ["-m", "central_path.simulate", *sizes, "--output", "out"]
    times: dict[str, list[float]] = {"import": [], "first": [], "second": []}
    stored: set[tuple[int, int]] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds(bare, folder, folder / "unused")  # bytecode and the disk's cache, for all
        for i in range(args.repeats):
            cache = folder / f"cache{i}"
            times["import"].append(seconds(bare, folder, cache))
            times["first"].append(seconds(command, folder, cache))
            before = entries(cache)
            times["second"].append(seconds(command, folder, cache))
            stored.add((before, entries(cache) - before))

    print(f"python -m central_path.simulate {' '.join(sizes)}, {args.repeats} rounds, seconds of whole processes")
    print("process   min  median    max  median / import's  goal")
    medians, missed = {key: float(np.median(values)) for key, values in times.items()}, False
    for key, values in times.items():
        ratio, goal = medians[key] / medians["import"], ""
        if key in GOALS:
            missed |= ratio > GOALS[key]
            goal = f"at most {GOALS[key]:g}: {'not met' if ratio > GOALS[key] else 'met'}"
        print(f"{key:7} {min(values):5.2f}  {medians[key]:6.2f}  {max(values):5.2f}  {ratio:17.2f}  {goal}".rstrip())
    for before, after in sorted(stored):
        print(f"compiled programs stored by a first run: {before}; added by the second: {after}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
