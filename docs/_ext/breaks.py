"""Long names in tables break after a dot, a slash or an underscore, and nowhere else (pages.css)."""

import re
from typing import Any

from docutils import nodes


def break_names(app: Any, document: nodes.document, docname: str) -> None:
    """Offer the places."""
    del docname
    if app.builder.format != "html":
        return
    for entry in document.findall(nodes.entry):
        for literal in list(entry.findall(nodes.literal)):
            parts = re.findall(r"[^./_]*[./_]+|[^./_]+$", literal.astext())
            literal.clear()
            for part in parts:
                literal += [nodes.Text(part), nodes.raw("", "<wbr>", format="html")]


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-resolved", break_names, priority=900)  # after `crossings`, which reads the names
    return {"parallel_read_safe": True}
