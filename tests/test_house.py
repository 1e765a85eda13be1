"""The house: imports run one way, the core needs no torch, printed commands are real."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import central_path

ROOT = Path(__file__).parents[1]
PACKAGE = Path(central_path.__file__).parent
ORDER = [  # data flows down this list: no module imports one that stands below it
    *(
        "starting",
        "options",
        "arrays",
        "snr",
        "resolved",
        "samples",
        "decomposition",
        "collapse",
        "measurement",
        "wishart",
        "problem",
        "loss",
        "rescaled",
        "manifold",
        "growth",
        "laws",
        "flows",
        "observables",
        "solve",
        "descent",
    ),
    *(
        "horizon",
        "sharding",
        "compiler",
        "experiment",
        "ahead",
        "ensemble",
        "tables",
        "report",
        "records",
        "inputs",
        "plots",
        "ensemble_plots",
        "painter",
    ),
    *("program", "console", "simulate_many", "simulate", "api"),
]


def imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [alias.name for alias in node.names] if node.module == "central_path" else [node.module.split(".")[-1]]
            )
            if node.module.split(".")[0] == "central_path":
                found |= {name for name in names if name != "__version__"}
    return found


@pytest.mark.parametrize("module", ORDER)
def test_imports_run_one_way(module):
    above = set(ORDER[: ORDER.index(module)])
    assert imports(PACKAGE / f"{module}.py") <= above


def test_every_module_is_in_the_order():
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} == set(ORDER)


LIGHT = ("central_path.simulate", "central_path.plots", "deepnet_runs.which_law", "deepnet_runs.figures")


@pytest.mark.parametrize("module", [*LIGHT, "deepnet_runs.grid"])
def test_starting_a_program_imports_no_jax_and_the_mathematics_no_matplotlib_or_torch(module):
    code = f"import sys, {module}; print(sorted({{'jax', 'torch'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_mathematics_needs_neither_matplotlib_nor_torch_nor_scikit_learn():
    code = "import sys, central_path.experiment; print(sorted({'matplotlib', 'torch', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_version_is_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project.get("dynamic", [])
    assert central_path.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {central_path.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_every_dependency_has_a_lower_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    wanted = [item for item in wanted if not item.startswith("central-path[")]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+>=[0-9.]+", item) for item in wanted)


@pytest.mark.parametrize("package", ["theory_checks", "deepnet_runs"])
def test_the_mathematics_imports_none_of_what_is_built_on_it(package):
    assert not any(package in path.read_text() for path in PACKAGE.glob("*.py"))


PROGRAMS = {
    "central_path.simulate": "central_path.options",
    "central_path.models": "central_path.models.options",
    "theory_checks": "theory_checks.options",
    "deepnet_runs.train": "deepnet_runs.training.options",
    "deepnet_runs.grid": "deepnet_runs.grid",
    "deepnet_runs.which_law": "deepnet_runs.which_law",
    "deepnet_runs.figures": "deepnet_runs.figures",
    "deepnet_runs.animate": "deepnet_runs.animate",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_fits_80_columns_and_breaks_no_word(program, monkeypatch):
    options = importlib.import_module(PROGRAMS[program])
    shown = {}
    for columns in (80, 140):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown[columns] = options.parser().format_help()
        assert max(map(len, shown[columns].splitlines())) <= min(columns, 138), columns
    words = {columns: sorted(word for word in text.split() if word != "\\") for columns, text in shown.items()}
    assert words[80] == words[140]


OTHERS = {"venv", "pytest", "sphinx"}
PAGES = (*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").glob("*.md")))


def commands_of(page):
    """Module and options of what the page prints to be run as `-m MODULE`."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.M | re.S)
    return re.findall(r"(?<=-m )([\w.]+)(?: +(.*?))? *(?:&&|$)", "\n".join(blocks), re.M)


def test_the_pages_print_commands_of_every_program():
    assert set(PROGRAMS) <= {module for page in PAGES for module, _ in commands_of(page)}
    assert {"central_path.simulate", "theory_checks"} <= {module for module, _ in commands_of(ROOT / "README.md")}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_printed_commands_parse(page):
    for module, command in commands_of(page):
        if module in OTHERS:
            continue
        options = importlib.import_module(PROGRAMS[module])
        parse = options.parse if hasattr(options, "parse") else options.parser().parse_args
        parse(shlex.split(command, comments=True))


def test_printed_scripts_exist():
    for page in (*PAGES, ROOT / "benchmarks" / "README.md"):
        for script in re.findall(r"python (\S+\.py)", page.read_text()):
            assert (ROOT / script).is_file(), script
