"""What is released: sdist and wheel hold what they should; the wheel runs, and is typed, in another folder.

Built by hatchling without a network, installed into an empty environment whose libraries are those of this one.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import central_path

ROOT = Path(__file__).parents[2]
NEEDED = [
    f"{tool} ({remedy})"
    for tool, remedy in (("hatchling", "pip install central-path[dev]"), ("pip", "python -m ensurepip"))
    if find_spec(tool) is None
]
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"the package cannot be built here without {' and '.join(NEEDED)}")
PACKAGES = ("central_path", "theory_checks", "deepnet_runs")
MISUSES = """\
import central_path as cp
run = cp.trajectory(C=3, N=20, flow="riemanian")
run = cp.trajectory(3, 20)
law = cp.law("riemannian", C=3)
print(cp.trajectory(C=3, N=20).omegas)
word: str = cp.trajectory(C=3, N=20).error
found = cp.measure([[1.0, 2.0]], [0])
print(cp.simulated)
"""
COMMANDS = {
    "central-path-simulate": "central_path.simulate",
    "central-path-models": "central_path.models",
    "central-path-check": "theory_checks",
    "central-path-train": "deepnet_runs.train",
    "central-path-grid": "deepnet_runs.grid",
    "central-path-kernel": "deepnet_runs.kernel",
    "central-path-which-law": "deepnet_runs.which_law",
    "central-path-figures": "deepnet_runs.figures",
}
DATA = "central_path/data/digits_resnet8_epoch0040.npz"


def call(*command, cwd, **more):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(tree, target, kind):
    call(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=tree)
    (made,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with the wheel in it, and the libraries of this one behind it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    libraries = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n")  # behind the wheel, their own .pth files unread
    return python


def lacking(names):
    """What a wheel with such files lacks, and what it has too many."""
    kinds = (".py", ".css", ".js")
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    modules = {path.relative_to(ROOT).as_posix() for path in files if path.suffix in kinds}
    wanted = modules | {DATA, "central_path/py.typed"}
    extra = {name for name in names if name.split("/")[0] not in PACKAGES and ".dist-info/" not in name}
    return (wanted - set(names)) | extra


def test_the_wheel_holds_the_three_packages_their_data_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
        assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert lacking(names) == set()
    assert not any("test_" in name or "__pycache__" in name for name in names)
    for planted in (DATA, "central_path/py.typed", "theory_checks/claims.py", "deepnet_runs/report/page.js"):
        assert lacking([name for name in names if name != planted]) == {planted}
    assert lacking([*names, "tests/test_api.py"]) == {"tests/test_api.py"}
    assert f"\nVersion: {central_path.__version__}\n" in metadata
    assert wheel.name == f"central_path-{central_path.__version__}-py3-none-any.whl"
    assert "The dynamics of neural collapse under MSE loss" in metadata.split("\n\n", 1)[1]  # README.md


def test_the_sdist_builds_the_same_wheel_and_holds_what_its_tests_need(wheel, sdist, tmp_path):
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4 on
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **filtered)
    (tree,) = tmp_path.iterdir()
    assert tree.name == f"central_path-{central_path.__version__}"
    again = build(tree, tmp_path / "again", "wheel")
    assert again.read_bytes() == wheel.read_bytes()
    for name in ("tests", "benchmarks", "docs"):
        ours = {path.relative_to(ROOT) for path in (ROOT / name).rglob("*.py") if "_build" not in path.parts}
        assert {path.relative_to(tree) for path in (tree / name).rglob("*.py")} == ours
    for name in ("README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "pyproject.toml"):
        assert (tree / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.parametrize("package", PACKAGES)
def test_what_runs_is_the_installed_package(python, tmp_path, package):
    code = f"import {package}; print({package}.__file__)"
    where = Path(call(python, "-c", code, cwd=tmp_path).strip())
    assert where.is_relative_to(python.parents[1])
    assert not where.is_relative_to(ROOT)


@pytest.mark.slow
def test_the_main_command_runs_outside_of_the_checkout_on_random_features_and_on_those_of_the_package(python, tmp_path):
    said = call(python, "-m", "central_path.simulate", "--C", "10", "--N", "50", cwd=tmp_path)
    assert "results in runs/simulate" in said
    summary = json.loads((tmp_path / "runs" / "simulate" / "summary.json").read_text())
    assert {flow["verdict"] for flow in summary["flows"].values()} == {"agrees"}
    assert (tmp_path / "runs" / "simulate" / "omega.png").stat().st_size > 10_000
    shipped = python.parents[1].glob(f"lib/python*/site-packages/{DATA}")
    means = ["--level", "means", "--no-plots", "--output", "b"]
    call(python, "-m", "central_path.simulate", "--features", next(shipped), *means, cwd=tmp_path)
    assert json.loads((tmp_path / "b" / "summary.json").read_text())["C"] == 10


def test_every_program_has_a_command():
    assert set(COMMANDS) == set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


@pytest.mark.parametrize(("command", "module"), COMMANDS.items())
def test_an_installed_command_is_the_program(python, tmp_path, command, module):
    said = call(python.parent / command, "--help", cwd=tmp_path)
    assert said.startswith(f"usage: python -m {module} ")


def test_an_installed_command_passes_the_exit_code_on(python, tmp_path):
    done = subprocess.run(
        [python.parent / "central-path-simulate", "--C", "1"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "need at least 2 classes, got 1" in done.stderr


def complaints(python, folder, **texts):
    """The lines of users' files that pyright in strict mode complains about, each with what it says, by file."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "pyrightconfig.json").write_text(json.dumps({"strict": ["*.py"]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(python)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    assert said["summary"]["filesAnalyzed"] == len(texts)
    found = {name: {} for name in texts}
    for one in said["generalDiagnostics"]:
        found[Path(one["file"]).stem][one["range"]["start"]["line"] + 1] = one["message"]
    return found


@pytest.mark.slow
def test_a_users_file_passes_the_strictest_type_checking_and_misuses_do_not(python, tmp_path):
    right = (ROOT / "tests" / "house" / "user_example.py").read_text()
    found = complaints(python, tmp_path, right=right, misuses=MISUSES)
    assert found["right"] == {}
    assert set(found["misuses"]) == set(range(2, 9))


def test_a_users_file_runs(python, tmp_path):
    said = call(python, ROOT / "tests" / "house" / "user_example.py", cwd=tmp_path)
    assert said.startswith("Trajectory(riemannian, level spectrum, C=3, N=40, P=3")
