r"""The tables of the exponents in docs/real_networks.md, from the which_law.json of runs under conditions.

    python benchmarks/real_networks_tables.py

writes them from the committed file, which was made by

    python -m deepnet_runs.grid --conditions base no-decay smooth --output runs/conditions --seeds 0 1 2 -- \
        --save-features
    python -m deepnet_runs.which_law runs/conditions --output runs/which_law

and can be given another. Writes what stands between `<!-- NAME -->` and `<!-- end of NAME -->`, the null models below
each condition. The text around the tables is written by hand.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from readme_tables import between

from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.dynamics.judgement import AXES, Group
from deepnet_runs.dynamics.law_of_run import LAWS
from deepnet_runs.which_law import ASSUMPTIONS, at_end, interval, median, null_name, number, power

PAGE = Path(__file__).resolve().parents[1] / "docs" / "real_networks.md"
RECORDS = PAGE.parent / "records" / "which_law.json"
Entries = dict[str, Group]


def by_condition(groups: Sequence[Group]) -> Entries:
    """The entries in the order of the conditions.

    Raises:
        ValueError: if a group is of no condition, or there is none.
    """
    found = {group.label.split(", ")[-1]: group for group in groups}
    unknown = [name for name in found if name not in CONDITIONS]
    if unknown or not found:
        raise ValueError(f"Need groups of conditions, got {', '.join(unknown) or 'none'}: train with --conditions.")
    return {name: found[name] for name in CONDITIONS if name in found}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def exponents(entries: Entries) -> str:
    """Exponents with their intervals, of single runs too, and D; below them those of the null models."""
    rows = []
    for name, entry in entries.items():
        single = [k for k in entry.finding.k_by_run if not math.isnan(k)]
        ks = number(entry.finding.k), interval(entry.finding.interval), f"{min(single):.2f} to {max(single):.2f}"
        Ds = [number(D) for D in (entry.finding.distance, *entry.finding.distances.values())]
        rows.append([f"{name} (n = {len(entry.runs)})", *ks, *Ds, "", entry.verdict])
        for null in entry.nulls:
            Ds = [number(D) for D in (null.distance, *null.distances.values())]
            ks = number(null.k), interval(null.k_interval), ""
            rows.append([null_name(null), *ks, *Ds, f"{null.same:.0%}", ""])
    laws = [f"D {law}" for law in LAWS]
    return table(["condition", "k", "95 %", "k of single runs", "D at k", *laws, "same", "verdict"], rows)


def contraction(entries: Entries) -> str:
    """Runs, and shares of the null models' runs, with D within the limit."""
    rows = []
    for name, entry in entries.items():
        within = entry.finding.within_limit
        rows.append([name, *(f"{within[key]} of {len(entry.runs)}" for key in (*LAWS, "own"))])
        for null in entry.nulls:
            rows.append([null_name(null), *(f"{null.within_limit[key]:.0%}" for key in (*LAWS, "own"))])
    return table(["condition", *LAWS, "own k"], rows)


def predictions(entries: Entries) -> str:
    """Errors of the predictions: medians over the runs."""
    names = ["constant", "log-log line", *(f"{law}, {AXES['lr_sum']}" for law in (*LAWS, "own"))]
    rows = [
        [name, *(median(entry.forecast_errors.get(key, []), ".3f") for key in names)] for name, entry in entries.items()
    ]
    return table(["condition", "constant", "log-log line", *LAWS, "own k"], rows)


def assumptions(entries: Entries) -> str:
    """The time that each law implies, beside null models, and the assumptions at the windows' ends."""
    rows = []
    for name, entry in entries.items():
        rows.append([name, *("{} ({})".format(*power(entry, law)) for law in LAWS), *at_end(entry)])
        for null in entry.nulls:
            p = [number(null.clock_exponents[law]) for law in LAWS]
            rows.append([null_name(null), *p, *[""] * len(ASSUMPTIONS)])
    return table(["condition", *(f"p {law}" for law in LAWS), *(head for head, *_ in ASSUMPTIONS.values())], rows)


TABLES = (exponents, contraction, predictions, assumptions)


def updated(page: str, groups: Sequence[Group]) -> str:
    """The page with its tables."""
    entries = by_condition(groups)
    for make in TABLES:
        page = between(page, make.__name__, make(entries))
    return page


def groups_of(path: Path) -> list[Group]:
    """The groups of a which_law.json.

    Raises:
        OSError, ValueError, KeyError: for a file that cannot be read or is another.
    """
    return [Group.from_dict(group) for group in json.loads(path.read_text(encoding="utf-8"))["groups"]]


def main(argv: list[str] | None = None) -> int:
    """Write; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", default=RECORDS, help="which_law.json")
    args = parser.parse_args(argv)
    try:
        groups = groups_of(args.file)
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8"), groups), encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        print(f"real_networks_tables.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
