"""`python -m theory_checks`: its options, exit codes and files, as a reader relies on them."""

import re
import subprocess
import sys

import pytest
from made_up_claims import empty, example, false, loose, missed, nan, raises, refuted, right

from theory_checks import __main__ as program
from theory_checks import claims, options
from theory_checks.framework import registry
from theory_checks.framework.registry import refutation
from theory_checks.report import figures, page

KEYS = {"claim", "source", "statement", "assumptions", "verdict", "expected", "residual", "tolerance", "fault_residual"}
KEYS |= {
    "instances",
    "seconds",
    "fault",
    "parts",
    "derivation",
    "relative_tolerance",
    "off_by",
    "seed",
    "seeds",
    "quick",
}


def test_an_unknown_claim_is_one_line_that_lists_the_known_and_nothing_is_written(run):
    code, captured, rows, _ = run("Lemma 3", "Lemma 99")
    assert (code, rows, captured.out) == (2, None, "")
    assert captured.err.count("\n") == 1
    assert '"Lemma 99"' in captured.err
    assert all(f'"{name}"' in captured.err for name in claims.ORDER)


@pytest.mark.parametrize("arguments", [["--seed", "-1"], ["--quik"], ["--seed", "x"], ["--seeds", "0"]])
def test_unusable_options_are_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        program.main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_in_the_way_is_refused_before_anything_runs(tmp_path, capsys):
    (tmp_path / "out").write_text("in the way")
    assert program.main(["Lemma 7", "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "out").read_text() == "in the way"


def test_options_are_checked_before_jax_is_imported():
    code = "import sys, theory_checks.__main__; print(sorted({'jax', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_claim_of_the_paper_is_there_in_its_order_and_the_list_prints_them(run):
    assert claims.ORDER[: len(claims.PAPER)] == claims.PAPER
    assert sorted(claims.ORDER) == sorted(registry.CLAIMS)
    code, captured, rows, _ = run("--list")
    assert (code, rows) == (0, None)
    assert captured.out.splitlines() == list(claims.ORDER)


def test_every_figure_that_a_claim_names_exists():
    assert {claim.figure for claim in registry.CLAIMS.values() if claim.figure} <= set(figures.FIGURES)


def test_claims_have_an_anchor_each_and_say_what_they_are():
    assert len({page.slug(name) for name in claims.ORDER}) == len(claims.ORDER)
    for claim in registry.CLAIMS.values():
        assert claim.source
        assert claim.statement
        assert claim.fault


def test_one_claim_alone_runs_and_writes_its_row(run):
    code, captured, (row,), text = run("Lemma 7", "--quick")
    assert code == 0
    assert set(row) >= KEYS
    assert (row["claim"], row["verdict"], row["expected"]) == ("Lemma 7", "holds", "holds")
    assert row["residual"] <= row["tolerance"] < row["fault_residual"]
    assert sum(part["instances"] for part in row["parts"]) == row["instances"]
    assert re.search(r"^Lemma 7 +holds +- +\S+e-\d+ +\S+e-\d+ +\S+e[+-]\d+$", captured.out, re.M)
    assert row["derivation"].endswith("no refutation; hence `holds`")
    assert all(part["relative_tolerance"] <= registry.WIDEST for part in row["parts"])
    assert "1 claim: holds 1; all as expected" in captured.out
    assert not captured.err
    assert 'id="lemma-7"' in text


def test_claims_run_in_the_order_of_the_report_and_once(run, only):
    only(*(example(right, name=name) for name in ("one", "two", "three")))
    _, _, rows, _ = run("three", "one", "three")
    assert [row["claim"] for row in rows] == ["one", "three"]


@pytest.mark.parametrize(
    ("check", "expected", "verdict", "said"),
    [
        (right, "fails as printed", "holds", "expected: fails as printed"),
        (refuted, "holds", "holds as amended", "expected: holds"),
        (loose, "holds", "unclear", "x, to within 1 %: tolerance of 1.0e-02 of the quantity compared"),
        (false, "holds", "unclear", "1 = 2: residual 5.0e-01 where at most 4.4e-14"),
        (nan, "holds", "unclear", "nan = 1: residual nan"),
        (raises, "holds", "unclear", "the check failed with ZeroDivisionError: a <b> & c d"),
        (empty, "holds", "unclear", "the check compared nothing"),
        (missed, "holds", "holds", "a fault of nothing: planted fault missed"),
    ],
)
def test_what_is_not_as_expected_is_marked_explained_and_exit_code_1(run, only, check, expected, verdict, said):
    only(example(check, expected))
    code, captured, (row,), text = run()
    assert code == 1
    assert (row["verdict"], row["expected"]) == (verdict, expected)
    assert ("fault missed" if check is missed else "<- not as expected") in captured.out
    assert f"Example <1>: {said}" in captured.out
    assert "1 NOT as expected" in captured.out
    assert "not as expected" in text
    assert "Example &lt;1&gt;" in text
    assert "<b>" not in text
    assert ("error" in row) == (check is raises)


def test_what_is_no_number_is_null(run, only):
    only(example(nan))
    _, _, (row,), _ = run()
    assert row["residual"] is None
    assert row["parts"][0]["residual"] is None


def test_a_claim_that_rests_on_refutations_alone_has_no_residual(run, only):
    def check(draw):
        yield refutation("0 = 1", 1.0)

    only(example(check, "fails as printed"))
    code, captured, (row,), text = run()
    assert code == 0
    assert (row["residual"], row["tolerance"], row["fault_residual"]) == (None, None, None)
    assert row["amendment"] == "1 = 1"
    assert re.search(r"fails as printed +1.0e\+00 +- +- +-$", captured.out, re.M)
    assert "off by at least" in text


def test_seeds_check_each_claim_on_the_instances_of_every_seed(run, only):
    drawn = []

    def check(draw):
        drawn.append(draw.rng.uniform())
        yield from right(draw)

    only(example(check))
    code, captured, (row,), _ = run("--seed", "4", "--seeds", "3", "--quick")
    assert code == 0
    assert len(set(drawn)) == row["instances"] == 3
    assert (row["seed"], row["seeds"], row["quick"]) == (4, 3, True)
    assert "seeds 4 to 6, quick" in captured.out


def test_printed_commands_parse():
    commands = re.findall(r"python -m theory_checks(.*)", f"{options.EPILOG}\n{program.__doc__}")
    assert len(commands) == 6
    for command in commands:
        named = options.parse([word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]).claims
        assert set(named) <= set(claims.ORDER)
