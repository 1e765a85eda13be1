"""The examples of docs/guide.md that need torch or the records of a training run."""

import doctest
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from central_path import simulate

PAGE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()


def test_the_examples_for_torch_and_of_a_run_run(run, tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="pandas is optional: pip install pandas")
    folder, rows = run
    shutil.copytree(folder, tmp_path / "runs" / "resnet8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^<!-- torch -->\n```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(blocks) == 2
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "guide", "guide.md", 0)
    assert doctest.DocTestRunner().run(examples, clear_globs=False).failed == 0
    assert len(examples.globs["rows"]) == len(rows)
    with np.load("features.npz") as saved:
        assert saved["features"].shape == (120, 12)
    options = ["--restrict-rank", "--flow", "renormalized", "--no-plots", "--quiet", "--output", "runs/mine"]
    assert simulate.main(["--features", "features.npz", *options]) == 0
