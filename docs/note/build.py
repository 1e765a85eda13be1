"""Build the PDF of the note, without LaTeX: pandoc turns the Markdown into Typst, and Typst sets it.

    python docs/note/build.py                     writes docs/_build/note.pdf
    python docs/note/build.py --record            runs the checks whose records are missing or stale, and nothing else

The text is docs/note/note.md; its page of the documentation is made by Sphinx from the same source. Every number is
inserted from a record or a committed table, and a stale one is an error (see `note_source`).
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import note_source
import typst
from note_source import FOLDER, RECORDS, ROOT

from central_path.cli.program import set_up_jax
from theory_checks import claims
from theory_checks.framework.registry import CLAIMS, run

PREAMBLE = FOLDER / "preamble.typ"
SEED = 0


def write(path: Path, content: bytes) -> None:
    """A file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def record() -> None:
    """Run every check that changed since its record, and write the records of all.

    Raises:
        ValueError: if a verdict is not the expected one.
    """
    set_up_jax()
    old = json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else {}
    found = {}
    for id in claims.ORDER:
        print_of_check = note_source.fingerprint(id)
        if old.get(id, {}).get("fingerprint") == print_of_check:
            found[id] = old[id]
            continue
        outcome = run(CLAIMS[id], seed=SEED, quick=False)
        if not outcome.as_expected or outcome.tightest is None:
            raise ValueError(f'Need the expected verdict of {id!r}, got {outcome.verdict}: run theory_checks "{id}".')
        found[id] = {
            "fingerprint": print_of_check,
            "verdict": outcome.verdict,
            "instances": outcome.instances,
            "residual": outcome.tightest.residual,
            "tolerance": outcome.tightest.tolerance,
        }
        print(f"{id}: {outcome.verdict}, {outcome.seconds:.0f} s", flush=True)
        write(RECORDS, (json.dumps(old | found, indent=1) + "\n").encode())
    write(RECORDS, (json.dumps(found, indent=1) + "\n").encode())


def pdf() -> bytes:
    """The note as PDF."""
    source = FOLDER / "figures" / "note.typ"
    write(source, note_source.typst(PREAMBLE).encode())
    return typst.compile(str(source), root=str(FOLDER))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the exit code."""
    parser = argparse.ArgumentParser(description="Build the PDF of the note, or record the numbers of its checks.")
    parser.add_argument("--record", action="store_true", help="run the checks whose records are missing or stale")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "_build" / "note.pdf", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        if options.record:
            record()
        else:
            write(options.output, pdf())
            print(options.output)
    except ValueError as error:
        print(f"docs/note/build.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
