"""Signatures as the source has them, so that a shape reads Float[Array, "P C N"] and an alias keeps its name."""

import ast
import copy
import inspect
import sys
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("central_path", "deepnet_runs", "theory_checks")


class Qualified(ast.NodeTransformer):
    """Names that a module has imported, as `~module.Name`, of which Sphinx shows `Name` and finds the right one.

    Those of jaxtyping, which are not documented here, stay as they are.
    """

    def __init__(self, module: str):
        self.imported = imported(module)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name in an annotation."""
        whole = self.imported.get(node.id)
        return node if whole is None else ast.Name(f"~{whole}")

    def annotation(self, node: ast.expr | None) -> ast.expr | None:
        """An annotation; one in quotes without them."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        return node and self.visit(node)


@cache
def tree(module: str) -> ast.Module:
    """The source of an imported module."""
    return ast.parse(Path(inspect.getfile(sys.modules[module])).read_text(encoding="utf-8"))


@cache
def imported(module: str) -> dict[str, str]:
    """What a module imports by `from`, for type checkers alone too: full names by names."""
    found = [node for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom) and node.module != "jaxtyping"]
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in found for alias in node.names}


@cache
def definitions(module: str) -> dict[str, ast.AST]:
    """Functions and classes of a module, and of its classes, by their qualified names."""
    found: dict[str, ast.AST] = {}

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[prefix + node.name] = node
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")

    look(tree(module).body, "")
    return found


def written(obj: Any) -> tuple[str, str] | None:
    """Arguments and result of a function; of a class those of its `__init__`, or its fields. None where neither is."""
    obj = inspect.unwrap(obj)
    module = obj.__module__
    if module.partition(".")[0] not in PACKAGES or module not in sys.modules:
        return None
    node = copy.deepcopy(definitions(module).get(obj.__qualname__))
    qualified = Qualified(module)
    if isinstance(node, ast.FunctionDef):
        return _of_function(node, qualified)
    if not isinstance(node, ast.ClassDef):
        return None
    fields = []
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _of_function(statement, qualified)[0], ""
        if isinstance(statement, ast.AnnAssign) and "ClassVar[" not in ast.unparse(statement):
            statement.annotation = qualified.annotation(statement.annotation) or statement.annotation
            fields.append(ast.unparse(statement))
    return (f"({', '.join(fields)})", "") if fields else None


def _of_function(node: ast.FunctionDef, qualified: Qualified) -> tuple[str, str]:
    arguments = node.args
    everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in everything:
        if argument is not None:
            argument.annotation = qualified.annotation(argument.annotation)
    for ordered in (arguments.posonlyargs, arguments.args):
        if ordered and ordered[0].arg in ("self", "cls"):
            del ordered[0]
    result = qualified.annotation(node.returns)
    return f"({ast.unparse(arguments)})", ast.unparse(result) if result else ""


def as_written(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str, str] | None:
    """What autodoc shows in the place of its own."""
    del app, name, options, signature, result
    return written(obj) if what in ("function", "method", "class", "exception") else None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", as_written)
    return {"parallel_read_safe": True}
