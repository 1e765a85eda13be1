"""docs/protocol.md names every key of a row."""

import re
from pathlib import Path

from short_runs import KEYS


def test_every_key_of_a_row_is_named():
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    named = set(re.findall(r"`([a-z0-9_]+)`", text))
    named |= {name.replace("_train", "_test") for name in named if name.endswith("_train")}
    assert KEYS - named == set()
