"""Check every claim of Han, Papyan & Donoho (2022) numerically.

    python -m theory_checks
    python -m theory_checks --quick "Lemma 4"

Measures a verdict for each claim, prints a table and writes claims.json and report.html; `--help` says the rest. JAX is
imported only when the options are known to be good.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from central_path import records
from central_path.compiler import compile_quickly
from central_path.program import answer, on_terminal, run_program, set_up_jax
from theory_checks.options import PROGRAM, parse

if TYPE_CHECKING:
    from theory_checks.registry import Claim, Outcome

FILES = ("report.html", "claims.json")


def chosen(names: Sequence[str]) -> "list[Claim]":
    """The claims named, or all, in the order of the report.

    Raises:
        ValueError: for a claim that is not there.
    """
    from theory_checks import claims
    from theory_checks.registry import CLAIMS

    unknown = [name for name in dict.fromkeys(names) if name not in claims.ORDER]
    if unknown:
        quoted = [", ".join(f'"{name}"' for name in names) for names in (unknown, claims.ORDER)]
        raise ValueError(f"Need claims that are checked, got {quoted[0]}: give one of {quoted[1]}.")
    return [CLAIMS[name] for name in claims.ORDER if not names or name in names]


def draw(outcomes: "Sequence[Outcome]", seed: int) -> tuple[dict[str, tuple[bytes, str]], list[str]]:
    """The figures of these claims with their captions, and a note for each that could not be drawn."""
    from theory_checks import figures

    drawn, notes = {}, []
    for name in dict.fromkeys(outcome.claim.figure for outcome in outcomes if outcome.claim.figure):
        try:
            drawn[name] = figures.draw(name, seed), figures.caption(name)
        except Exception as error:  # a minute of results is worth more than a figure
            notes.append(f"figure {name} not drawn: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return drawn, notes


def check(args: argparse.Namespace, claims: "Sequence[Claim]", started: float) -> tuple[int, str]:
    """Run and write; the exit code and the table.

    Raises:
        OSError: if the results cannot be written; then none is.
    """
    from tqdm import tqdm

    from central_path.report import versions
    from theory_checks import page, registry, report

    bar = tqdm(claims, desc="claims", unit="claim", file=sys.stderr, leave=False, disable=not on_terminal())
    outcomes = [registry.run(claim, seed=args.seed, quick=args.quick) for claim in bar]
    figures, notes = draw(outcomes, args.seed)
    seconds = time.perf_counter() - started
    setting = {"seed": args.seed, "quick": args.quick, "seconds": seconds, "versions": versions()}
    with records.staging(args.output, last="claims.json") as stage:
        html = page.page(outcomes, figures=figures, notes=notes, **setting)
        (stage / "report.html").write_text(html, encoding="utf-8")
        report.write_claims(stage / "claims.json", outcomes)
    for note in notes:
        print(note, file=sys.stderr)
    mode = ", quick" if args.quick else ""
    text = f"{report.table(outcomes)}\nseed {args.seed}{mode}, {seconds:.0f} s; results in {args.output}"
    return int(not all(outcome.as_expected for outcome in outcomes)), text


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
