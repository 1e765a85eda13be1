"""What the tests cost: CPU minutes of all processes, and the largest memory of each worker.

    python benchmarks/suite_cost.py
    python benchmarks/suite_cost.py --command slow
    python benchmarks/suite_cost.py -- tests/flows -n0

Runs the command that README.md prints for the tests (or, with `--command slow`, for the slow ones), with this
interpreter and whatever follows `--`, and reports user plus system time of the tests and of all processes that they
start and wait for, and the peak memory of the workers and of the largest process that they start. Pages of library
files that both workers use are in memory once: the second number counts them by share, as Linux does in Pss, looked at
every few seconds. The bound is on that where it is known.
The exit code is that of the tests; 1 also if a bound of `BOUNDS` is exceeded.
"""

import argparse
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVERY = 4.0  # seconds, between looks at the share: one takes 20 ms
BOUNDS = {"test": (12.0, 1.5)}  # CPU minutes, GB a worker, on 2 cores


class Share(threading.Thread):
    """The largest share of memory that this process has had, in bytes; 0 where the system does not say."""

    largest = 0

    def run(self) -> None:
        """Look every few seconds, as long as the process lives."""
        of_process = Path("/proc/self/smaps_rollup")
        while of_process.exists():
            found = re.search(r"^Pss: +(\d+) kB", of_process.read_text(), re.M)
            self.largest = max(self.largest, int(found[1]) * 1024 if found else 0)
            time.sleep(EVERY)


SHARE = Share(daemon=True)


def pytest_sessionstart() -> None:
    """As pytest's plugin: each process of pytest begins to look at its memory."""
    SHARE.start()


def pytest_sessionfinish() -> None:
    """Each notes the peaks of its memory, its share, and that of its largest child, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, child = (resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    name = os.environ.get("PYTEST_XDIST_WORKER", "main")
    Path(os.environ["SUITE_COST"], f"{name}.json").write_text(json.dumps([own, SHARE.largest or own, child]))


def command_of(name: str) -> list[str]:
    """Arguments of pytest in the command that README.md marks with the name.

    Raises:
        ValueError: if there is none.
    """
    found = re.search(rf"<!-- {name} -->\n```bash\n.*python -m pytest *(.*)\n```", (ROOT / "README.md").read_text())
    if not found:
        raise ValueError(f"Need a command of pytest that README.md marks with <!-- {name} -->, got none.")
    return shlex.split(found[1])


def main(argv: list[str] | None = None) -> int:
    """Run, and print minutes and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default="test", metavar="NAME", help="test (default) or slow")
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest, after --")
    args = parser.parse_args(argv)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "suite_cost", *command_of(args.command), *args.pytest]
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join(filter(None, (str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH"))))
        begin = time.perf_counter()
        code = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"SUITE_COST": folder, "PYTHONPATH": paths}
        ).returncode
        wall, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        peaks = {path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))}
    minutes, workers = (used.ru_utime + used.ru_stime) / 60, peaks.keys() - {"main"} or peaks.keys()
    print(f"{shlex.join(command)}\n{minutes:.1f} CPU minutes, {wall / 60:.1f} minutes, exit code {code}")
    for name in sorted(workers):
        own, share, child = (peak / 1e9 for peak in peaks[name])
        print(
            f"{name}: {own:.2f} GB at most, {share:.2f} GB with shared pages by share; "
            f"the largest process that it started {child:.2f} GB"
        )
    largest, bounds = max((peaks[name][1] / 1e9 for name in workers), default=0.0), BOUNDS.get(args.command)
    if bounds is None or args.pytest:
        return code
    return code or int(minutes > bounds[0] or largest > bounds[1])


if __name__ == "__main__":
    sys.exit(main())
