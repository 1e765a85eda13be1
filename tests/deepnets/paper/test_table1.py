"""Table 1 against plain arithmetic on the records, and the published numbers against the paper's own caption."""

import csv
import statistics

import made_up_runs
import pytest

from deepnet_runs.paper import table1
from deepnet_runs.paper.experiments import grouped
from deepnet_runs.paper.published import ACCURACY_GAIN, TABLE1
from deepnet_runs.storage import runs
from deepnet_runs.training.recipes import PUBLISHED_MSE


def read(*folders):
    return grouped([runs.read(folder) for folder in runs.within(folders)])[0]


def accuracies(before, after, *, clean_from=5):
    """Rows whose test error is one number at the first epoch without a training error and another at the last."""
    made = made_up_runs.rows(clean_from=clean_from)
    for row in made:
        row["test_error"] = 0.9
    next(row for row in made if row["epoch"] >= clean_from)["test_error"] = 1 - before / 100
    made[-1]["test_error"] = 1 - after / 100
    return made


def test_the_published_numbers_are_those_of_the_papers_pairs_and_give_its_caption():
    assert set(TABLE1) == set(PUBLISHED_MSE)
    gains = [after - before for before, after in TABLE1.values()]
    assert statistics.median(gains) == pytest.approx(ACCURACY_GAIN.median, abs=0.005)  # from rounded accuracies
    assert statistics.fmean(gains) == pytest.approx(ACCURACY_GAIN.mean, abs=0.005)


@pytest.fixture
def folder(tmp_path):
    for seed, (before, after) in enumerate(((80.0, 90.0), (82.0, 91.0), (84.0, 95.0))):
        made = accuracies(before, after)
        made_up_runs.write(tmp_path / str(seed), "resnet18", dataset="mnist", seed=seed, made=made)
    made_up_runs.write(tmp_path / "ce", "resnet18", dataset="mnist", loss="ce", made=accuracies(70.0, 75.0))
    made_up_runs.write(tmp_path / "digits", "vgg7", made=accuracies(50.0, 52.0))
    return tmp_path


def lines(text):
    table = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {tuple(cells[:3]): cells[3:] for cells in table[2:]}


def test_mean_and_spread_of_the_seeds_stand_beside_the_published_numbers(folder):
    text = table1.markdown(read(folder))
    found = lines(text)
    assert found["MNIST", "ResNet18", "MSE"] == ["3", "82.00 ± 2.00", "99.16", "92.00 ± 2.65", "99.70"]
    assert found["MNIST", "ResNet18", "CE"] == ["1", "70.00", "-", "75.00", "-"]
    assert found["digits", "VGG7", "MSE"] == ["1", "50.00", "-", "52.00", "-"]
    assert "median 6, mean 6 (2 MSE cells, 4 runs; published: median 0.962, mean 1.833 over 15)" in text


def test_a_later_epoch_without_an_error_is_not_taken(folder):
    """Planted: the second clean epoch has another accuracy."""
    cell = read(folder)[0]
    rows = [row for row in cell.runs[0].rows if row.train_error == 0]
    assert table1.at_zero_error(cell.runs[0]) == 100 * (1 - rows[0].test_error) == pytest.approx(80)
    assert 100 * (1 - rows[1].test_error) != pytest.approx(80, abs=1)


def test_cells_say_what_they_lack(tmp_path):
    made_up_runs.write(tmp_path / "never", "vgg7", made=accuracies(80, 90, clean_from=30)[:-1])
    made_up_runs.write(tmp_path / "once", seed=0, made=accuracies(80, 90))
    made_up_runs.write(tmp_path / "not", seed=1, made=made_up_runs.rows(clean_from=1000))
    found = lines(table1.markdown(read(tmp_path)))
    assert found["digits", "VGG7", "MSE"] == ["1", "no zero-error epoch", "-", "not finished", "-"]
    assert found["digits", "ResNet8", "MSE"][1] == "80.00 (1 of 2 seeds)"
    text = table1.gains(read(tmp_path / "never"))
    assert text.startswith("Gain from the first zero-error epoch to the last, test accuracy, percentage points: none")


def test_the_file_for_programs_has_the_same_numbers_in_full(folder):
    rows = list(csv.DictReader(table1.comma_separated(read(folder)).splitlines()))
    first = rows[0]
    assert (first["dataset"], first["network"], first["loss"]) == ("mnist", "resnet18", "mse")
    assert float(first["at_zero_error_mean"]) == pytest.approx(82)
    assert float(first["at_end_std"]) == pytest.approx(statistics.stdev([90, 91, 95]))
    assert (first["at_zero_error_published"], first["at_end_published"]) == ("99.16", "99.7")
    assert rows[2]["at_end_published"] == rows[2]["at_end_std"] == ""
