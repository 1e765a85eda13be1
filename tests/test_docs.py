"""The documentation: the guide's examples run, and docstrings and signatures are shown as they are written."""

import ast
import doctest
import inspect
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import breaks
import docstrings
import modules
import pytest
import signatures

from central_path import experiment, flows, inputs, laws, problem, simulate
from deepnet_runs.conditions import CONDITIONS
from deepnet_runs.recipes import PER_CLASS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_examples_of_the_guide_run_after_its_first_command(tmp_path, monkeypatch):
    text = (DOCS / "guide.md").read_text()
    monkeypatch.chdir(tmp_path)
    command = re.search(r"^python -m central_path\.simulate (.*)$", text, re.M)
    assert command
    assert simulate.main([*shlex.split(command[1]), "--no-plots", "--quiet"]) == 0
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "guide", "guide.md", 0)
    assert len(examples.examples) >= 20
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_prose_is_escaped_and_formulas_stay_as_they_are():
    given = [
        "The norm |Mbar|^2 of `W_LS`, and x_ * y.",
        "",
        "    F = a + |t|     `k`",
        "",
        "      G = x_",
        "",
        "Raises:",
        "    ValueError: if |x| is lost, as `horizon`.",
        "",
        "Source: Lemma 1.",
    ]
    assert docstrings.restructured(given) == [
        r"The norm \|Mbar\|^2 of ``W_LS``, and x\_ \* y.",
        "",
        *(".. code-block:: text", "", "    F = a + |t|     `k`", "", "      G = x_", ""),
        "Raises:",
        r"    ValueError: if \|x\| is lost, as ``horizon``.",
        "",
        "*Source:* Lemma 1.",
    ]


def test_a_property_keeps_the_words_before_its_colon():
    lines = ["Losses, NC1: arrays (T,)."]
    docstrings.process(None, "property", "observables", None, None, lines)
    assert lines == ["..", "", "Losses, NC1: arrays (T,)."]
    if find_spec("sphinx"):  # of the extra `docs`
        read = import_module("sphinx.ext.napoleon").GoogleDocstring(lines, what="property", name="observables").lines()
        assert "Losses, NC1: arrays (T,)." in read
        assert not any("type:" in line for line in read)


def test_names_in_tables_may_break_after_their_marks_and_nowhere_else():
    code = '<code class="a.b"><span class="pre">tests/a_b.py</span></code>'
    broken = '<code class="a.b"><span class="pre">tests/<wbr>a_<wbr>b.<wbr>py</span></code>'
    cell = f"<td><p>a.b {code}, {code}</p></td>"
    assert breaks.offered(f"<p>{code}</p>{cell}") == f"<p>{code}</p>{cell.replace(code, broken)}"


def test_what_an_example_prints_is_not_escaped():
    given = ["Example:", "    >>> f(x_)", "    |1_|", "", "    A_ word."]
    assert docstrings.restructured(given) == ["Example:", "    >>> f(x_)", "    |1_|", "", r"    A\_ word."]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (flows.features_field, "Float[Array, 'P C N']"),
        (laws.Law.omega, "Float[Array, '*shape']"),
        (problem.moments_of_samples, "~central_path.snr.Moments"),
        (experiment.run_flow, "FlowResult"),
    ],
)
def test_signatures_have_the_parameters_that_python_sees_and_the_shapes_of_the_source(function, shape):
    found = signatures.written(function)
    assert found
    arguments, result = found
    parsed = ast.parse(f"def f{arguments}: ...").body[0]
    assert isinstance(parsed, ast.FunctionDef)
    names = [argument.arg for argument in (*parsed.args.args, *parsed.args.kwonlyargs)]
    assert names == [name for name in inspect.signature(function).parameters if name != "self"]
    assert result == shape


def test_fields_are_the_signature_of_a_class_and_other_people_s_objects_keep_theirs():
    found = signatures.written(flows.Law)
    assert found
    assert found[0].startswith("(k: int | float | Float[Array, ''], C: int")
    assert signatures.written(Path.read_text) is None


def test_every_module_has_its_page_and_a_line_on_its_package_s():
    pages = modules.pages(ROOT)
    for path in (ROOT / "central_path").glob("[!_]*.py"):
        assert f"automodule:: central_path.{path.stem}\n" in pages[f"central_path.{path.stem}.md"]
        assert f"(central_path.{path.stem}.md)" in pages["central_path.md"]
    assert "__main__" not in "".join(pages)


def test_the_protocol_says_what_the_code_does():
    text = (DOCS / "protocol.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (?:`(--[^`]*)`|none) \|$", text, re.M))
    assert {name: tuple(options.split()) for name, options in rows.items()} == CONDITIONS
    for name, count in PER_CLASS.items():
        assert f"| `{name}` | 10 x {count}, " in text


def test_a_name_in_a_signature_is_that_of_the_module_which_defines_it():
    found = signatures.written(inputs.Given.start)
    assert found == ("(how: ~jax.sharding.NamedSharding | None=None)", "~central_path.experiment.Start")
