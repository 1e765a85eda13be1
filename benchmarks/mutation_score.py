"""Mutation score: the share of small errors planted in the mathematics that `python -m theory_checks` catches.

    python benchmarks/mutation_score.py
    python benchmarks/mutation_score.py --mutants 100 --seed 1 --output score.json
    python benchmarks/mutation_score.py --only 7

Every mutant is one error of `mutants.py`, planted in a copy of the package. `python -m theory_checks --quick` then runs
on the copy. The mutant is caught if the exit code is not 0, or if the run exceeds the limit (counted apart), and
survives otherwise. The score is the share caught.

The unmutated copy runs first; unless it passes, nothing is measured. All runs share one folder of compiled programs, so
that a run compiles only what its mutant changes. The exit code is 0 if the score is at least 0.9, 1 if it is not, and 2
if nothing could be measured.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from mutants import FILES, PACKAGES, ROOT, Mutant, all_sites, choose
from tqdm import tqdm

GOAL = 0.9  # least share of mutants caught
FAULT_FACTOR = 10.0  # a planted fault of theory_checks must exceed the tolerance by this factor


@dataclass(frozen=True)
class Outcome:
    """What `python -m theory_checks` said: exit code, claims that are not as expected, and why there is no table."""

    exit_code: int | None  # None where the limit was exceeded
    seconds: float
    changed: tuple[str, ...]
    message: str

    @property
    def caught(self) -> bool:
        """Whether the run failed or did not end."""
        return self.exit_code != 0

    @property
    def verdict(self) -> str:
        """In a word."""
        return "timed out" if self.exit_code is None else "caught" if self.caught else "SURVIVED"


def copy_packages(folder: Path, *, root: Path = ROOT, mutant: Mutant | None = None) -> None:
    """The packages, with the error in them."""
    for package in PACKAGES:
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant:
        target = folder / mutant.file
        target.write_bytes(mutant.apply(target.read_bytes()))


def _environment(folder: Path, cache: Path) -> dict[str, str]:
    """Of a run on the copy in a folder, on one thread."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return (
        os.environ
        | threads
        | {
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "XLA_FLAGS": flags,
        }
    )


def unexpected(rows: Iterable[dict]) -> Iterator[str]:
    """Claims of claims.json whose verdict is not the expected one, or whose planted fault was missed."""
    for row in rows:
        comparisons = [part for part in row.get("parts") or [row] if part.get("fault_residual") is not None]
        if row["verdict"] != row["expected"]:
            yield f"{row['claim']} ({row['verdict']})"
        elif not all(part["fault_residual"] > FAULT_FACTOR * part["tolerance"] for part in comparisons):
            yield f"{row['claim']} (fault missed)"


def check(folder: Path, cache: Path, *, limit: float, claims: Sequence[str] = ()) -> Outcome:
    """Run `python -m theory_checks --quick` on the copy in a folder."""
    command = [sys.executable, "-m", "theory_checks", "--quick", "--output", "result", *claims]
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=folder, env=_environment(folder, cache), capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, time.perf_counter() - begin, (), f"no end within {limit:g} s")
    seconds = time.perf_counter() - begin
    table = folder / "result" / "claims.json"
    if table.is_file():
        return Outcome(done.returncode, seconds, tuple(unexpected(json.loads(table.read_text()))), "")
    last = (done.stderr.strip() or "no message").splitlines()[-1]
    return Outcome(done.returncode, seconds, (), f"no table: {last[:200]}")


def check_mutant(
    mutant: Mutant, folder: Path, cache: Path, *, limit: float, claims: Sequence[str] = (), root: Path = ROOT
) -> Outcome:
    """Copy the packages to a new folder, plant the error, check, and remove the folder."""
    copy_packages(folder, root=root, mutant=mutant)
    try:
        return check(folder, cache, limit=limit, claims=claims)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_original(folder: Path, cache: Path, *, claims: Sequence[str] = (), root: Path = ROOT) -> Outcome:
    """The unmutated copy; fills the folder of compiled programs.

    Raises:
        ValueError: unless it is the copy that runs, and it passes.
    """
    copy_packages(folder, root=root)
    code = f"import {', '.join(PACKAGES)}; print({', '.join(f'{package}.__file__' for package in PACKAGES)}, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=_environment(folder, cache), capture_output=True, text=True
    )
    paths = [Path(line).resolve() for line in done.stdout.splitlines()]
    if len(paths) != len(PACKAGES) or not all(path.is_relative_to(folder.resolve()) for path in paths):
        raise ValueError(f"Need the copy in {folder} to be imported, got {done.stdout or done.stderr}.")
    outcome = check(folder, cache, limit=3600.0, claims=claims)
    if outcome.caught:
        reason = ", ".join(outcome.changed) or outcome.message
        raise ValueError(
            f"Need `python -m theory_checks --quick` to pass without a mutant, got exit code {outcome.exit_code} "
            f"({reason}): mend it first."
        )
    return outcome


