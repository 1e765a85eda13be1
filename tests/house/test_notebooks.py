"""The notebooks: each runs from its first cell to its last, and reads without being run."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("1_tour", "2_geometry", "3_three_laws", "4_deep_nets", "5_other_models", "6_your_own_network")
LONGEST_FUNCTION = 25  # lines: a plot
LARGEST_OUTPUT = 150_000  # characters
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
COLAB = REPOSITORY.replace("https://github.com/", "https://colab.research.google.com/github/")
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(name):
    import nbformat  # here, because the grammars that it builds cost seconds, which every worker would pay

    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parsed(cell):
    """The cell as Python, its magics turned into calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(cell.source))


def nodes(notebook, *kinds):
    return [node for cell in code_of(notebook) for node in ast.walk(parsed(cell)) if isinstance(node, kinds)]


def execute(notebook, folder, monkeypatch):
    """Run it in a kernel of its own; the exception of the first cell that fails is raised."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    from nbclient import NotebookClient

    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def test_the_notebooks_are_these():
    assert tuple(sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))) == NAMES
    table = (ROOT / "README.md").read_text()
    assert all(f"(notebooks/{name}.ipynb)" in table for name in NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_in_a_fresh_kernel(name, tmp_path, monkeypatch):
    executed = execute(read(name), tmp_path, monkeypatch)
    assert all(cell.execution_count for cell in code_of(executed) if cell.source.strip())


@pytest.mark.slow
def test_a_false_claim_in_a_notebook_is_noticed(tmp_path, monkeypatch):
    import nbformat
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 + 1 == 3, 'planted'")])
    with pytest.raises(CellExecutionError, match="planted"):
        execute(notebook, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_opens_on_colab_and_installs_only_there(name):
    notebook = read(name)
    first, install = notebook.cells[:2]
    assert first.cell_type == "markdown"
    assert f"({COLAB}/blob/main/notebooks/{name}.ipynb)" in first.source
    (condition,) = [node for node in parsed(install).body if isinstance(node, ast.If)]
    assert ast.unparse(condition.test) == "'google.colab' in sys.modules"
    assert re.search(rf'%pip install -q "central-path(\[deepnets\])? @ git\+{re.escape(REPOSITORY)}"', install.source)
    assert not any("pip" in cell.source.split("#")[0] and cell.source.startswith("%") for cell in code_of(notebook)[1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_functions_and_claims_that_are_asserted(name):
    notebook = read(name)
    for function in nodes(notebook, ast.FunctionDef, ast.AsyncFunctionDef):
        assert function.end_lineno - function.lineno < LONGEST_FUNCTION, function.name
    asserts = nodes(notebook, ast.Assert)
    assert len(asserts) >= 5
    assert not any(isinstance(node.test, ast.Constant) for node in asserts)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_a_run_is_whole_small_and_without_errors(name):
    import nbformat

    notebook = read(name)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_of(notebook)]
    assert counts == list(range(1, len(counts) + 1))  # run once, from top to bottom
    outputs = [out for cell in code_of(notebook) for out in cell.outputs]
    assert outputs
    assert not [out for out in outputs if out.output_type == "error" or out.get("name") == "stderr"]
    kept = [out.get("data", {}) for out in outputs]
    assert any("image/png" in data for data in kept)
    assert not any(WIDGET in data for data in kept)  # without its kernel it would read as an error
    assert max(len(json.dumps(out)) for out in outputs) < LARGEST_OUTPUT
    assert not any("/tmp/" in json.dumps(out) or "/home/" in json.dumps(out) for out in outputs)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata == {} for cell in notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_notebook_lead_to_files(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(f"{REPOSITORY}/blob/main/"):
            assert (ROOT / target.removeprefix(f"{REPOSITORY}/blob/main/")).is_file(), target
        elif not target.startswith("https://"):
            assert (ROOT / "notebooks" / target).is_file(), target


def test_without_pytorch_the_notebook_that_trains_says_how_to_install_it(monkeypatch):
    (cell,) = [cell for cell in code_of(read("4_deep_nets")) if "import torch" in cell.source]
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"Need PyTorch.*pip install 'central-path\[deepnets\]'"):
        exec(cell.source, {})
