"""The docstrings of this project as reStructuredText.

They are plain text: prose with names in single backticks, and formulas and tables as indented blocks. Prose keeps its
words, every mark of reStructuredText in it is escaped; an indented block is shown as it is written. Sections with a
heading (`Raises:`, `Example:`) are left to napoleon.
"""

import re
from typing import Any

SECTION = re.compile(r"(Raises|Returns|Yields|Args|Example|Examples|Note|Source):$")
REMARK = re.compile(r"(Note|Source): ")


def prose(line: str) -> str:
    """A line of prose, its names in double backticks and every other mark escaped."""
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without another on its line
        return re.sub(r"([\\*|_`])", r"\\\1", line)
    escaped = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts[::2]]
    names = [f"``{name}``" for name in parts[1::2]]
    return "".join(text for pair in zip(escaped, [*names, ""], strict=True) for text in pair)


def language(block: list[str]) -> str:
    """Of an indented block."""
    return "python" if block[0].strip().startswith("import ") else "text"


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring, without its common indentation."""
    found: list[str] = []
    section = False  # within the body of one with a heading
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.strip() and not line[0].isspace():
            section = bool(SECTION.match(line))
            remark = REMARK.match(line)
            if remark and found and found[-1]:
                found.append("")
            found.append(
                line if section else f"*{remark[1]}:* {prose(line[remark.end() :])}" if remark else prose(line)
            )
            i += 1
        elif not line.strip():
            found.append("")
            i += 1
        elif section:
            found.append(line if line.strip().startswith(">>>") or _output(lines, i) else prose(line))
            i += 1
        else:
            end = i
            while end < len(lines) and (not lines[end].strip() or lines[end][0].isspace()):
                end += 1
            block = lines[i:end]
            while not block[-1].strip():
                block.pop()
            if found and found[-1]:
                found.append("")
            found += [f".. code-block:: {language(block)}", "", *block, ""]
            i = end
    return found


def _output(lines: list[str], i: int) -> bool:
    """Whether a line is what an example printed: no blank line is between it and the example."""
    while i and lines[i].strip() and not lines[i].strip().startswith(">>>"):
        i -= 1
    return lines[i].strip().startswith(">>>")


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon, which takes what stands before a colon in the first line of a property for its type.

    A comment is that first line.
    """
    del app, name, obj, options
    lines[:] = [*(["..", ""] if what in ("property", "attribute") else []), *restructured(lines)]


def skip(app: Any, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what Python says of the fields of a named tuple, and of inherited members."""
    del app, what, name, skipped, options
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
