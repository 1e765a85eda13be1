"""docs/real_networks.md holds tables of conditions with their null models, written by the program."""

import json
import re

import pytest
import real_networks_tables as tables

from deepnet_runs.cells.conditions import USUAL
from deepnet_runs.dynamics.judgement import Group
from deepnet_runs.dynamics.law_of_run import LAWS
from deepnet_runs.which_law import ASSUMPTIONS

PAGE = tables.PAGE.read_text(encoding="utf-8")
KEYS = (*ASSUMPTIONS, *(chance for *_, chance in ASSUMPTIONS.values() if chance))


def made_up(name, k=1.5):
    power = {"exponent": k, "R2": 0.5}
    null = {
        "name": "random matrices, P of the run",
        "against": "a common growth factor",
        "P": [64, 64],
        "k": 2.0,
        "k_interval": [1.9, 2.1],
        "distance": 0.05,
        "distances": dict.fromkeys(LAWS, 0.3),
        "within_limit": dict.fromkeys((*LAWS, "own"), 0.25),
        "same": 0.83,
        "clock_exponents": dict.fromkeys(LAWS, 0.9),
    }
    return {
        "label": f"digits resnet8 mse, {name}",
        "runs": ["a", "b"],
        "dataset": "digits",
        "network": "resnet8",
        "loss": "mse",
        "epochs": [[1, 2, 3]] * 2,
        "left_out": 0,
        "largest": 2.0,
        "distance_by_run": [0.1, None],
        "forecast_from": [2, None],
        "k": k,
        "interval": [1.4, 1.6],
        "k_by_run": [1.45, 1.25],
        "within_limit": dict.fromkeys((*LAWS, "own"), 1),
        "distance": 0.1,
        "distances": dict.fromkeys(LAWS, 0.2),
        "verdict": "none",
        "nulls": [null],
        "forecast_errors": {"constant": [0.1, None, 0.3], "own, summed learning rate": [0.5]},
        "clocks": {law: {"lr_sum": [power, None]} for law in LAWS},
        "assumptions": [{key: None if key == "angle_U" else [0.0, 0.25] for key in KEYS}] * 2,
    }


READ = [made_up(name) for name in reversed(USUAL)]  # as which_law.json has them
GROUPS = [Group.from_dict(group) for group in READ]


def test_the_page_has_its_tables_with_a_null_model_below_every_condition():
    for make in tables.TABLES:
        found = re.search(rf"<!-- {make.__name__} -->\n(.*?)\n<!-- end of {make.__name__} -->", PAGE, re.S)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
        assert len({len(row) for row in rows}) == 1
        conditions = [row[0].split(" (")[0] for row in rows[2:] if not row[0].startswith("null: ")]
        assert conditions == [name for name in USUAL if name in conditions] != []
        nulls = len(rows) - 2 - len(conditions)
        assert nulls == (0 if make is tables.predictions else 4 * len(conditions))


def test_the_page_is_what_the_committed_file_gives():
    assert tables.updated(PAGE, tables.groups_of(tables.RECORDS)) == PAGE


def test_numbers_stand_in_their_columns():
    page = tables.updated(PAGE, GROUPS)
    name = "null: random matrices, P of the run = 64"
    for line in (
        "| base (n = 2) | 1.50 | 1.40 to 1.60 | 1.25 to 1.45 | 0.10 | 0.20 | 0.20 | 0.20 |  | none |",
        f"| {name} | 2.00 | 1.90 to 2.10 |  | 0.05 | 0.30 | 0.30 | 0.30 | 83% |  |",
        "| base | 1 of 2 | 1 of 2 | 1 of 2 | 1 of 2 |",
        f"| {name} | 25% | 25% | 25% | 25% |",
        "| base | 0.200 | - | - | - | - | 0.500 |",
        "| base | 1.50 (0.50) | 1.50 (0.50) | 1.50 (0.50) | 0.250 | 0.250 | 0.25 (0.25) | - | 0.25 (0.25) |",
        f"| {name} | 0.90 | 0.90 | 0.90 |  |  |  |  |  |",
    ):
        assert line in page
    assert tables.updated(page, GROUPS) == page
    assert tables.updated(page, [Group.from_dict(made_up(name, 1.7)) for name in USUAL]) != page


@pytest.mark.parametrize(("groups", "match"), [([], "got none"), ([made_up("weekday")], "got weekday")])
def test_groups_of_no_condition_are_refused_and_the_page_stays(tmp_path, capsys, monkeypatch, groups, match):
    copy = tmp_path / "page.md"
    copy.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(tables, "PAGE", copy)
    path = tmp_path / "which_law.json"
    path.write_text(json.dumps({"groups": groups}))
    assert tables.main([str(path)]) == 2
    assert match in capsys.readouterr().err
    assert copy.read_text(encoding="utf-8") == PAGE
    path.write_text(json.dumps({"groups": READ}))
    assert tables.main([str(path)]) == 0
    assert copy.read_text(encoding="utf-8") == tables.updated(PAGE, GROUPS)


@pytest.mark.parametrize("mark", ["exponents", "end of assumptions"])
def test_a_page_without_its_marks_is_refused(mark):
    with pytest.raises(ValueError, match="Need the marks"):
        tables.updated(PAGE.replace(f"<!-- {mark} -->", ""), GROUPS)
