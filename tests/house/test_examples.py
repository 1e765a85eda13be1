"""Every public function and class has an example in its docstring, and the examples of modules without torch run."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import central_path
from central_path import metrics

ROOT = Path(__file__).parents[2]
NEEDS_TORCH = ("central_path/torch", "deepnet_runs")  # tests/torch_package runs those
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("central_path", "theory_checks")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text() and not str(path.relative_to(ROOT)).startswith(NEEDS_TORCH)
]
PUBLIC = {
    **{f"central_path.{name}": getattr(central_path, name) for name in central_path.__all__ if name != "__version__"},
    **{
        f"central_path.metrics.{name}": value
        for name, value in vars(metrics).items()
        if inspect.isfunction(value) and value.__module__.startswith("central_path.metrics.")
    },
}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_has_an_example(name):
    assert ">>> " in (PUBLIC[name].__doc__ or ""), name


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_run(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert found.failed == 0


def test_an_example_that_is_wrong_is_seen():
    planted = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "planted", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(planted, out=lambda text: None).failed == 1
