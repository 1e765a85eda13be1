"""How the pages are built: `python -m sphinx -W --keep-going -c docs -b html . docs/_build/html`.

The source directory is the root of the repository, so that README.md, the notebooks and the pages of docs/ are read in
place and a relative link leads to the same file here and on a Git server.
"""

import re
import sys
import typing
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "note")]
typing.GENERATING_DOCUMENTATION = "central_path"  # jaxtyping then shows a shape as it is written

import note_source  # noqa: E402

from central_path import __version__  # noqa: E402

project = "central_path"
author = "The central_path developers"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # MathJax beside the pages instead of from a network
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "notebooks/*.ipynb", "benchmarks/README.md"]
exclude_patterns = ["docs/_*", "**.ipynb_checkpoints"]
templates_path = [str(Path(__file__).parent / "_templates")]  # absolute: autosummary starts from the source directory
default_role = "py:obj"  # a name in backticks leads to its documentation, if it has one

nb_execution_mode = "off"  # notebooks are kept with their outputs; the tests run them
myst_enable_extensions = ["dollarmath"]
highlight_language = "text"  # indented blocks of docstrings are formulas and tables
myst_heading_anchors = 3  # as on the page that a Git server shows

autodoc_mock_imports = ["torchmetrics"]  # optional
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"central_path {release}"
html_static_path = ["_static"]
html_extra_path = ["_extra"]  # index.html, which leads to docs/index.html
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}

SECTION = re.compile(r"(Raises|Returns|Yields|Args|Examples?|Note|Source):$")


def mark_up(app, what, name, obj, options, lines):
    """Mark up a docstring, which is plain text, as reStructuredText, before napoleon reads it.

    Indented blocks outside sections are formulas and tables and become literal blocks. In prose, every mark of
    reStructuredText outside backticks is escaped. Napoleon would take "word: " on the first line of a property for its
    type; a comment before it prevents that.
    """
    marked = ["..", ""] if what in ("property", "attribute") else []
    state = "prose"
    if lines and lines[0].startswith("Alias for field number"):  # Python's own docstring of a named tuple's field
        lines.clear()
    for line in lines:
        indented = line[:1].isspace()
        if line.strip() and not indented:
            section = SECTION.match(line)
            state = section[1] if section else "prose"
        elif indented and state == "prose":
            marked += ["::", ""]
            state = "literal"
        if state not in ("literal", "Example", "Examples"):
            line = re.sub(r"(`[^`]+`)|([\\*|_])", lambda found: found[1] or f"\\{found[2]}", line)
        marked.append(line)
    lines[:] = marked


def fill_in(app, docname, source):
    """Give the note its numbers, references and figure."""
    if docname == "docs/note/note":
        source[0] = note_source.page()


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", fill_in)
    app.connect("autodoc-process-docstring", mark_up, priority=400)
