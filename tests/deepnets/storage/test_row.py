"""A line of measurements.jsonl as a type, and lines of older and newer versions."""

import json
import math

import pytest
from short_runs import KEYS as EXPECTED

from deepnet_runs.storage import runs
from deepnet_runs.storage.row import FURTHER, KEYS, OF_ROBUSTNESS, NetworkMeasurement, Row


def test_the_fields_are_the_keys_of_a_real_line_in_their_order(run):
    folder, lines = run
    assert list(lines[0]) == [key for key in KEYS if key not in OF_ROBUSTNESS]
    assert set(lines[0]) >= EXPECTED
    read = runs.read(folder).rows
    assert [row.to_dict() for row in read] == lines
    assert all(isinstance(row.omega, list) and math.isfinite(row.loss) for row in read)


def test_every_field_is_described():
    text = (NetworkMeasurement.__doc__ or "") + (Row.__doc__ or "")
    assert [key for key in KEYS if f" {key}: " not in text and key not in FURTHER] == []  # these by `further`


def test_a_line_of_an_older_version_lacks_what_it_did_not_record():
    row = Row.from_dict({"epoch": 3, "loss": 1, "nc1_train": None})
    assert (row.epoch, row.loss) == (3, 1.0)
    assert math.isnan(row.nc1_train)
    assert math.isnan(row.lr_sum)
    assert row.snr_right is row.rank_within is row.robustness_images is None
    assert row.omega == []


def test_a_line_of_a_newer_version_is_read_without_its_new_keys():
    known = {"epoch": 3, "loss": 0.5, "omega": [2.0, None]}
    row = Row.from_dict(known | {"later": 1.0})
    assert row.omega[0] == 2.0
    assert math.isnan(row.omega[1])
    assert "later" not in row.to_dict()


def test_robustness_that_was_measured_and_does_not_exist_is_not_robustness_that_was_not_measured():
    measured = {"epoch": 1, "robustness": None, "robustness_images": 5, "robustness_unflipped": 5}
    found = Row.from_dict(measured).to_dict()
    assert math.isnan(found["robustness"])
    assert found["robustness_unflipped"] == 5
    assert not set(OF_ROBUSTNESS) & set(Row.from_dict({"epoch": 1}).to_dict())


@pytest.mark.parametrize("line", [{}, {"epoch": "one"}, {"epoch": 1, "loss": [1.0]}])
def test_what_is_no_line_of_a_run_is_refused_with_the_folder(tmp_path, line):
    with pytest.raises(ValueError, match="need "):
        Row.from_dict(line)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "measurements.jsonl").write_text(json.dumps(line))
    with pytest.raises(ValueError, match=f"Need a run of deepnet_runs.train, got {tmp_path}: need "):
        runs.read(tmp_path)
