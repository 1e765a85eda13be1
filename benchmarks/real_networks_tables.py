"""The tables of docs/real_networks.md, from the which_law.json of a grid of conditions.

    python -m deepnet_runs.grid --conditions --seeds 0 1 2 3 4 5 6 7 8 --output runs/conditions -- --save-features
    python -m deepnet_runs.which_law runs/conditions --output runs/which_law
    python benchmarks/real_networks_tables.py runs/which_law/which_law.json

Writes what stands between `<!-- NAME -->` and `<!-- end of NAME -->`; prose and figures are for whoever looks at them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from readme_tables import between

from deepnet_runs.conditions import USUAL
from deepnet_runs.judgement import AXES
from deepnet_runs.law_of_run import LAWS
from deepnet_runs.which_law import at_end, median, power

PAGE = Path(__file__).resolve().parents[1] / "docs" / "real_networks.md"


def by_condition(groups: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries in the order of the conditions.

    Raises:
        ValueError: if one is missing.
    """
    found = {group["label"].split(", ")[-1]: group for group in groups}
    missing = [name for name in USUAL if name not in found]
    if missing:
        raise ValueError(f"Need a grid of all conditions, got one without {', '.join(missing)}: run what is left.")
    return {name: found[name] for name in USUAL}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def answer(entries: dict[str, dict[str, Any]]) -> str:
    """Exponents with their intervals, of single runs too, and how far the directions are out of step."""
    rows = []
    for name, entry in entries.items():
        low, high = entry["interval"]
        single = entry["k_by_run"]
        rows.append(
            [
                name,
                f"{entry['follow_alone']} of {len(entry['runs'])}",
                f"{entry['k']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{min(single):.2f} to {max(single):.2f}",
                *(f"{D:.2f}" for D in (entry["distance"], *entry["distances"].values())),
                entry["verdict"],
            ]
        )
    laws = [f"D {law}" for law in LAWS]
    return table(["condition", "follow alone", "k", "95 %", "k of single runs", "D at k", *laws, "verdict"], rows)


def foresight(entries: dict[str, dict[str, Any]]) -> str:
    """Errors of the forecasts: medians over the runs."""
    names = ["constant", "log-log line", *(f"{law}, {AXES['lr_sum']}" for law in (*LAWS, "own"))]
    rows = [
        [name, *(median(entry["forecast_errors"].get(key, []), ".3f") for key in names)]
        for name, entry in entries.items()
    ]
    return table(["condition", "constant", "log-log line", *LAWS, "own k"], rows)


def premises(entries: dict[str, dict[str, Any]]) -> str:
    """The time that each law implies, and the premises at the windows' ends: medians over the runs."""
    rows = [
        [name, *("{} ({})".format(*power(entry, law)) for law in LAWS), *at_end(entry)]
        for name, entry in entries.items()
    ]
    laws = [f"p {law}" for law in LAWS]
    return table(["condition", *laws, "L_LS_perp/L_LS", "A2", "overlap V", "angle U", "overlap E"], rows)


def updated(page: str, groups: Sequence[dict[str, Any]]) -> str:
    """The page with its three tables."""
    entries = by_condition(groups)
    for name, text in (("answer", answer), ("foresight", foresight), ("premises", premises)):
        page = between(page, name, text(entries))
    return page


def main(argv: list[str] | None = None) -> int:
    """Write; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("file", type=Path, metavar="FILE", help="which_law.json")
    args = parser.parse_args(argv)
    try:
        groups = json.loads(args.file.read_text(encoding="utf-8"))["groups"]
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8"), groups), encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        print(f"real_networks_tables.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
