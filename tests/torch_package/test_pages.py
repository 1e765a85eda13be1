"""What the pages say of networks of one's own runs."""

import doctest
import re
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]


def test_the_examples_of_the_page_run():
    text = (ROOT / "docs" / "your_own_network.md").read_text()
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "page", "your_own_network.md", 0)
    assert len(examples.examples) >= 15
    assert doctest.DocTestRunner().run(examples).failed == 0


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
