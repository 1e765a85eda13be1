"""The pages of the API reference, written at build time: one for each package and each of its modules.

A package's page says in a line what each module computes, the first sentence of its docstring; nothing is imported for
it. So a new module has its page without being listed anywhere.
"""

import ast
from pathlib import Path

PACKAGES = ("central_path", "central_path.models", "deepnet_runs", "deepnet_runs.networks", "theory_checks")


def modules_of(folder: Path) -> list[str]:
    """The modules of a package by name, programs to be run by the package's name left out."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))


def first_sentence(path: Path) -> str:
    """Of a module's docstring: its first line, as Markdown."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].replace("|", r"\|").replace("*", r"\*")


def page(name: str) -> str:
    """Of one module."""
    return f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n   :show-inheritance:\n```\n"


def pages(root: Path) -> dict[str, str]:
    """The text of every page by its file's name."""
    found = {}
    for package in PACKAGES:
        folder = root.joinpath(*package.split("."))
        names = modules_of(folder)
        table = [f"| [{name}]({package}.{name}.md) | {first_sentence(folder / f'{name}.py')} |" for name in names]
        below = [f"{package}.{name}" for name in names]
        listing = [
            "| module | what it is |",
            "| --- | --- |",
            *table,
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *below,
            "```",
        ]
        found[f"{package}.md"] = page(package) + "\n## Modules\n\n" + "\n".join(listing) + "\n"
        found |= {f"{name}.md": page(name) for name in below}
    return found


def write(root: Path, folder: Path) -> None:
    """Write the pages that have changed, and delete those of modules that are gone."""
    folder.mkdir(exist_ok=True)
    wanted = pages(root)
    for name, text in wanted.items():
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
