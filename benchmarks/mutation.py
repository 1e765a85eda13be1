"""Mutation score: the share of small errors planted in the mathematics that the theory checks catch, by cosmic-ray.

    python benchmarks/mutation.py
    python benchmarks/mutation.py --mutants 4 --seed 1 --jobs 1

cosmic-ray plants each error in a clone of the repository, so that what is measured is the last commit, and runs the
command of `cosmic-ray.toml` there; the checkout stays as it is. The mutant is caught if the command fails or takes too
long. All runs share one folder of compiled programs. The command must pass without a mutant first.

Of all mutants a random sample is drawn: places in the source uniformly, then one mutant of each, so that an operator
with ten replacements counts as much as a number with two. Annotations, messages, the refusal of unusable input,
decorators and whether a field is static are not drawn: no result depends on them. Nor are lines marked
`pragma: no mutate`: numbers that set the amount of work (terms of a series, nodes of a quadrature, most steps, tiles)
and are larger than needed, or at which two forms that both hold change over.

A survivor that changes no result, so that no test can catch it, is named with its reason in
`mutants_without_effect.toml` and does not count; its reason is printed. Any other survivor shows what is not tested.
Exit code 0 if at least 95 % of those that count are caught, 1 if not, 2 if nothing could be measured.
"""

import argparse
import ast
import random
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "benchmarks/cosmic-ray.toml"
SESSION = "mutation.sqlite"
WITHOUT_EFFECT = ROOT / "benchmarks" / "mutants_without_effect.toml"
GOAL = 0.95
REFUSALS = {"error_if", "_refuse"}  # calls that return their first argument, or raise


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _without_result(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Parts of a node on which no result depends."""
    match node:
        case ast.Raise() | ast.JoinedStr():
            yield node
        case ast.ClassDef(decorator_list=decorators):
            yield from decorators
        case ast.FunctionDef(decorator_list=decorators, returns=annotation):
            yield from [*decorators, *([annotation] if annotation else [])]
        case ast.arg(annotation=ast.expr() as annotation):
            yield annotation
        case ast.AnnAssign(annotation=annotation):
            yield annotation
        case ast.If(test=test, body=body, orelse=[]) if all(isinstance(statement, ast.Raise) for statement in body):
            yield test
        case ast.Call(func=function, args=[_, *rest]) if _name(function) in REFUSALS:
            yield from rest
        case ast.Call(func=function, keywords=settings) if _name(function) == "field":
            yield from (setting.value for setting in settings if setting.arg == "static")


@cache
def left_out(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """First and last position (line, column) of every part of a file that is not drawn."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    parts = (part for node in nodes for part in _without_result(node))
    return [((p.lineno, p.col_offset), (p.end_lineno or 0, p.end_col_offset or 0)) for p in parts]


def _rank(item: WorkItem) -> tuple[str, int]:
    return item.mutations[0].operator_name, item.mutations[0].occurrence


def draw(items: Iterable[WorkItem], root: Path, count: int, *, seed: int) -> list[WorkItem]:
    """A sample of the mutants of files below `root`, the same for the same source, count and seed.

    Raises:
        ValueError: for more mutants than places.
    """

    def counts(mutation: MutationSpec) -> bool:
        parts = left_out(root / mutation.module_path)
        return not any(start <= mutation.start_pos and mutation.end_pos <= end for start, end in parts)

    places = defaultdict(list)
    for item in items:
        (mutation,) = item.mutations
        if counts(mutation):
            places[str(mutation.module_path), mutation.start_pos, mutation.end_pos].append(item)
    if count > len(places):
        raise ValueError(f"Need at most {len(places)} mutants, one for each place, got {count}: give fewer --mutants.")
    rng = random.Random(seed)
    return [rng.choice(sorted(places[place], key=_rank)) for place in rng.sample(sorted(places), count)]


def _run(command: list[str], folder: Path) -> None:
    """Run a command to its end.

    Raises:
        ValueError: if it fails, with the last of what it said.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[-500:]
        raise ValueError(f"Need `{' '.join(command)}` to pass without a mutant, got: {said}.")


def prepare(folders: list[Path], count: int, *, seed: int) -> None:
    """A clone in each folder, with a session that has its share of the sample, and the command passed in the first.

    Raises:
        ValueError: as `draw`, or if the command fails.
    """
    for folder in folders:
        _run(["git", "clone", "--quiet", str(ROOT), str(folder)], ROOT)
    first = folders[0]
    _run(["cosmic-ray", "init", CONFIG, SESSION], first)
    _run(["cr-filter-operators", SESSION, CONFIG], first)
    _run(["cr-filter-pragma", SESSION], first)
    with use_db(first / SESSION) as session:
        sample = draw(session.pending_work_items, first, count, seed=seed)
        session.clear()
    for i, folder in enumerate(folders):
        with use_db(folder / SESSION) as session:
            session.add_work_items(sample[i :: len(folders)])
    _run(["cosmic-ray", "baseline", CONFIG], first)


def _finished(folders: list[Path]) -> Iterator[tuple[WorkItem, WorkResult]]:
    for folder in folders:
        with use_db(folder / SESSION, WorkDB.Mode.open) as session:
            yield from session.completed_work_items


def measure(folders: list[Path], count: int) -> Iterator[tuple[WorkItem, WorkResult]]:
    """Each mutant with its result, as soon as it has one.

    Raises:
        ValueError: if cosmic-ray ends before all have one.
    """
    workers = [subprocess.Popen(["cosmic-ray", "exec", CONFIG, SESSION], cwd=folder) for folder in folders]
    seen: set[str] = set()
    try:
        while len(seen) < count:
            at_work = any(worker.poll() is None for worker in workers)
            new = [(item, result) for item, result in _finished(folders) if item.job_id not in seen]
            seen |= {item.job_id for item, _ in new}
            yield from new
            if not (new or at_work):
                raise ValueError(f"Need results of {count} mutants, got {len(seen)}: cosmic-ray has ended.")
            time.sleep(1)
    finally:
        for worker in workers:
            worker.terminate()


def without_effect() -> dict[tuple[str, str], str]:
    """Why a mutant changes no result, by its module and its line."""
    listed = tomllib.loads(WITHOUT_EFFECT.read_text(encoding="utf-8"))["mutant"]
    return {(entry["module"], entry["line"]): entry["why"] for entry in listed}


def line_of(diff: str) -> str:
    """The line that a mutant puts in the place of another, with single spaces."""
    (line,) = [line for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    return " ".join(line[1:].split())


def _report(number: int, count: int, item: WorkItem, result: WorkResult, why: str | None) -> str:
    (mutation,) = item.mutations
    word = "timed out" if result.output == "timeout" else "caught" if result.is_killed else "SURVIVED"
    where = f"{mutation.module_path}:{mutation.start_pos[0]}"
    head = f"{number:3} of {count}  {word:9}  {where}  {mutation.operator_name.removeprefix('core/')}"
    if result.is_killed:
        return head
    return f"{head}\n{result.diff or ''}{f'changes no result: {why}' if why else ''}"


def main(argv: list[str] | None = None) -> int:
    """Measure, and print each mutant with its result, the survivors with their differences, and the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=100, metavar="INT", help="size of the sample (default 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="INT", help="of the sample (default 0)")
    parser.add_argument("--jobs", type=int, default=2, metavar="INT", help="mutants at once, a core each (default 2)")
    args = parser.parse_args(argv)
    begin, caught, listed, of_no_effect = time.perf_counter(), 0, without_effect(), 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary, str(i)) for i in range(min(args.jobs, args.mutants))]
        try:
            prepare(folders, args.mutants, seed=args.seed)
            for number, (item, result) in enumerate(measure(folders, args.mutants), start=1):
                caught += result.is_killed
                module = str(item.mutations[0].module_path)
                why = None if result.is_killed else listed.get((module, line_of(result.diff or "")))
                of_no_effect += why is not None
                print(_report(number, args.mutants, item, result, why), flush=True)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    minutes, counted = (time.perf_counter() - begin) / 60, args.mutants - of_no_effect
    score = f"caught {caught} of {counted} that change a result, goal {GOAL:.0%}"
    print(f"{score}; {of_no_effect} change none; seed {args.seed}, {minutes:.0f} minutes")
    return 0 if caught >= GOAL * counted else 1


if __name__ == "__main__":
    sys.exit(main())
