"""How the pages are built: `python -m sphinx -W --keep-going -b html docs docs/_build/html`.

Pages that have their place elsewhere in the repository (README.md, the benchmarks, the notebooks) are copied here at
build time, and those of the API reference written; git ignores both.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import borrowed  # noqa: E402
import modules  # noqa: E402

from central_path import __version__  # noqa: E402

borrowed.copy(HERE.parent, HERE)
modules.write(HERE.parent, HERE / "api")

project = "central_path"
author = "The central_path developers"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "signatures",
    "crossings",
    "breaks",
    "borrowed",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
default_role = "literal"

nb_execution_mode = "off"  # notebooks are kept with their outputs; the tests run them
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # as on the page that a Git server shows

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # `signatures` shows them as they are written
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
add_module_names = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"central_path {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
