"""docs/real_networks.md holds the tables of a whole grid of conditions, and no other's."""

import json
import re

import pytest
import real_networks_tables as tables

from deepnet_runs.conditions import USUAL
from deepnet_runs.law_of_run import LAWS
from deepnet_runs.which_law import PREMISES

PAGE = tables.PAGE.read_text(encoding="utf-8")


def made_up(name, k=1.5):
    power = {"exponent": k, "R2": 0.5}
    return {
        "label": f"digits resnet8 mse, {name}",
        "runs": ["a", "b"],
        "k": k,
        "interval": [1.4, 1.6],
        "k_by_run": [1.45, 1.25],
        "follow_alone": 1,
        "distance": 0.1,
        "distances": dict.fromkeys(LAWS, 0.2),
        "verdict": "none",
        "forecast_errors": {"constant": [0.1, None, 0.3], "own, summed learning rate": [0.5]},
        "clocks": {law: {"lr_sum": [power, None]} for law in LAWS},
        "premises": [{key: None if key == "angle_U" else [0.0, 0.25] for key in PREMISES}] * 2,
    }


GROUPS = [made_up(name) for name in reversed(USUAL)]


def test_the_page_has_the_tables_of_every_condition_in_their_order():
    for name in ("answer", "foresight", "premises"):
        found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", PAGE, re.S)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
        assert [row[0] for row in rows[2:]] == list(USUAL)
        assert len({len(row) for row in rows}) == 1


def test_numbers_stand_in_their_columns():
    page = tables.updated(PAGE, GROUPS)
    assert "| base | 1 of 2 | 1.50 | 1.40 to 1.60 | 1.25 to 1.45 | 0.10 | 0.20 | 0.20 | 0.20 | none |" in page
    assert "| base | 0.200 | - | - | - | - | 0.500 |" in page
    assert "| base | 1.50 (0.50) | 1.50 (0.50) | 1.50 (0.50) | 0.250 | 0.250 | 0.25 | - | 0.25 |" in page
    assert tables.updated(page, GROUPS) == page
    assert tables.updated(page, [made_up(name, 1.7) for name in USUAL]) != page


def test_a_grid_that_lacks_a_condition_is_refused_and_the_page_stays(tmp_path, capsys, monkeypatch):
    copy = tmp_path / "page.md"
    copy.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(tables, "PAGE", copy)
    path = tmp_path / "which_law.json"
    path.write_text(json.dumps({"groups": [group for group in GROUPS if not group["label"].endswith("vgg7")]}))
    assert tables.main([str(path)]) == 2
    assert "without vgg7" in capsys.readouterr().err
    assert copy.read_text(encoding="utf-8") == PAGE
    path.write_text(json.dumps({"groups": GROUPS}))
    assert tables.main([str(path)]) == 0
    assert copy.read_text(encoding="utf-8") == tables.updated(PAGE, GROUPS)


@pytest.mark.parametrize("mark", ["answer", "end of premises"])
def test_a_page_without_its_marks_is_refused(mark):
    with pytest.raises(ValueError, match="Need the marks"):
        tables.updated(PAGE.replace(f"<!-- {mark} -->", ""), GROUPS)
