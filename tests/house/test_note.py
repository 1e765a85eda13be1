"""The note: statements and claims refer to each other, quoted verdicts are those of the claims, numbers are known."""

import json
import re

import note_source
import pytest

from theory_checks import claims
from theory_checks.framework.registry import CLAIMS

TEXT = note_source.NOTE.read_text(encoding="utf-8")
STATEMENTS = note_source.statements(TEXT)
OWN = [id for id in claims.ORDER if id not in claims.PAPER]


def test_statements_are_numbered_without_a_gap_and_every_one_names_checks_that_exist_or_is_a_conjecture():
    numbers = [tuple(map(int, statement.name.split()[1].split("."))) for statement in STATEMENTS]
    assert len(numbers) >= 24
    assert numbers == sorted(set(numbers))
    for section in {section for section, _ in numbers}:
        of_section = [number for other, number in numbers if other == section]
        assert of_section == list(range(1, len(of_section) + 1))
    for statement in STATEMENTS:
        assert statement.checks or statement.name.startswith("Conjecture"), statement.name
        assert [id for id in statement.checks if id not in CLAIMS] == []


def test_every_bold_head_of_a_quoted_block_is_read_as_a_statement():
    heads = re.findall(r"^> \*\*([^*]+)\*\*", TEXT, re.M)
    assert heads == [statement.name for statement in STATEMENTS]


@pytest.mark.parametrize("id", OWN)
def test_the_source_of_a_claim_of_ours_is_a_statement_that_names_it(id):
    (source,) = note_source.SOURCE.findall(CLAIMS[id].source)
    (statement,) = [statement for statement in STATEMENTS if statement.name == source]
    assert id in statement.checks


def test_every_statement_has_a_proof():
    blocks = re.split(r"^> \*\*", TEXT, flags=re.M)[1:]
    assert len(blocks) == len(STATEMENTS)
    for block, statement in zip(blocks, STATEMENTS, strict=True):
        assert "\n\n*Proof.*" in block, statement.name
        assert "∎" in block, statement.name


def test_no_line_of_a_formula_begins_as_a_list_would():
    lines = re.findall(r"^(?:> )?(?:[+*-]|\d+[.)]) .*", TEXT, re.M)
    assert all(line.startswith("- *") for line in lines), lines


def test_references_within_the_note_lead_to_statements():
    known = {statement.name for statement in STATEMENTS}
    named = set(re.findall(r"\b((?:Lemma|Proposition|Theorem|Corollary|Counter-example) \d+\.\d+)", TEXT))
    assert named <= known


def test_every_verdict_of_the_paper_other_than_holds_is_explained():
    section = TEXT[TEXT.index("## 10.") : TEXT.index("## 11.")]
    quoted = set(re.findall(r"\[\[(.+?)/verdict\]\]", section))
    assert quoted == {id for id in claims.PAPER if CLAIMS[id].expected != "holds"}


def test_the_recorded_verdicts_are_the_expected_ones():
    recorded = json.loads(note_source.RECORDS.read_text(encoding="utf-8"))
    assert {id: row["verdict"] for id, row in recorded.items()} == {id: CLAIMS[id].expected for id in claims.ORDER}


def test_every_number_is_known_and_none_is_left_out():
    values = note_source.insertions()
    assert "[[" not in note_source.filled(TEXT, values)
    with pytest.raises(ValueError, match="got no such number"):
        note_source.filled("[[no such number]]", values)


def test_a_check_that_changed_since_its_record_is_refused(tmp_path, monkeypatch):
    recorded = json.loads(note_source.RECORDS.read_text(encoding="utf-8"))
    recorded["Lemma 4"]["fingerprint"] = "of another check"
    path = tmp_path / "records.json"
    path.write_text(json.dumps(recorded))
    monkeypatch.setattr(note_source, "RECORDS", path)
    with pytest.raises(ValueError, match=r"stale ones of Lemma 4: run python docs/note/build\.py --record"):
        note_source.records()


def test_a_number_that_left_its_page_is_refused():
    with pytest.raises(ValueError, match="Need the number 'base k'"):
        note_source.one(note_source.NETWORKS["base k"][1], "a page without tables", "base k")