def summary(results: Sequence[tuple[Mutant, Outcome]]) -> str:
    """The score, by file and in all."""
    total = Counter(mutant.file for mutant, _ in results)
    caught = Counter(mutant.file for mutant, outcome in results if outcome.caught)
    lines = [f"{file:28} {caught[file]:3d} of {total[file]:3d}" for file in FILES if total[file]]
    lines.append(f"{'score':28} {caught.total():3d} of {total.total():3d}: {caught.total() / total.total():.3f}")
    late = sum(outcome.exit_code is None for _, outcome in results)
    return "\n".join(lines) + (f", {late} of them for exceeding the limit" if late else "")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--mutants", type=int, default=40, metavar="INT", help="how many; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="INT", help="of the sites; default: %(default)s")
    parser.add_argument("--jobs", type=int, default=2, metavar="INT", help="runs at a time; default: %(default)s")
    parser.add_argument("--limit", type=float, default=180.0, metavar="SECONDS", help="of a run; default: %(default)s")
    parser.add_argument("--only", type=int, metavar="INT", help="run the mutant with this number alone, from 1")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write all results there too")
    args = parser.parse_args(argv)
    if args.mutants < 1 or args.jobs < 1 or not args.limit > 0:
        parser.error("need --mutants and --jobs of at least 1 and a --limit above 0")
    if args.only is not None and not 1 <= args.only <= args.mutants:
        parser.error(f"need --only from 1 to --mutants = {args.mutants}, got {args.only}")
    return args


def report(number: int, mutant: Mutant, outcome: Outcome, original: Path) -> str:
    """The lines of one mutant: where, what, whether it was caught, and by which claims."""
    reasons = ", ".join(outcome.changed) or outcome.message
    head = f"{number:3d} {mutant.file}:{mutant.line}  {outcome.verdict}, {outcome.seconds:.0f} s"
    difference = mutant.difference((original / mutant.file).read_bytes())
    return "\n    ".join([head, *difference.splitlines(), *([reasons] if reasons else [])])


def run_all(
    mutants: dict[int, Mutant], folder: Path, cache: Path, original: Path, *, jobs: int, limit: float
) -> dict[int, Outcome]:
    """Check every mutant, some at a time, and print each as it ends."""
    outcomes: dict[int, Outcome] = {}
    bar = tqdm(total=len(mutants), unit="mutant", file=sys.stderr, leave=False, disable=not sys.stderr.isatty())
    with bar, ThreadPoolExecutor(jobs) as pool:
        runs = {
            pool.submit(check_mutant, mutant, folder / str(i), cache, limit=limit, root=original): i
            for i, mutant in mutants.items()
        }
        try:
            for run in as_completed(runs):
                i = runs[run]
                outcomes[i] = run.result()
                bar.update()
                bar.write(report(i, mutants[i], outcomes[i], original))
                sys.stdout.flush()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return dict(sorted(outcomes.items()))


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 if the score is below the goal."""
    args = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        original, cache = folder / "original", folder / "cache"
        try:
            candidates = all_sites()
            chosen = dict(enumerate(choose(candidates, args.mutants, seed=args.seed), 1))
            mutants = {args.only: chosen[args.only]} if args.only else chosen
            outcome = check_original(original, cache)
            print(f"{len(candidates)} sites; the unmutated copy passes in {outcome.seconds:.0f} s", flush=True)
            outcomes = run_all(mutants, folder, cache, original, jobs=args.jobs, limit=args.limit)
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted, nothing written", file=sys.stderr)
            return 130
        print(f"\n{summary([(mutants[i], outcome) for i, outcome in outcomes.items()])}")
        for i, outcome in outcomes.items():
            if not outcome.caught:
                print(report(i, mutants[i], outcome, original))
    score = sum(outcome.caught for outcome in outcomes.values()) / len(outcomes)
    if args.output:
        rows = [
            {"number": i, **asdict(mutants[i]), **asdict(outcome), "verdict": outcome.verdict.lower()}
            for i, outcome in outcomes.items()
        ]
        table = {"seed": args.seed, "sites": len(candidates), "score": score, "mutants": rows}
        args.output.write_text(json.dumps(table, indent=2) + "\n")
    return int(score < GOAL)


if __name__ == "__main__":
    sys.exit(main())
