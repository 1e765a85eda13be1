"""`python -m theory_checks`: its options, verdicts, files and page, as a reader relies on them."""

import html.parser
import json
import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from theory_checks import __main__ as program
from theory_checks import claims, figures, formulas, options, page, registry, report
from theory_checks.formulas import MINUS, TIMES
from theory_checks.registry import Claim, Draw, Identity, Outcome, Part, Verdict, identity, refutation

KEYS = {"claim", "source", "statement", "assumptions", "verdict", "expected", "residual", "tolerance", "fault_residual"}
KEYS |= {"instances", "seconds", "fault", "parts"}
TIGHT = 1e-10


def right(draw: Draw):
    for _ in range(draw.repeats):
        x = draw.rng.standard_normal(3)
        yield identity("x + x, against 2 x", x + x, 2 * x, fault=2.001 * x)


def missed(draw: Draw):
    yield from right(draw)
    yield identity("a fault of nothing", 1.0, 1.0, fault=1.0 + 1e-15)


def refuted(draw: Draw):
    yield from right(draw)
    yield refutation("0 = 1", 1.0)


def false(draw: Draw):
    yield identity("1 = 2", 1.0, 2.0, fault=1e3)


def nan(draw: Draw):
    yield identity("nan = 1", math.nan, 1.0, fault=2.0)


def raises(draw: Draw):
    yield from right(draw)
    raise ZeroDivisionError("a <b> & c\nd")


def empty(draw: Draw):
    yield from ()


def example(check, expected: Verdict = "holds", figure=None, name="Example <1>"):
    amendment = None if expected == "holds" else "1 = 1"
    return Claim(name, "here", "omega^2 = C & more", "C >= 2", expected, amendment, "too large", check, figure)


@pytest.fixture
def only(monkeypatch):
    """The program with one claim of the test's own."""

    def put(*of_the_test):
        monkeypatch.setattr(claims, "ORDER", tuple(claim.id for claim in of_the_test))
        for claim in of_the_test:
            monkeypatch.setitem(registry.CLAIMS, claim.id, claim)

    return put


@pytest.fixture
def run(tmp_path, capsys):
    def go(*arguments):
        code = program.main([*arguments, "--output", str(tmp_path / "out")])
        captured = capsys.readouterr()
        if not (tmp_path / "out").exists():
            return code, captured, None, None
        rows = json.loads((tmp_path / "out" / "claims.json").read_text(), parse_constant=pytest.fail)
        return code, captured, rows, (tmp_path / "out" / "report.html").read_text()

    return go


def measured(check, expected: Verdict = "holds", **options):
    return registry.run(example(check, expected), **{"seed": 0, "quick": True, **options})


# ---- verdicts


@pytest.mark.parametrize(
    ("check", "expected", "verdict"),
    [
        (right, "holds", "holds"),
        (right, "fails as printed", "holds"),
        (refuted, "holds as amended", "holds as amended"),
        (refuted, "holds in part", "holds in part"),
        (refuted, "misprint", "misprint"),
        (refuted, "holds", "fails as printed"),
        *((check, "holds", "unclear") for check in (false, nan, raises, empty)),
        *((check, "fails as printed", "unclear") for check in (false, nan, raises, empty)),
    ],
)
def test_the_verdict_follows_from_the_findings(check, expected, verdict):
    outcome = measured(check, expected)
    assert outcome.verdict == verdict
    assert outcome.as_expected == (verdict == expected)


def test_a_missed_fault_is_not_as_expected_though_the_claim_holds():
    outcome = measured(missed)
    assert outcome.verdict == "holds"
    assert not outcome.as_expected
    assert report.shown(outcome) == outcome.parts[1]


def test_a_fault_must_exceed_ten_tolerances():
    part = Part("", "identity", 0.0, TIGHT, "", 10 * TIGHT, 1)
    assert not part.fault_caught
    assert Part("", "identity", 0.0, TIGHT, "", 10.1 * TIGHT, 1).fault_caught
    assert not Part("", "identity", 0.0, TIGHT, "", math.nan, 1).fault_caught


def test_a_part_keeps_its_worst_instance_and_the_fault_that_some_instance_catches():
    def check(draw):
        for residual, tolerance, fault in ((1e-12, TIGHT, 1.0), (9e-11, TIGHT, 2.0), (1e-10, 1e-8, 3e-9)):
            yield Identity("same name", residual, tolerance, "", fault)
        yield refutation("same refutation", 0.5)
        yield refutation("same refutation", 0.2)

    same, off = measured(check, "holds as amended").parts
    assert (same.residual, same.tolerance, same.instances) == (9e-11, TIGHT, 3)
    assert same.fault == pytest.approx(2.0)
    assert (off.residual, off.instances, off.fault) == (0.2, 2, None)


