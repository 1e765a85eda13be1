"""The pages of the API reference, written at build time from what modules there are.

A package of many readers has a page for each module, and one that says in a line what each computes, the first line of
its docstring; the others are a page each. Nothing is imported for it, and a new module is there without being listed.
"""

import ast
from pathlib import Path

A_PAGE_A_MODULE = ("central_path", "deepnet_runs")
ONE_PAGE = ("central_path.models", "deepnet_runs.networks", "theory_checks")


def modules_of(folder: Path) -> list[str]:
    """The modules of a package by name, programs to be run by the package's name left out."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))


def first_line(path: Path) -> str:
    """Of a module's docstring, as Markdown."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].replace("|", r"\|").replace("*", r"\*")


def section(name: str, level: int = 1) -> str:
    """Of one module: a heading and its docstrings."""
    return f"{'#' * level} {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def pages(root: Path) -> dict[str, str]:
    """The text of every page by its file's name."""
    found = {}
    for package in A_PAGE_A_MODULE:
        folder = root / package
        names = modules_of(folder)
        table = [f"| [{name}]({package}.{name}.md) | {first_line(folder / f'{name}.py')} |" for name in names]
        below = [f"{name} <{package}.{name}>" for name in names]
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
        found[f"{package}.md"] = section(package) + "\n## Modules\n\n" + "\n".join(listing) + "\n"
        found |= {f"{package}.{name}.md": section(f"{package}.{name}") for name in names}
    for package in ONE_PAGE:
        names = modules_of(root.joinpath(*package.split(".")))
        sections = [section(package), *(section(f"{package}.{name}", 2) for name in names)]
        found[f"{package}.md"] = "\n".join(sections)
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
