"""The text of the note: its statements, and the numbers that are inserted where the text has [[name]].

    [[Lemma 4/verdict]]          from records.json: a run of the check, stale if the check has changed since
    [[general path/largest]]     from a table of benchmarks/README.md or docs/real_networks.md
    [[four points/ratio]]        computed
    [[table of own claims]]      a table of the records

`page` gives the text with all of them and with the references, as Markdown that MyST reads. A name that is unknown, and
a record that is missing or stale, is an error.
"""

import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import note_figure

from theory_checks import claims
from theory_checks.framework.registry import CLAIMS

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
NOTE, BIBLIOGRAPHY, RECORDS = FOLDER / "note.md", FOLDER / "note.bib", FOLDER / "records.json"
FIGURE = FOLDER / "figures" / "four_points.svg"
RECORD = "python docs/note/build.py --record"

STATEMENT = re.compile(
    r"^> \*\*([A-Z][a-z-]+ \d+\.\d+)\*\* \(([^;`]+)(?:; checks?: (`[^`]+`(?:, `[^`]+`)*))?\)\. ", re.M
)
SOURCE = re.compile(r"docs/note/note\.md, ([A-Z][a-z-]+ \d+\.\d+)$")  # of a claim: its statement
INSERTION = re.compile(r"\[\[([^\]]+)\]\]")
OPERATOR = r'"(Ave|cond|diag|range|sym|tr)" ?'  # in formulas, as pandoc writes \operatorname
ACCURACY = r"^\S+ +\d+ +\d+ +\d+ +{flow} +\S+ +1e-10 +(\S+) .*? (\S+)  1e-06: holds$"
GENERAL = r"^\d+ +\d+ +\d+ +\d+ +\d+ +[\d.]+ +[\d-]+ +(\S+) +\S+ +\S+$"
NUMBER, INTERVAL = r"(-?[\d.]+)", r"-?[\d.]+ \((-?[\d.]+ to -?[\d.]+)\)"


def cell(start: str, column: int, value: str = NUMBER) -> str:
    """What finds a value in a column, from 0, of the first row of a table that starts so."""
    return rf"^\| {start} \|(?:[^|]+\|){{{column}}} {value}"


NETWORKS = {  # name: a table of docs/real_networks.md, and an expression whose group is the number
    "early cosine": ("digits features", cell(r"base \| early", 1)),
    "early cosine interval": ("digits features", cell(r"base \| early", 1, INTERVAL)),
    "late cosine": ("digits features", cell(r"base \| late", 1)),
    "late cosine interval": ("digits features", cell(r"base \| late", 1, INTERVAL)),
    "late b": ("digits features", cell(r"base \| late", 2)),
    "early free": ("digits growth", cell(r"base \| early", 1)),
    "early chance": ("digits growth", cell(r"base \| early", 4)),
    "late free": ("digits growth", cell(r"base \| late", 1)),
    "late chance": ("digits growth", cell(r"base \| late", 4)),
    "early law": ("digits laws", cell(r"base \| early", 1)),
    "late law": ("digits laws", cell(r"base \| late", 1)),
    "early path": ("digits courses", cell("base", 3)),
    "late path": ("digits courses", cell("base", 4)),
    "fashion cosine": ("fashionmnist features", cell(r"base \| late", 1)),
    "fashion b": ("fashionmnist features", cell(r"base \| late", 2)),
    "fashion early free": ("fashionmnist growth", cell(r"base \| early", 1)),
    "fashion late free": ("fashionmnist growth", cell(r"base \| late", 1)),
    "fashion chance": ("fashionmnist growth", cell(r"base \| late", 4)),
    "base k": ("exponents", cell(r"base \(n = 3\)", 0)),
    "base interval": ("exponents", cell(r"base \(n = 3\)", 1, "([^|]+) ")),
    "null k": ("exponents", cell("null: random matrices, P of the run = 64", 0)),
    "base overlap": ("assumptions", cell("base", 5)),
    "chance overlap": ("assumptions", cell("base", 5, r"[\d.]+ \(([\d.]+)\)")),
}


class Statement(NamedTuple):
    """A numbered statement of the note: "Theorem 3.1", what it is about, and the ids of its checks."""

    name: str
    title: str
    checks: tuple[str, ...]


def statements(text: str) -> list[Statement]:
    """All of a text, in its order."""
    joined = re.sub(r"\n> (?!\*\*)", " ", text)
    return [
        Statement(name, title, tuple(re.findall("`([^`]+)`", checks or "")))
        for name, title, checks in STATEMENT.findall(joined)
    ]


def fingerprint(id: str) -> str:
    """Of a claim with its check: it changes whenever they do."""
    return hashlib.sha256(inspect.getsource(CLAIMS[id].check).encode()).hexdigest()[:16]


