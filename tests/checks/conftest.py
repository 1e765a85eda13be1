"""The program with claims of a test's own, and run into a temporary folder."""

import json

import pytest

from theory_checks import __main__ as program
from theory_checks import claims
from theory_checks.framework import registry


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
