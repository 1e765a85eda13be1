"""The recipes of docs/extending.md, followed as they are printed, in a copy of the packages.

A flow, a metric and a condition take one new file at most and one line elsewhere, and are then found by the commands
and by the Python interface.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
RECIPES = {
    "A flow": ["central_path/flows/class_averaged.py", "central_path/names.py"],
    "A metric": ["central_path/metrics/within_share.py", "central_path/metrics/catalogue.py"],
    "A condition of the grid": ["deepnet_runs/cells/conditions.py"],
}
MEASURE = """\
import json, numpy as np, central_path as cp
with np.load("features.npz") as file:
    found = cp.measure(file["features"], file["labels"])
    coinciding = cp.measure(np.ones((6, 2)), [0, 0, 0, 1, 1, 1])
values = [found["within_share"], "within_share" in found, found.nc1]
print(json.dumps([*values, coinciding["within_share"], coinciding.reasons["within_share"]]))
"""


def new_files_and_lines(recipe):
    """Text of the new files, and of lines added elsewhere: what stood there, and what stands there then; by path."""
    (section,) = re.findall(rf"^## {recipe}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    files = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", section, re.M | re.S))
    changes = {}
    for path, hunk in re.findall(r"^```diff\n--- \S+\n\+\+\+ (\S+)\n@@[^\n]*\n(.*?)^```", section, re.M | re.S):
        lines = hunk.splitlines()
        before, after = ("\n".join(line[1:] for line in lines if not line.startswith(sign)) for sign in ("+", "-"))
        changes[path] = before, after, [line for line in lines if not line.startswith(" ")]
    return files, changes


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with all three recipes followed."""
    root = tmp_path_factory.mktemp("extended")
    for package in ("central_path", "deepnet_runs"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "data"))
    for recipe in RECIPES:
        files, changes = new_files_and_lines(recipe)
        for path, text in files.items():
            assert not (root / path).exists()
            (root / path).write_text(text)
        for path, (before, after, _) in changes.items():
            text = (root / path).read_text()
            assert text.count(before) == 1, f"{path} has not once what the recipe shows: {before}"
            (root / path).write_text(text.replace(before, after))
    return root


def run(copy, folder, *command):
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_takes_one_new_file_and_one_line_elsewhere(recipe):
    files, changes = new_files_and_lines(recipe)
    assert [*files, *changes] == RECIPES[recipe]
    assert len(files) <= 1
    assert sum(len(changed) for *_, changed in changes.values()) == 1
    for text in files.values():
        assert ast.get_docstring(ast.parse(text))


def test_the_metric_is_measured(copy, tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 8)
    h = rng.standard_normal((24, 5)) + 2 * np.eye(3, 5)[y]
    np.savez(tmp_path / "features.npz", features=h, labels=y)
    share, listed, nc1, coinciding, reason = json.loads(run(copy, tmp_path, "-c", MEASURE))
    means = np.array([h[y == c].mean(axis=0) for c in range(3)])
    within, between = ((h - means[y]) ** 2).sum() / 24, ((means - h.mean(axis=0)) ** 2).sum() / 3
    assert listed
    np.testing.assert_allclose(share, within / (within + between), rtol=1e-12)
    assert abs(nc1 / share - 1) > 0.01  # another metric in its place would be seen
    assert np.isnan(coinciding)
    assert reason


def test_the_flow_is_simulated_and_agrees_with_its_law(copy, tmp_path):
    sizes = ["--C", "3", "--N", "10", "--flow", "renormalized", "--flow", "class_averaged", "--no-plots", "--quiet"]
    run(copy, tmp_path, "-m", "central_path.simulate", *sizes, "--output", str(tmp_path))
    flows = json.loads((tmp_path / "summary.json").read_text())["flows"]
    assert {name: flow["verdict"] for name, flow in flows.items()} == {
        "renormalized": "agrees",
        "class_averaged": "agrees",
    }
    assert flows["class_averaged"]["max_relative_error"] < 1e-6
    assert flows["class_averaged"]["error_against"]["renormalized"] > 0.1
    np.testing.assert_allclose(flows["class_averaged"]["t_max"], 3 * flows["renormalized"]["t_max"])


@pytest.mark.slow
def test_the_flow_takes_a_kernel(copy, tmp_path):
    flow = ["--flow", "class_averaged", "--kernel", "0.3", "--level", "means", "--no-plots", "--quiet"]
    run(copy, tmp_path, "-m", "central_path.simulate", "--C", "3", "--N", "10", *flow, "--output", str(tmp_path))
    found = json.loads((tmp_path / "summary.json").read_text())["flows"]["class_averaged"]
    assert (found["verdict"], found["kernel"]) == ("agrees", 0.3)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install central-path[deepnets]")
@pytest.mark.slow
def test_a_cell_is_trained_under_the_condition_and_its_rows_have_the_metric(copy, tmp_path):
    of_grid = ["--conditions", "large-batch", "--networks", "vgg7", "--executor", "local", "--quiet"]
    of_cells = ["--", "--epochs", "2", "--device", "cpu", "--save-features"]
    run(copy, tmp_path, "-m", "deepnet_runs.grid", *of_grid, "--output", str(tmp_path), *of_cells)
    folder = tmp_path / "digits-vgg7-mse-0-large-batch"
    assert json.loads((folder / "config.json").read_text())["batch_size"] == 700
    rows = [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    shutil.copy(folder / "features" / "epoch_0002.npz", tmp_path / "features.npz")
    share, *_ = json.loads(run(copy, tmp_path, "-c", MEASURE))
    np.testing.assert_allclose(rows[1]["within_share_train"], share, rtol=1e-9)
    assert rows[1]["within_share_test"] > 0
    read = f"from pathlib import Path; from deepnet_runs.storage import runs; r = runs.read(Path({str(folder)!r})).rows"
    said = run(copy, tmp_path, "-c", f"{read}; print(r[1].further['within_share_train'], list(r[1].to_dict()))")
    assert said.startswith(repr(rows[1]["within_share_train"]))
    assert said.endswith(f"{list(rows[1])}\n")
