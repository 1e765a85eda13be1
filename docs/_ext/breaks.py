"""Long names in tables break after a dot, a slash or an underscore, and nowhere else (pages.css)."""

import re
from typing import Any

CELL = re.compile(r"<td\b.*?</td>", re.S)
CODE = re.compile(r"<code\b.*?</code>", re.S)
TEXT = re.compile(r"(?<=>)[^<]+")
PLACE = re.compile(r"(?<=[./_])(?=[^./_\s])")


def offered(body: str) -> str:
    """The page with the places offered."""

    def in_code(found: re.Match[str]) -> str:
        return TEXT.sub(lambda text: PLACE.sub("<wbr>", text[0]), found[0])

    return CELL.sub(lambda cell: CODE.sub(in_code, cell[0]), body)


def break_names(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """In the page alone: the index of the search reads whole names."""
    del app, pagename, templatename, doctree
    if "body" in context:
        context["body"] = offered(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", break_names)
    return {"parallel_read_safe": True}
