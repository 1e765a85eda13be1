"""`python -m central_path.models`: what it prints, writes and refuses, and what it says of a model that is wrong."""

import io
import json
import sys

import numpy as np
import pytest
from refusal import refused

from central_path.models import __main__ as program
from central_path.models import judge, outcome, report
from central_path.models.hui import Hui
from central_path.models.model import VALUE, Fact


@pytest.fixture
def small(monkeypatch):
    """The model that is run here has one instance; all of them run in test_suite.py."""
    monkeypatch.setattr(Hui, "instances", classmethod(lambda cls: (cls(1.0, 1.0),)))


def test_a_run_writes_its_tables_whole(tmp_path, capsys, small):
    assert program.main(["hui", "--starts", "1", "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "as predicted" in said.out
    assert "gradient at W_LS" in said.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"models.json", "hui.png"}
    written = json.loads((tmp_path / "out" / "models.json").read_text())
    (entry,) = written["models"]
    assert entry["verdict"] == "as predicted"
    assert len(entry["runs"]) == len(Hui.instances())
    assert all(run["residuals"][VALUE] <= 1e-9 for run in entry["runs"])
    assert all(fact["holds"] for fact in entry["facts"])


@pytest.mark.slow  # both models whole, in processes of their own
def test_models_judged_side_by_side_come_in_their_order(tmp_path, capsys):
    asked = ["papyan", "hui", "--starts", "1", "--jobs", "2", "--no-plots", "--output", str(tmp_path)]
    assert program.main(asked) == 0
    assert capsys.readouterr().out.count("as predicted") == 2
    written = json.loads((tmp_path / "models.json").read_text())
    assert [entry["model"] for entry in written["models"]] == ["papyan", "hui"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--jobs", "0"], "need from 1 to 256 processes, got 0"),
        (["zhang"], "need models among mixon, lu, "),
        (["--starts", "0"], "need from 1 to 1000 starts, got 0"),
        (["--seed", "-1"], "got -1"),
        (["--output", "file"], "file is not a folder"),
    ],
)
def test_what_cannot_be_gets_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert match in refused(capsys, program.main, ["--no-plots", *arguments])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def half(fault):
    return Fact("half", 0.5, 0.5 if fault == 0 else 0.6, 1e-3, "a planted fault", fault)


class WrongPrediction(Hui):  # pyright: ignore[reportGeneralTypeIssues]
    def predicted(self, point, *, fault=False):
        return super().predicted(point, fault=fault) | {VALUE: np.asarray(np.nan)}

    @classmethod
    def facts(cls):
        yield half(1.0)


class WrongFact(Hui):  # pyright: ignore[reportGeneralTypeIssues]
    @classmethod
    def facts(cls):
        yield half(1.0)


class BlindFact(Hui):  # pyright: ignore[reportGeneralTypeIssues]
    @classmethod
    def facts(cls):
        yield half(0.0)


class Failing(Hui):  # pyright: ignore[reportGeneralTypeIssues]
    @classmethod
    def facts(cls):
        raise RuntimeError("the solver\ngave up")


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (WrongPrediction, "value off by nan"),
        pytest.param(WrongFact, "half: off by 1.0e-01, at most 1e-03 expected", marks=pytest.mark.slow),
        pytest.param(BlindFact, "half: planted fault missed", marks=pytest.mark.slow),
        (Failing, "failed with RuntimeError: the solver gave up"),
    ],
)
def test_what_is_not_as_predicted_is_said(model, match, small):
    found = outcome.run(model, starts=1, seed=0)
    assert found.verdict == "not as predicted"
    assert any(match in text for text in found.complaints)
    assert report.number(0.0) == "0"


def interrupted(judge_all, names, options):
    """The last model, then Ctrl-C."""
    yield from judge_all(names[-1:], **options)
    raise KeyboardInterrupt


@pytest.mark.slow
def test_ctrl_c_keeps_the_models_that_are_finished_beside_earlier_results(tmp_path, monkeypatch, capsys, small):
    whole = judge.judge_all
    monkeypatch.setattr(judge, "judge_all", lambda names, **options: interrupted(whole, names, options))
    command = ["papyan", "hui", "--starts", "1", "--jobs", "1", "--output", str(tmp_path)]
    for folder in (tmp_path, tmp_path / "interrupted"):
        assert program.main(command) == program.INTERRUPTED
        said = capsys.readouterr()
        expected = f"{program.PROGRAM}: interrupted; 1 of 2 models finished, written to {folder}\n"
        assert said.err == expected
        assert said.out.count("as predicted") == 1
        assert {path.name for path in folder.iterdir() if path.is_file()} == {"models.json", "hui.png"}
        written = json.loads((folder / "models.json").read_text())
        assert written["interrupted"] is True
        assert [entry["model"] for entry in written["models"]] == ["hui"]


def test_ctrl_c_before_a_model_is_finished_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(judge, "judge_all", lambda names, **options: interrupted(lambda *_, **__: [], names, options))
    assert program.main(["hui", "--output", str(tmp_path / "out")]) == program.INTERRUPTED
    assert capsys.readouterr().err == f"{program.PROGRAM}: interrupted, nothing written\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_terminal_shows_which_models_are_at_work(tmp_path, monkeypatch, small):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stream)
    assert program.main(["hui", "--starts", "1", "--jobs", "1", "--no-plots", "--output", str(tmp_path)]) == 0
    assert "at work: hui" in stream.getvalue()