def test_one_nan_among_good_instances_is_not_overlooked():
    def identities(draw):
        for value in (1.0, math.nan, 1.0):
            yield identity("same", value, 1.0, fault=2.0)

    def refutations(draw):
        for value in (1.0, math.nan, 1.0):
            yield refutation("same", value)

    assert measured(identities).verdict == "unclear"
    assert measured(refutations, "fails as printed").verdict == "unclear"


def test_a_weak_refutation_is_unclear():
    def check(draw):
        yield refutation("hardly off", 1e-3)

    assert measured(check, "fails as printed").verdict == "unclear"


def test_the_table_shows_the_tightest_comparison():
    def check(draw):
        yield Identity("loose", 1e-3, 1.0, "", 1e3)
        yield Identity("tight", 5e-11, TIGHT, "", 1.0)

    shown = report.shown(measured(check))
    assert shown is not None
    assert shown.name == "tight"
    assert report.shown(measured(raises)) is None


def test_instances_depend_on_the_seed_and_the_claim_alone(seed):
    def first(name, seed):
        drawn = []

        def check(draw):
            drawn.append(draw.rng.standard_normal(3))
            yield from right(draw)

        registry.run(example(check, name=name), seed=seed, quick=True)
        return drawn[0]

    assert np.array_equal(first("a", seed), first("a", seed))
    assert not np.allclose(first("a", seed), first("b", seed))
    assert not np.allclose(first("a", seed), first("a", seed + 1))


def test_quick_draws_each_instance_once():
    assert measured(right, quick=True).instances == 1
    assert measured(right, quick=False).instances == 4


def test_a_claim_is_registered_once_and_with_an_amendment_where_it_needs_one(monkeypatch):
    monkeypatch.setattr(registry, "CLAIMS", {})
    text: dict[str, Any] = {"source": "", "statement": "", "fault": ""}
    registry.claim("one", **text)(right)
    with pytest.raises(ValueError, match="second for 'one'"):
        registry.claim("one", **text)
    with pytest.raises(ValueError, match="amendment"):
        registry.claim("two", expected="misprint", **text)
    with pytest.raises(ValueError, match="amendment"):
        registry.claim("two", amendment="1 = 1", **text)
    assert list(registry.CLAIMS) == ["one"]


# ---- the program


def test_an_unknown_claim_is_one_line_that_lists_the_known_and_nothing_is_written(run):
    code, captured, rows, _ = run("Lemma 3", "Lemma 99")
    assert (code, rows, captured.out) == (2, None, "")
    assert captured.err.count("\n") == 1
    assert '"Lemma 99"' in captured.err
    assert all(f'"{name}"' in captured.err for name in claims.ORDER)


@pytest.mark.parametrize("arguments", [["--seed", "-1"], ["--quik"], ["--seed", "x"]])
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
    assert re.search(r"^Lemma 7 +holds +\S+e-\d+ +\S+e-\d+ +\S+e[+-]\d+$", captured.out, re.M)
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
        (refuted, "holds", "fails as printed", "expected: holds"),
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
    assert re.search(r"fails as printed +- +- +-$", captured.out, re.M)
    assert "off by at least" in text


def test_ctrl_c_writes_nothing(run, only):
    def check(draw):
        raise KeyboardInterrupt
        yield

    only(example(check))
    code, captured, rows, _ = run()
    assert (code, rows) == (130, None)
    assert "interrupted" in captured.err


def test_a_figure_that_fails_is_said_and_costs_no_results(run, only, monkeypatch):
    def broken(seed):
        raise RuntimeError("no ink")

    monkeypatch.setitem(figures.FIGURES, "broken", broken)
    only(example(right, figure="broken"))
    code, captured, _, text = run()
    assert code == 0
    assert "figure broken not drawn: RuntimeError: no ink" in captured.err
    assert "no ink" in text


def test_results_that_cannot_be_written_are_one_line_and_exit_code_2(run, only, monkeypatch):
    def full(path, outcomes):
        raise OSError("no space left")

    monkeypatch.setattr(report, "write_claims", full)
    only(example(right))
    code, captured, rows, _ = run()
    assert (code, rows) == (2, None)
    assert captured.err.count("\n") == 1


