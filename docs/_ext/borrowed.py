"""Pages of other folders in the documentation: copied at build time, their links led to where the copies are.

    file of the repository          its page
    README.md                       readme
    CONTRIBUTING.md, CHANGELOG.md   contributing, changelog
    benchmarks/README.md            benchmarks
    notebooks/*.ipynb               notebooks/*

A link from one page to another is written as it stands in the repository, so that it leads somewhere there too.
"""

import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

PAGES = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
PATTERN = re.compile(r"^```\{toctree\}\n(?:(?!```).*\n)*:glob:\n(?:(?!```).*\n)*(\S+)\n```$", re.M)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def led(text: str, place: PurePosixPath) -> str:
    """The text of a page with its relative links led to the pages; `place` is its folder in the repository."""

    def target(match: re.Match[str]) -> str:
        path = os.path.normpath(place / match[1])
        if path in PAGES:
            return f"/{PAGES[path]}"
        if path.endswith(".ipynb"):
            return f"/{path}"
        inside = path.removeprefix("docs/")
        return f"/{inside}" if inside != path else f"/../{path}"

    return LINK.sub(target, text)


def copy(root: Path, docs: Path) -> None:
    """Copy every page that is there; what has not changed keeps its date, so that it is not built again."""
    for source, page in PAGES.items():
        text = led((root / source).read_text(encoding="utf-8"), PurePosixPath(source).parent)
        if not (docs / page).is_file() or (docs / page).read_text(encoding="utf-8") != text:
            (docs / page).write_text(text, encoding="utf-8")
    notebooks = {path.name: path for path in (root / "notebooks").glob("*.ipynb")}
    for stale in (docs / "notebooks").glob("*.ipynb"):
        if stale.name not in notebooks:
            stale.unlink()
    for name, path in notebooks.items():
        (docs / "notebooks").mkdir(exist_ok=True)
        shutil.copy2(path, docs / "notebooks" / name)


def without_empty(text: str, docs: Path) -> str:
    """The text of a page without the lists of pages of which there is none; Sphinx warns of them."""
    return PATTERN.sub(lambda match: match[0] if any(docs.glob(f"{match[1]}.*")) else "", text)


def lead(app: Any, docname: str, source: list[str]) -> None:
    """The links and lists of a page that lives in this folder."""
    if f"{docname}.md" not in PAGES.values() and (Path(app.srcdir) / f"{docname}.md").is_file():
        text = without_empty(source[0], Path(app.srcdir))
        source[0] = led(text, PurePosixPath("docs", docname).parent)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", lead)
    return {"parallel_read_safe": True}
