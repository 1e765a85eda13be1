"""README.md says what the claims, the benchmarks and CITATION.cff say, and its commands run every test."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import readme_tables
import suite_cost

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text()
CITATION = (ROOT / "CITATION.cff").read_text()
ROWS = readme_tables.registered()
PLANTED = {"claim": "Lemma 5", "verdict": "holds", "paper": True}


def updated(rows=ROWS, benchmarks=BENCHMARKS, citation=CITATION):
    return readme_tables.updated(README, rows, benchmarks, citation)


def test_the_two_commands_run_every_test_between_them_and_ci_runs_both():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    assert options[options.index("-m") + 1] == "not slow"
    assert suite_cost.command_of("test") == []
    assert suite_cost.command_of("slow") == ["-m", "slow"]
    assert "for part in run test slow; do" in (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert re.findall(r"run: python -m pytest *(.*)", workflow) == ["", "-m slow"]
    with pytest.raises(ValueError, match=r"Need a command .* README\.md marks with <!-- quick -->"):
        suite_cost.command_of("quick")


def test_the_tables_are_not_stale():
    assert updated() == README, "run python benchmarks/readme_tables.py"


def with_number(script, number, *, column, of):
    """The page of benchmarks with another number in the first such line of a script's output."""
    words = next(words for words in readme_tables.outputs(BENCHMARKS, script) if words and of(words))
    line = next(line for line in BENCHMARKS.splitlines() if line.split() == words)
    return BENCHMARKS.replace(line, " ".join([*words[:column], number, *words[column + 1 :]]))


def test_another_verdict_number_or_author_makes_them_stale():
    rows = [row | {"verdict": "misprint"} if row["claim"] == "Lemma 4" else row for row in ROWS]
    assert updated(rows=rows) != README
    worse = with_number("accuracy.py", "9.9e-09", column=7, of=lambda words: words[4:6] == ["riemannian", "1.0e+12"])
    assert "| 9.9e-9 | 1e-6 |" in updated(benchmarks=worse)
    slower = with_number("cold_start.py", "99.9", column=4, of=lambda words: words[0] == "first")
    assert updated(benchmarks=slower) != README
    assert updated(citation=CITATION.replace("Papyan", "Papayan")) != README


def test_every_claim_of_the_paper_stands_in_the_table_once_with_its_verdict():
    table = readme_tables.verdicts(ROWS)
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:-2]]
    of_verdict = {
        verdict: re.split(r"; |, (?!NC1|Theorem|[a-z])", re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", claims))
        for verdict, _, claims in cells
    }
    paper = [row for row in ROWS if row["paper"]]
    for row in paper:
        assert [verdict for verdict, claims in of_verdict.items() if row["claim"] in claims] == [row["verdict"]]
    assert [int(number) for _, number, _ in cells] == [len(claims) for claims in of_verdict.values()]


def test_verdicts_of_a_run_are_read_from_its_claims_and_one_that_left_some_out_is_refused(tmp_path, capsys):
    path = tmp_path / "claims.json"
    path.write_text(json.dumps([{"claim": row["claim"], "verdict": row["verdict"]} for row in ROWS]))
    assert readme_tables.measured(path) == ROWS
    assert readme_tables.main(["--check", "--claims", str(path)]) == 0
    path.write_text(json.dumps([{"claim": row["claim"], "verdict": "unclear"} for row in ROWS]))
    assert readme_tables.main(["--check", "--claims", str(path)]) == 1
    path.write_text(json.dumps([{"claim": "Lemma 4", "verdict": "holds"}]))
    assert readme_tables.main(["--check", "--claims", str(path)]) == 2
    assert "Need a run over all claims" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda: readme_tables.between("no marks", "verdicts", ""), "Need the marks <!-- verdicts -->"),
        (lambda: readme_tables.outputs("", "accuracy.py"), r"Need the output of accuracy\.py"),
        (
            lambda: readme_tables.verdicts([{"claim": "Lemma 5", "verdict": "holds", "paper": True}]),
            "got one for Lemma 5",
        ),
    ],
)
def test_what_is_not_there_is_refused(change, match):
    with pytest.raises(ValueError, match=match):
        change()


def test_every_picture_is_there():
    for picture in re.findall(r"!\[[^\]]+\]\((\S+)\)", README):
        assert (ROOT / picture).is_file()


def test_the_moving_picture_is_one_and_small():
    from PIL import Image

    path = ROOT / "docs" / "figures" / "collapse.gif"
    assert path.stat().st_size < 2 * 2**20
    with Image.open(path) as movie:
        assert movie.n_frames >= 30