def records() -> dict[str, dict[str, Any]]:
    """The records of all claims.

    Raises:
        ValueError: if one is missing or stale.
    """
    found = json.loads(RECORDS.read_text(encoding="utf-8"))
    stale = [id for id in claims.ORDER if found.get(id, {}).get("fingerprint") != fingerprint(id)]
    if stale:
        raise ValueError(
            f"Need records of the checks as they are, got missing or stale ones of {', '.join(stale)}: run {RECORD}."
        )
    return found


def own_claims(of: dict[str, dict[str, Any]]) -> str:
    """The table of this project's claims, with the comparison that is nearest to its tolerance."""
    rows = ["| statement | check | comparisons | residual | tolerance |", f"|{'-' * 22}|{'-' * 50}|{'---------:|' * 3}"]
    for id in claims.ORDER[len(claims.PAPER) :]:
        row, (where,) = of[id], SOURCE.findall(CLAIMS[id].source)
        rows.append(f"| {where} | {id} | {row['instances']} | {row['residual']:.1e} | {row['tolerance']:.1e} |")
    return "\n".join(rows)


def one(pattern: str, text: str, name: str) -> str:
    """The number that an expression finds.

    Raises:
        ValueError: if it finds none.
    """
    found = re.search(pattern, text, re.M)
    if not found:
        raise ValueError(
            f"Need the number {name!r} of the note, got no line that matches {pattern}: correct note_source.py."
        )
    return found[1]


def of_pages() -> dict[str, str]:
    """Numbers of committed tables.

    Raises:
        ValueError: if one is not there.
    """
    benchmarks = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    networks = (ROOT / "docs" / "real_networks.md").read_text(encoding="utf-8")
    found = {
        f"networks/{name}": one(pattern, one(f"(?s)<!-- {mark} -->(.*)<!-- end of {mark} -->", networks, mark), name)
        for name, (mark, pattern) in NETWORKS.items()
    }
    crosses = []
    for flow in ("riemannian", "renormalized", "unnormalized"):
        one(ACCURACY.format(flow=flow), benchmarks, flow)
        rows = re.findall(ACCURACY.format(flow=flow), benchmarks, re.M)
        found[f"accuracy/{flow}"] = max((error for error, _ in rows), key=float)
        crosses += [cross for _, cross in rows]
    found["accuracy/cross"] = f"{min(map(float, crosses)):.1f}"
    found["general path/problems"] = one(r"^(\d+) problems, ", benchmarks, "general path/problems")
    one(GENERAL, benchmarks, "general path/largest")
    found["general path/largest"] = max(re.findall(GENERAL, benchmarks, re.M), key=float)
    return found


def insertions() -> dict[str, str]:
    """Every name that the text may insert, and what is inserted."""
    of = records()
    found = of_pages() | {f"{id}/verdict": row["verdict"] for id, row in of.items()}
    found |= {f"four points/{name}": f"{value:.3g}" for name, value in note_figure.numbers().items()}
    return {name: powers(text) for name, text in found.items()} | {"table of own claims": own_claims(of)}


def powers(text: str) -> str:
    """A number such as 1e-9 as a power of ten."""
    return re.sub(r"^([\d.]+)e([+-])0*(\d+)$", lambda m: f"${m[1]} \\cdot 10^{{{m[2].strip('+')}{m[3]}}}$", text)


def filled(text: str, values: dict[str, str]) -> str:
    """The text with its insertions.

    Raises:
        ValueError: for a name that is not among the values.
    """
    unknown = sorted({name for name in INSERTION.findall(text) if name not in values})
    if unknown:
        raise ValueError(f"Need names of numbers in [[...]], got {', '.join(unknown)}: see `insertions`.")
    return INSERTION.sub(lambda found: values[found[1]], text)


def convert(to: str) -> str:
    """The note in another format, with its numbers, its references and its figure, which is drawn beside it."""
    import pypandoc  # of the extra `docs`; the numbers need it not

    note_figure.draw(FIGURE)
    text = filled(NOTE.read_text(encoding="utf-8"), insertions())
    arguments = ["--citeproc", f"--bibliography={BIBLIOGRAPHY}", "--wrap=none"]
    return pypandoc.convert_text(text, to, format="markdown-implicit_figures", extra_args=arguments)


def typst(preamble: Path) -> str:
    """The note as Typst, to be compiled in the folder of the figure."""
    body = convert("typst-citations").replace('image("figures/', 'image("')
    body = body.replace("times.circle", "times.o")  # pandoc 3.9 writes the symbol's name before Typst 0.14
    body = re.sub(OPERATOR, r'op("\1")', body)  # pandoc writes text, which Typst sets with a space before a parenthesis
    return f"{preamble.read_text(encoding='utf-8')}\n{body}"


def page() -> str:
    """The note as Markdown for MyST."""
    return convert("commonmark+tex_math_dollars+pipe_tables")
