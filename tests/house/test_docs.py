"""The documentation: the guide's examples run, and the protocol states the recipes of the code.

Links between pages and the reference are checked by Sphinx, whose warnings are errors in CI.
"""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from central_path import simulate
from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.datasets.registry import SETS
from deepnet_runs.training.options import given

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_examples_of_the_guide_run_after_its_first_command(tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="pandas is optional: pip install pandas")
    text = re.sub(r"^<!-- torch -->\n```.*?^```$", "", (DOCS / "guide.md").read_text(), flags=re.M | re.S)
    monkeypatch.chdir(tmp_path)
    command = re.search(r"^python -m central_path\.simulate (.*)$", text, re.M)
    assert command
    assert simulate.main([*shlex.split(command[1]), "--no-plots", "--quiet"]) == 0
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "guide", "guide.md", 0)
    assert len(examples.examples) >= 50
    assert doctest.DocTestRunner().run(examples).failed == 0


@pytest.mark.parametrize("page", ["general_path.md", "nc1.md"])
def test_the_examples_of_a_page_run(page):
    examples = doctest.DocTestParser().get_doctest((DOCS / page).read_text().replace("```", ""), {}, page, page, 0)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_the_protocol_says_what_the_code_does():
    text = (DOCS / "protocol.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (?:`(--[^`]*)`|none) \|$", text, re.M))
    assert len(rows) >= 14
    assert {name: given(words.split()) for name, words in rows.items()} == {name: CONDITIONS[name] for name in rows}
    for name, known in SETS.items():
        assert f"| `{name}` | {known.classes} x {known.per_class}, " in text


def test_no_page_names_a_place_on_one_machine():
    for page in (*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "benchmarks").glob("*.md")):
        assert re.findall(r"(?<![\w./~-])/(?:tmp|home|root|work|opt|mnt)\b\S*", page.read_text()) == [], page
