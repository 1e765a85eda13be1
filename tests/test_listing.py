"""`python -m central_path` and `python -m deepnet_runs` list every program, with its own first sentence, at no cost."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import central_path
from central_path import listing

ROOT = Path(central_path.__file__).parents[1]
PACKAGES = ("central_path", "deepnet_runs")


def run(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_program_is_listed_with_the_first_sentence_of_its_module(package):
    done = run(package)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, blank, last = done.stdout.splitlines()
    assert (blank, last) == ("", f"central_path {central_path.__version__}; each of them says the rest with --help")
    listed = dict(line.removeprefix("python -m ").split(maxsplit=1) for line in lines)
    guards = {path for path in (ROOT / package).rglob("*.py") if '__name__ == "__main__":' in path.read_text()}
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in guards - {listed_itself(package)}}
    assert set(listed) == {name.removesuffix(".__main__") for name in modules} - {f"{package}.listing"}
    for name, sentence in listed.items():
        spec = f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name
        assert importlib.import_module(spec).__doc__.startswith(sentence)


def listed_itself(package):
    return ROOT / package / "__main__.py"


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("wrong", [["simulate"], ["--list"], ["--hel"]])
def test_anything_else_is_refused_in_one_line(package, wrong):
    done = run(package, *wrong)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert wrong[0] in done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_listing_imports_no_library(package):
    code = f"import sys; sys.argv = ['x']; import runpy\ntry: runpy.run_module('{package}', run_name='__main__')\n"
    code += "except SystemExit: pass\nprint(sorted({'jax', 'torch', 'matplotlib', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_program_must_say_what_it_does(tmp_path):
    (tmp_path / "good.py").write_text('"""Do it.\n\nAt length."""\nif __name__ == "__main__":\n    print(1)\n')
    (tmp_path / "library.py").write_text('"""Not a program."""\n')
    assert list(listing.programs("p", tmp_path)) == [("p.good", "Do it")]
    (tmp_path / "silent.py").write_text('if __name__ == "__main__":\n    print(1)\n')
    with pytest.raises(ValueError, match=r"Need a docstring that says what p\.silent does"):
        list(listing.programs("p", tmp_path))
