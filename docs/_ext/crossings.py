"""Names in backticks lead to where they are documented: `central_path.laws.Law`, or `laws.Law` for short.

A name with a dot is looked for among the documented objects, as it is and in each package; anything else stays a name.
"""

from typing import Any

from docutils import nodes
from sphinx.util.nodes import make_refnode

PACKAGES = ("central_path", "central_path.models", "theory_checks", "deepnet_runs")


def cross(app: Any, document: nodes.document, docname: str) -> None:
    """Turn the names of a page into references."""
    objects = app.env.domains["py"].objects
    for node in list(document.findall(nodes.literal)):
        text = node.astext()
        if "." not in text or isinstance(node.parent, nodes.reference):
            continue
        for name in (text, *(f"{package}.{text}" for package in PACKAGES)):
            if name in objects:
                found = objects[name]
                reference = make_refnode(app.builder, docname, found.docname, found.node_id, node.deepcopy(), name)
                node.replace_self(reference)
                break


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-resolved", cross)
    return {"parallel_read_safe": True}
