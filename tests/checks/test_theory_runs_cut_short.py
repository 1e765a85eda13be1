"""`python -m theory_checks` interrupted, ended early, run twice, or unable to write: what is kept, and what it says."""

import contextlib
import json
import signal

import pytest
from made_up_claims import example, missed, refuted, right

from theory_checks.framework import registry
from theory_checks.report import figures, results


def interrupt(draw):
    raise KeyboardInterrupt
    yield


def test_ctrl_c_before_the_first_claim_is_finished_writes_nothing(run, only):
    only(example(interrupt))
    code, captured, rows, _ = run()
    assert (code, rows) == (130, None)
    assert "interrupted" in captured.err


def test_ctrl_c_keeps_the_claims_that_are_finished(run, only):
    only(example(right, name="one"), example(refuted, "holds as amended", name="two"), example(interrupt, name="three"))
    code, captured, rows, text = run()
    assert code == 130
    assert [row["claim"] for row in rows] == ["one", "two"]
    assert "interrupted; 1 of 3 claims not checked" in captured.out
    assert "interrupted: no figures" in captured.err
    assert "interrupted" in text


def test_an_interrupt_that_a_callback_swallows_ends_the_run_after_the_claim(run, only):
    def swallowed(draw):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        yield from right(draw)

    before = signal.getsignal(signal.SIGINT)
    only(*(example(check, name=name) for name, check in (("one", right), ("two", swallowed), ("three", right))))
    code, captured, rows, _ = run()
    assert code == 130
    assert [row["claim"] for row in rows] == ["one", "two"]
    assert "interrupted; 1 of 3 claims not checked" in captured.out
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_figures_are_drawn_keeps_every_claim(run, only, monkeypatch):
    def interrupted(seed):
        raise KeyboardInterrupt

    monkeypatch.setitem(figures.FIGURES, "interrupted", interrupted)
    only(example(right, figure="interrupted"))
    code, captured, rows, _ = run()
    assert (code, len(rows)) == (130, 1)
    assert "interrupted: no figures" in captured.err


def test_exit_first_ends_at_the_first_claim_that_is_not_as_expected(run, only):
    only(*(example(check, name=name) for name, check in (("one", right), ("two", missed), ("three", right))))
    code, captured, rows, _ = run("--exit-first")
    assert code == 1
    assert [row["claim"] for row in rows] == ["one", "two"]
    assert "ended at the first claim that is not as expected, two; 1 of 3 claims not checked" in captured.out
    code, _, rows, _ = run()
    assert (code, len(rows)) == (1, 3)


@pytest.mark.parametrize("partial", [["one"], ["--quick"]])
def test_a_partial_run_never_replaces_a_full_report(run, only, tmp_path, monkeypatch, partial):
    two = [example(right, name=name) for name in ("one", "two")]
    only(*two)
    monkeypatch.setattr(registry, "CLAIMS", {claim.id: claim for claim in two})
    monkeypatch.setattr(results, "CLAIMS", registry.CLAIMS)
    _, captured, before, _ = run(*partial)
    assert not captured.err
    _, captured, full, _ = run()
    assert len(full) == 2
    assert "replaced the results of an earlier run" in captured.err
    for again in (False, True):
        _, captured, after, _ = run(*partial)
        assert after == full
        assert "holds a full report" in captured.err
        assert ("replaced the results" in captured.err) == again
        beside = json.loads((tmp_path / "out-partial" / "claims.json").read_text())
        assert [row["claim"] for row in beside] == [row["claim"] for row in before]
        assert (tmp_path / "out-partial" / "report.html").is_file()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '[{"claim": "Lemma 7"}]', "null"])
def test_what_is_no_full_report_may_be_replaced(tmp_path, text):
    (tmp_path / "claims.json").write_text(text)
    assert not results.is_full(tmp_path)
    assert not results.is_full(tmp_path / "not there")


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
    def full(path, outcomes, how):
        raise OSError("no space left")

    monkeypatch.setattr(results, "write_claims", full)
    only(example(right))
    code, captured, rows, _ = run()
    assert (code, rows) == (2, None)
    assert captured.err.count("\n") == 1
