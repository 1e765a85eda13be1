"""Write the tables of README.md: verdicts of the claims, numbers of the benchmarks, BibTeX of CITATION.cff.

    python benchmarks/readme_tables.py
    python benchmarks/readme_tables.py --check
    python benchmarks/readme_tables.py --claims runs/theory_checks/claims.json

Replaces the text between `<!-- NAME -->` and `<!-- end of NAME -->`. The verdicts are the expected ones, or those of a
run of `python -m theory_checks`; the numbers are read from the outputs in benchmarks/README.md. With --check nothing
is written, and the exit code is 1 if README.md is stale.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from central_path.names import FLOW_NAMES

ROOT = Path(__file__).resolve().parents[1]
REASONS = {  # why a claim does not hold as printed, in a few words
    "Proposition 4": "a projection onto the tangent space, but not the orthogonal one that the proof of Lemma 4 needs",
    "Section 2, reducing L_NC1": "a large enough push reduces it, a small one need not",
    "Figure 2, caption": "L_NC2/3 falls the fastest, with or without a Simplex ETF",
    "Proposition 2": "for the orthogonal projection",
    "Lemma 5": "for the orthogonal projection",
    "Theorem 3": "affinely independent class means",
    "Corollary 2": "affinely independent class means",
    "Definition 2": "affinely independent class means",
    "Lemma 3": "where omega_j is simple",
    "Proposition 1": "lambda > 0 or Sigma_T > 0",
    "Footnote 7": "lambda > 0 or Sigma_T > 0",
    "Equation 4": "lambda > 0 or Sigma_T > 0",
    "Footnote 7, reason": "lambda > 0",
    "A2, proximity implies b near b_LS": "a bounded mu_G^T Sigma_T^(-1) mu_G",
    "Corollary 2, NC1": "a factor C",
    "Appendix D.6, eigenvalues": "a bounded condition number of Sigma_W",
    "Papyan et al. 2020, Theorem 1": "as it is used: for Sigma_W = 0, or isotropic",
}
ORDER = ("holds", "holds in part", "holds as amended", "fails as printed", "misprint", "unclear")


def registered() -> list[dict]:
    """The claims as `claims.json` has them, with the expected verdicts."""
    from theory_checks import claims
    from theory_checks.framework.registry import CLAIMS

    return [{"claim": id, "verdict": CLAIMS[id].expected, "paper": id in claims.PAPER} for id in claims.ORDER]


def measured(path: Path) -> list[dict]:
    """The same with the verdicts of a run over all claims.

    Raises:
        ValueError: if the run left a claim out.
    """
    found = {row["claim"]: row["verdict"] for row in json.loads(path.read_text(encoding="utf-8"))}
    rows = registered()
    missing = [row["claim"] for row in rows if row["claim"] not in found]
    if missing:
        raise ValueError(f"Need a run over all claims, got {path} without {', '.join(missing)}: leave out the names.")
    return [row | {"verdict": found[row["claim"]]} for row in rows]


def listed(claims: Sequence[str]) -> str:
    """Claims with what holds instead, those of one reason together."""
    of_reason: dict[str, list[str]] = {}
    for claim in claims:
        of_reason.setdefault(REASONS.get(claim, claim), []).append(claim)
    return "; ".join(
        f"{', '.join(same)} ({reason})" if same[0] in REASONS else same[0] for reason, same in of_reason.items()
    )


def verdicts(rows: Sequence[dict]) -> str:
    """A line for each verdict, with the paper's claims that have it.

    Raises:
        ValueError: if a claim that holds has a reason in `REASONS` why it does not.
    """
    paper = [row for row in rows if row["paper"]]
    wrong = [row["claim"] for row in paper if row["verdict"] == "holds" and row["claim"] in REASONS]
    if wrong:
        raise ValueError(f"Need no reason against claims that hold, got one for {', '.join(wrong)}: leave it out.")
    own = [row["verdict"] for row in rows if not row["paper"]]
    said = f"of our own {len(own)}, {own.count('holds')} hold"
    lines = ["| verdict | | claims of the paper |", "| --- | --- | --- |"]
    for verdict in ORDER:
        claims = [row["claim"] for row in paper if row["verdict"] == verdict]
        if claims:
            lines.append(f"| {verdict} | {len(claims)} | {listed(claims)} |")
    return "\n".join([*lines, "", f"These are the {len(paper)} claims of the paper; {said}."])


def outputs(text: str, script: str) -> list[list[str]]:
    """The words of every line that a benchmark printed, from its section of benchmarks/README.md.

    Raises:
        ValueError: if there is no such section.
    """
    found = re.search(rf"^## `python benchmarks/{script}.*?```text\n(.*?)```", text, re.M | re.S)
    if found is None:
        raise ValueError(f"Need the output of {script} in benchmarks/README.md, got none.")
    return [line.split() for line in found.group(1).splitlines()]


def numbers(text: str) -> str:
    """The measured numbers of the benchmarks and their bounds.

    Raises:
        ValueError: if a number is not there.
    """
    rows = [words for words in outputs(text, "accuracy.py") if words[-1] == "holds" and len(words) == 14]
    if not rows or {row[4] for row in rows} != {"riemannian", "renormalized", "unnormalized"}:
        raise ValueError("Need the three flows in the output of accuracy.py, got others.")

    def worst(column: int, wanted: Callable[[list[str]], bool], pick: Callable = max) -> str:
        value = pick(float(row[column]) for row in rows if wanted(row))
        return f"{value:.1f}" if value > 0.1 else f"{value:.1e}".replace("e-0", "e-")

    spread = [words for words in outputs(text, "spread_starts.py") if words[:1] and words[0] in FLOW_NAMES]
    ratio = {words[0]: words[4] for words in outputs(text, "cold_start.py") if words[0] in ("first", "second")}
    horizon, error, drift, cross = 5, 7, 8, 11
    ratios = "time of the main command, first run / later runs, relative to `import jax, diffrax`"
    inverse = (
        "error of the inverted law against 50 digits, omega(0) from 1e-100 to 1e70, t from 0 to 1e280, k from -50 to "
        "2, in units"
    )
    cells = [
        (
            "`riemannian`, `renormalized` to t = 1e12 with default options, C = 2 to 50, random and real features: "
            "largest relative error of omega_j(t) against the flow's own law",
            worst(error, lambda row: row[4] != "unnormalized" and row[horizon] == "1.0e+12"),
            "1e-6",
        ),
        ("the same to t = 1e8 with `--rtol 1e-11`", worst(error, lambda row: row[horizon] == "1.0e+08"), "1e-8"),
        (
            "`unnormalized` to omega = 2e4, from the same features",
            worst(error, lambda row: row[4] == "unnormalized"),
            "1e-6",
        ),
        (
            f"{spread[0][2]} random starts with omega(0) log-uniform from 1e-4 to 1e4, C = 2 to 20, all flows, "
            f"`features` and `means`, default options ({sum(int(row[4]) for row in spread)} refused)",
            max((row[5] for row in spread), key=float).replace("e-0", "e-"),
            "1e-6",
        ),
        (
            "drift from Sigma_W = I (Sigma_T = I) in the runs of the first three rows",
            worst(drift, lambda _: True),
            "1e-6",
        ),
        (
            "smallest distance in log omega to another flow's law, the same starts",
            worst(cross, lambda _: True, min),
            "more than 0.01",
        ),
        (f"{inverse} of machine epsilon x max(1, log growth)", "asserted in the tests", "8"),
        (ratios, f"{ratio['first']} / {ratio['second']}", "5 / 3"),
    ]
    return "\n".join(
        ["| what | measured | bound |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in cells)]
    )


def entry(kind: str, key: str, fields: dict[str, str]) -> str:
    """One entry of BibTeX."""
    return "\n".join([f"@{kind}{{{key},", *(f"  {name:<9} = {{{text}}}," for name, text in fields.items()), "}"])


def bibtex(text: str) -> str:
    """The software and the paper of CITATION.cff as BibTeX."""
    software, paper = text.split("references:")
    own = dict(re.findall(r"^([a-z-]+): \"?(.*?)\"?$", software, re.M))
    developers = re.findall(r"- name: \"(.*)\"", software)
    cited = dict(re.findall(r"^  [- ] ([a-z-]+): \"?(.*?)\"?$", paper, re.M))
    names = re.findall(r"family-names: (.*)\n +given-names: (.*)", paper)
    entries = [
        entry(
            "software",
            "central_path",
            {"title": f"{{{own['title']}}}", "author": f"{{{developers[0]}}}"}
            | {"version": own["version"], "url": own["repository-code"]},
        ),
        entry(
            "inproceedings",
            f"{names[0][0].lower()}{cited['year']}neural",
            {
                "title": f"{{{cited['title']}}}",
                "author": " and ".join(f"{family}, {given.replace('.', '. ').strip()}" for family, given in names),
                "booktitle": cited["collection-title"],
                "year": cited["year"],
                "url": cited["url"],
            },
        ),
    ]
    return "\n".join(["```bibtex", "\n\n".join(entries), "```"])


def between(page: str, name: str, text: str) -> str:
    """A page with a text between its marks.

    Raises:
        ValueError: unless both marks stand there once.
    """
    pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)"
    made, count = re.subn(pattern, lambda found: found[1] + text + found[2], page, flags=re.S)
    if count != 1:
        raise ValueError(f"Need the marks <!-- {name} --> and <!-- end of {name} --> once in the page, got {count}.")
    return made


def updated(readme: str, rows: Sequence[dict], benchmarks: str, citation: str) -> str:
    """README.md as it has to be."""
    readme = between(readme, "verdicts", verdicts(rows))
    return between(between(readme, "numbers", numbers(benchmarks)), "bibtex", bibtex(citation))


def main(argv: list[str] | None = None) -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if README.md is stale")
    parser.add_argument("--claims", type=Path, metavar="FILE", help="measured verdicts (default: the expected ones)")
    args = parser.parse_args(argv)
    try:
        rows = measured(args.claims) if args.claims else registered()
        read = [(ROOT / name).read_text(encoding="utf-8") for name in ("benchmarks/README.md", "CITATION.cff")]
        before = (ROOT / "README.md").read_text(encoding="utf-8")
        after = updated(before, rows, *read)
    except (OSError, ValueError, KeyError, IndexError) as error:
        print(f"readme_tables.py: error: {error}", file=sys.stderr)
        return 2
    if args.check:
        print("README.md is stale: run python benchmarks/readme_tables.py" if after != before else "README.md is right")
        return int(after != before)
    (ROOT / "README.md").write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
