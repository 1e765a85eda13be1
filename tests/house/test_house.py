"""The house: imports run one way, the core needs no torch, printed commands are real."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import central_path

ROOT = Path(__file__).parents[2]
PACKAGE = Path(central_path.__file__).parent
LIGHT = (
    *("central_path.simulate", "central_path.cli.plots"),
    *("deepnet_runs.kernel", "deepnet_runs.which_law", "deepnet_runs.figures"),
)


@pytest.mark.parametrize("module", [*LIGHT, "deepnet_runs.grid"])
def test_starting_a_program_imports_no_jax_and_the_mathematics_no_matplotlib_or_torch(module):
    code = f"import sys, {module}; print(sorted({{'jax', 'torch'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_mathematics_needs_neither_matplotlib_nor_torch_nor_scikit_learn():
    heavy = "{'matplotlib', 'torch', 'sklearn'}"
    code = f"import sys, central_path.simulation.experiment; print(sorted({heavy} & set(sys.modules)))"
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


MOVED = [
    f"{package}.{path.stem}"
    for package in ("central_path", "theory_checks")
    for path in (ROOT / package).glob("*.py")
    if "removed in the next release" in path.read_text()
]


PLANTED = {  # a module of a layer, and an import of one above it
    "central_path/metrics/snr.py": "central_path.theory import problem",
    "theory_checks/framework/paths.py": "theory_checks.paper import section_2",
}


def test_imports_run_one_way_as_the_contracts_say(tmp_path):
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    kept = subprocess.run([*command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert kept.returncode == 0, kept.stdout
    for package in ("central_path", "theory_checks"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (tmp_path / "deepnet_runs").mkdir()
    (tmp_path / "deepnet_runs" / "__init__.py").write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module, above in PLANTED.items():
        with (tmp_path / module).open("a") as file:
            file.write(f"\nfrom {above}\n")
    broken = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert broken.returncode == 1, broken.stdout
    for module, above in PLANTED.items():
        arrow = f"{module.removesuffix('.py').replace('/', '.')} -> {above.replace(' import ', '.')}"
        assert arrow in broken.stdout, broken.stdout


@pytest.mark.parametrize("module", MOVED)
def test_a_moved_module_offers_what_it_offered(module):
    old = importlib.import_module(module)
    new = importlib.import_module(re.findall(r"from (\w+\.\w+\.\w+) import", Path(old.__file__).read_text())[0])
    public = {name for name in vars(new) if not name.startswith("_") and name not in ("annotations",)}
    assert public <= set(vars(old))


PROGRAMS = {
    "central_path.simulate": "central_path.cli.options",
    "central_path.models": "central_path.models.options",
    "theory_checks": "theory_checks.options",
    "deepnet_runs.train": "deepnet_runs.training.options",
    "deepnet_runs.grid": "deepnet_runs.grid",
    "deepnet_runs.kernel": "deepnet_runs.kernel",
    "deepnet_runs.which_law": "deepnet_runs.which_law",
    "deepnet_runs.figures": "deepnet_runs.figures",
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
