"""What the pages say of networks of one's own runs."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
import torch

import central_path.torch

ROOT = Path(__file__).parents[2]
EXPORTED = re.findall(r" as (\w+)$", Path(central_path.torch.__file__).read_text(), re.M)
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("central_path/torch", "deepnet_runs")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", EXPORTED)
def test_what_is_public_has_an_example(name):
    assert ">>> " in (getattr(central_path.torch, name).__doc__ or "")


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_run(module):
    if module.endswith("callbacks"):
        pytest.importorskip("lightning")
        pytest.importorskip("transformers")
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert found.failed == 0


def test_the_examples_of_the_page_run():
    text = (ROOT / "docs" / "your_own_network.md").read_text()
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "page", "your_own_network.md", 0)
    assert len(examples.examples) >= 15
    assert doctest.DocTestRunner().run(examples).failed == 0


@pytest.mark.slow
def test_the_examples_of_the_field_test_run():
    text = (ROOT / "docs" / "field_test.md").read_text()
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "page", "field_test.md", 0)
    assert len(examples.examples) >= 10
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_the_examples_of_the_readme_run(capsys):
    text = (ROOT / "README.md").read_text()
    codes = re.findall(r"^```python\n(from central_path\.torch.*?)^```", text, re.M | re.S)
    labels = torch.arange(30) % 3
    names = {
        "model": torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3)),
        "loader": [(torch.eye(3, 4)[labels] + 0.1 * torch.randn(30, 4), labels) for _ in range(2)],
    }
    measured, tested = codes
    exec(measured, names)
    assert float(capsys.readouterr().out.split()[0]) > 0
    exec(tested, names)
    assert capsys.readouterr().out.startswith("cos(V, -G) = ")
