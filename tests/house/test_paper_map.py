"""The paper map: a row for every claim, and every name in it exists."""

import importlib
import re
from pathlib import Path

import pytest

from theory_checks.claims import ORDER
from theory_checks.framework.registry import CLAIMS

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "paper_map.md").read_text().split("## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| claim", "| ---"))
]


def resolve(name):
    """The object behind a dotted name."""
    module, _, attributes = name.partition(".")
    found = importlib.import_module(module)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{attribute}")
    return found


def test_the_map_has_the_claims_of_the_report_in_its_order():
    assert [row[0] for row in ROWS] == list(ORDER)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_name_of_a_row_exists_and_its_verdict_and_check_are_the_registered_ones(row):
    claim, verdict, code, check, tests = row
    assert CLAIMS[claim].expected == verdict
    assert resolve(check.strip("`")) is CLAIMS[claim].check
    for name in re.findall(r"`([^`]+)`", code):
        found = resolve(name)
        assert callable(found) or isinstance(found, property), name
    for name in re.findall(r"`([^`]+)`", tests):
        assert (ROOT / name).is_file(), name


def test_a_name_that_is_not_there_is_noticed():
    with pytest.raises(ModuleNotFoundError):
        resolve("central_path.theory.loss.no_such_loss")
