"""Check every claim of Han, Papyan & Donoho (2022) numerically.

    python -m theory_checks
    python -m theory_checks --seeds 20
    python -m theory_checks --quick "Lemma 4"

Measures a verdict for each claim, prints a table and writes claims.json and report.html; `--help` says the rest. JAX is
imported only when the options are known to be good.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from central_path.cli import records
from central_path.cli.program import INTERRUPTED, answer, on_terminal, run_program, set_up_jax
from central_path.simulation.compiler import compile_quickly
from theory_checks.options import PROGRAM, parse

if TYPE_CHECKING:
    from theory_checks.framework.registry import CheckedClaim, Claim

FILES = ("report.html", "claims.json")
INTERRUPTION = "interrupted"


def chosen(names: Sequence[str]) -> "list[Claim]":
    """The claims named, or all, in the order of the report.

    Raises:
        ValueError: for a claim that is not there.
    """
    from theory_checks import claims
    from theory_checks.framework.registry import CLAIMS

    unknown = [name for name in dict.fromkeys(names) if name not in claims.ORDER]
    if unknown:
        quoted = [", ".join(f'"{name}"' for name in names) for names in (unknown, claims.ORDER)]
        raise ValueError(f"Need claims that are checked, got {quoted[0]}: give one of {quoted[1]}.")
    return [CLAIMS[name] for name in claims.ORDER if not names or name in names]


@contextmanager
def remembered_interrupts() -> Iterator[list[int]]:
    """The interrupts that came: one that meets JAX in a callback of the garbage collector is swallowed there."""
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def measure(args: argparse.Namespace, claims: "Sequence[Claim]") -> "tuple[list[CheckedClaim], str | None]":
    """The claims in turn, and why the run ended before the last one, if it did.

    Raises:
        KeyboardInterrupt: if interrupted before the first claim was finished.
    """
    from tqdm import tqdm

    from theory_checks.framework import registry

    outcomes: list[CheckedClaim] = []
    bar = tqdm(claims, desc="claims", unit="claim", file=sys.stderr, leave=False, disable=not on_terminal())
    try:
        with remembered_interrupts() as came:
            for claim in bar:
                outcomes.append(registry.run(claim, seed=args.seed, quick=args.quick, seeds=args.seeds))
                if len(outcomes) == len(claims):
                    break
                if came:
                    return outcomes, INTERRUPTION
                if args.exit_first and not outcomes[-1].as_expected:
                    return outcomes, f"ended at the first claim that is not as expected, {claim.id}"
    except KeyboardInterrupt:
        if not outcomes:
            raise
        return outcomes, INTERRUPTION
    finally:
        bar.close()
    return outcomes, None


def draw(outcomes: "Sequence[CheckedClaim]", seed: int) -> tuple[dict[str, tuple[bytes, str]], list[str]]:
    """The figures of these claims with their captions, and a note for each that could not be drawn."""
    from theory_checks.report import figures

    drawn, notes = {}, []
    for name in dict.fromkeys(outcome.claim.figure for outcome in outcomes if outcome.claim.figure):
        try:
            drawn[name] = figures.draw(name, seed), figures.caption(name)
        except Exception as error:  # a minute of results is worth more than a figure
            notes.append(f"figure {name} not drawn: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return drawn, notes


def destination(folder: Path, full: bool) -> tuple[Path, list[str]]:
    """The folder to write to, and what to say of results that are there."""
    from theory_checks.report import results

    notes = []
    if not full and results.is_full(folder):
        named = folder if folder.name not in ("", "..") else folder.resolve()
        beside = named.with_name(f"{named.name}-partial")
        notes.append(f"{folder} holds a full report, which a partial run does not replace: writing to {beside}")
        folder = beside
    if any((folder / name).exists() for name in FILES):
        notes.append(f"replaced the results of an earlier run in {folder}")
    return folder, notes


def check(args: argparse.Namespace, claims: "Sequence[Claim]", started: float) -> tuple[int, str]:
    """Run and write; the exit code and the table.

    Raises:
        OSError: if the results cannot be written; then none is.
    """
    from central_path.cli.report import versions
    from theory_checks.framework import registry
    from theory_checks.report import page, results

    outcomes, ended = measure(args, claims)
    full = not args.quick and len(outcomes) == len(registry.CLAIMS)
    figures, notes = {}, []
    if not ended:
        try:
            figures, notes = draw(outcomes, args.seed)
        except KeyboardInterrupt:
            ended = INTERRUPTION
    notes += [f"{ended}: no figures"] if ended else []
    seconds = time.perf_counter() - started
    how = results.DrawSettings(args.seed, args.seeds, args.quick)
    folder, said = destination(args.output, full)
    with records.staging(folder, last="claims.json") as stage:
        html = page.page(outcomes, how=how, seconds=seconds, versions=versions(), figures=figures, notes=notes)
        (stage / "report.html").write_text(html, encoding="utf-8")
        results.write_claims(stage / "claims.json", outcomes, how)
    for note in (*notes, *said):
        print(note, file=sys.stderr)
    left = f"\n{ended}; {len(claims) - len(outcomes)} of {len(claims)} claims not checked" if ended else ""
    text = f"{results.table(outcomes)}{left}\n{how}, {seconds:.0f} s; results in {folder}"
    wrong = int(not all(outcome.as_expected for outcome in outcomes))
    return INTERRUPTED if ended == INTERRUPTION else wrong, text


def run(args: argparse.Namespace, started: float) -> tuple[int, str]:
    """List or check the claims that are wanted; returns the exit code and the table."""
    if not args.list:
        records.check_destination(args.output, FILES)
    compile_quickly()
    set_up_jax()
    claims = chosen(args.claims)
    if args.list:
        return 0, "\n".join(claim.id for claim in claims)
    return check(args, claims, started)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    started = time.perf_counter()
    args = parse(argv)
    return answer(PROGRAM, lambda: run(args, started))


if __name__ == "__main__":
    run_program(main)