def test_printed_commands_parse():
    commands = re.findall(r"python -m theory_checks(.*)", f"{options.EPILOG}\n{program.__doc__}")
    assert len(commands) == 4
    for command in commands:
        named = options.parse([word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]).claims
        assert set(named) <= set(claims.ORDER)


# ---- the page


class Page(html.parser.HTMLParser):
    """Collects ids, links, sources and texts; counts what is open."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources, self.alts, self.open, self.texts = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        self.alts += [given.get("alt")] if tag == "img" else []
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def everything():
    """The page of all claims with made-up findings of every kind."""
    kinds = [right, refuted, false, nan, raises, empty, missed]
    outcomes = [
        Outcome(claim, registry.run(example(kinds[i % 7]), seed=0, quick=True).parts, 1.0)
        for i, claim in enumerate(registry.CLAIMS[name] for name in claims.ORDER)
    ]
    drawn = {name: (b"<svg/>", figures.caption(name)) for name in figures.FIGURES}
    text = page.page(outcomes, seed=3, quick=True, seconds=1.0, versions={"jax": "0"}, figures=drawn, notes=["a < b"])
    return text, Page(text)


def test_the_page_is_whole_and_has_every_claim_once(everything):
    text, parsed = everything
    assert parsed.open == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert {page.slug(name) for name in claims.ORDER} <= set(parsed.ids)
    for name in claims.ORDER:
        assert text.count(f">{formulas.typeset(name)}</a>") >= 1
        assert text.count(f'-name">{formulas.typeset(name)}</h3>') == 1
    assert "a &lt; b" in text


def test_the_page_needs_no_network_and_its_links_lead_somewhere(everything):
    text, parsed = everything
    assert all(link.startswith("#") and link[1:] in parsed.ids for link in parsed.links)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.sources)
    assert all(parsed.alts)
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert re.search('<html lang="en">', text)


def test_every_verdict_has_a_badge_with_a_word_and_a_sign_of_its_own():
    assert set(page.BADGES) == set(report.VERDICTS)
    assert len({sign for _, sign, _ in page.BADGES.values()}) == len(page.BADGES)
    assert ">?</span>unclear</span>" in page.badge("unclear")


@pytest.mark.parametrize(
    ("plain", "typeset"),
    [
        ("omega_j^2 <= C", "ω<sub>j</sub><sup>2</sup> ≤ C"),
        ("Sigma_W^(-1/2) Mbar", f"Σ<sub>W</sub><sup>{MINUS}1/2</sup> M̄"),
        ("W~_LS", "W̃<sub>LS</sub>"),
        ("max_j omega_(C-1), dx_j/dt", f"max<sub>j</sub> ω<sub>C{MINUS}1</sub>, dx<sub>j</sub>/dt"),
        ("max_angle at 1.5e-3", "max_angle at 1.5e-3"),
        ("L_NC2/3 and L_LS_perp", "L<sub>NC2/3</sub> and L<sub>LS</sub><sup>⊥</sup>"),
        ("omega_{C-1}/omega_1", f"ω<sub>C{MINUS}1</sub>/ω<sub>1</sub>"),
        ("t^(1/(4-2k))", f"t<sup>1/(4{MINUS}2k)</sup>"),
        ("||W||_F^2 -> 0", "‖W‖<sub>F</sub><sup>2</sup> → 0"),
        ("a P x C matrix, x for x", f"a P {TIMES} C matrix, x for x"),
        ("loss_nc1 of `run_flow`", "loss_nc1 of <code>run_flow</code>"),
        ("<script> & 'omegas'", "&lt;script&gt; &amp; &#x27;omegas&#x27;"),
    ],
)
def test_formulas_are_set(plain, typeset):
    assert formulas.typeset(plain) == typeset


# ---- figures


@pytest.mark.parametrize("name", sorted(figures.FIGURES))
def test_a_figure_is_drawn_with_labels_and_a_caption(name):
    with figures.matplotlib.rc_context(figures.STYLE):
        figure = figures.FIGURES[name](0)
    for axis in figure.axes:
        assert axis.get_xlabel()
        assert axis.get_ylabel()
        assert axis.lines
        assert all(np.all(np.isfinite(np.asarray(line.get_ydata(), float))) for line in axis.lines)
    assert len(figures.caption(name)) > 60


def test_a_drawn_figure_is_an_svg_file():
    drawn = figures.draw("losses", 0)
    assert drawn.lstrip().startswith(b"<?xml")
    assert drawn.rstrip().endswith(b"</svg>")
