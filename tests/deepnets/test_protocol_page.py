"""docs/protocol.md names every key of a row."""

import re
from pathlib import Path

import numpy as np

from deepnet_runs.datasets.registry import SETS
from deepnet_runs.storage.row import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def test_images_are_standardised_by_the_numbers_of_the_page():
    rows = re.findall(r"^\| `(\w+)` \| 10+ x .*? \| .*? \| ([0-9., ]+); ([0-9., ]+)\*? \| .*? \|$", PAGE, re.M)
    said = {name: [np.array(numbers.split(", "), float) for numbers in pair] for name, *pair in rows}
    used_by = {name: (known.mean, known.std) for name, known in SETS.items() if known.mean}
    assert said.keys() == used_by.keys()
    for name, pair in used_by.items():
        for numbers, used in zip(said[name], pair, strict=True):
            np.testing.assert_allclose(numbers, used, rtol=0, atol=5e-5, err_msg=name)


def test_every_key_of_a_row_is_named():
    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE))
    named |= {name.replace("_train", "_test") for name in named if name.endswith("_train")}
    assert set(KEYS) - named == set()
