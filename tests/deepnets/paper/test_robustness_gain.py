"""The gain in robustness, from planted records."""

import json
import subprocess
import sys

import pytest

from deepnet_runs.paper import robustness_gain
from deepnet_runs.storage import runs


def run_of(folder, robustness, errors, images=100):
    rows = [
        {"epoch": epoch, "train_error": error}
        | ({} if value == "no" else {"robustness": value, "robustness_images": images, "robustness_unflipped": 2})
        for epoch, (value, error) in enumerate(zip(robustness, errors, strict=True), start=1)
    ]
    (folder / "config.json").write_text(json.dumps({"robustness": images}))
    (folder / "measurements.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return runs.read(folder)


def test_the_gain_is_of_the_last_epoch_over_the_first_clean_one(tmp_path):
    found = robustness_gain.gain(run_of(tmp_path, [0.1, 0.2, 0.3, 0.25], [0.5, 0.0, 0.1, 0.0]))
    assert found.difference == pytest.approx(0.05)
    assert found.relative == pytest.approx(0.25)
    assert (found.epochs, found.images, found.unflipped) == ((2, 4), (100, 100), (2, 2))
    # over the first epoch of all, or the last epoch that is not clean, it would be another
    assert found.difference not in (pytest.approx(0.15), pytest.approx(-0.05))


def test_a_single_clean_epoch_gains_nothing(tmp_path):
    found = robustness_gain.gain(run_of(tmp_path, [0.1, 0.2], [0.5, 0.0]))
    assert (found.difference, found.relative, found.epochs) == (0.0, 0.0, (2, 2))


@pytest.mark.parametrize(
    ("robustness", "errors", "match"),
    [
        ([0.1, 0.2], [0.5, 0.1], "Need an epoch without a training error, got none in .*: train for longer"),
        (["no", "no"], [0.0, 0.0], "Need a run with robustness, got none in .*: train with --robustness"),
        ([0.1, None], [0.0, 0.0], "Need an image that was flipped, got none of 100 in epoch 2"),
        ([None, 0.1], [0.0, 0.0], "got none of 100 in epoch 1"),
    ],
)
def test_what_has_no_gain_is_refused(tmp_path, robustness, errors, match):
    with pytest.raises(ValueError, match=match):
        robustness_gain.gain(run_of(tmp_path, robustness, errors))


def test_it_needs_no_torch():
    code = "import sys, deepnet_runs.paper.robustness_gain; print(sorted({'torch', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
