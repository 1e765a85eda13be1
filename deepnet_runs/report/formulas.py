"""The labels of plots, which are matplotlib's mathtext, as HTML with their signs, sub- and superscripts."""

import re
from xml.etree.ElementTree import Element

from deepnet_runs.report.elements import add, element

GREEK = {"Sigma": "Σ", "Theta": "Θ", "omega": "ω", "lambda": "λ", "mu": "μ"}
SIGNS = {"perp": "⊥", "Vert": "‖", "vert": "|", "geq": "≥", "ldots": "…", ",": "\N{THIN SPACE}", "!": ""}
SYMBOLS: dict[str, str] = GREEK | SIGNS | {"mathcal{L}": "\N{SCRIPT CAPITAL L}"}
OVER = {"bar": "\u0304", "tilde": "\u0303"}  # combining marks, which follow their letter
SCRIPTS = {"_": "sub", "^": "sup"}
TOKEN = re.compile(
    r"\\(?P<over>bar|tilde)\{(?P<letter>\w)\}|\\(?P<name>mathcal\{\w\}|[A-Za-z]+|[,!])(?:\s+(?=[^-+\s]))?"
    r"|(?P<script>[_^])(?:\{(?P<group>[^{}]*)\}|(?P<one>\\[A-Za-z]+|[^\\{}$_^\s]))|(?P<space>\s+)|(?P<plain>[^\\{}$_^])"
)


def formula(text: str, tag: str = "span", **attributes: str) -> Element:
    """An element with the text, formulas between dollar signs set with their signs, sub- and superscripts.

    Raises:
        ValueError: for a formula that is not of these signs.
    """
    made = element(tag, **attributes)
    for i, part in enumerate(re.split(r"(?<!\\)\$", text)):
        add(made, _set(part) if i % 2 else [part.replace(r"\$", "$")])
    return made


def plain(name: str) -> str:
    """A name as a label: a dollar sign in it begins no formula."""
    return name.replace("$", r"\$")


def _set(source: str) -> list[Element | str]:
    """The pieces of a formula."""
    pieces: list[Element | str] = []
    end = 0
    for found in TOKEN.finditer(source):
        if found.start() != end or (found["name"] and found["name"] not in SYMBOLS):
            break
        end = found.end()
        if found["over"]:
            pieces.append(found["letter"] + OVER[found["over"]])
        elif found["name"]:
            pieces.append(SYMBOLS[found["name"]])
        elif found["script"]:
            inner = found["group"] if found["group"] is not None else found["one"]
            pieces.append(element(SCRIPTS[found["script"]], *_set(inner)))
        elif found["plain"]:
            pieces.append("\N{MINUS SIGN}" if found["plain"] == "-" else found["plain"])
        else:
            pieces.append(" ")
    if end != len(source):
        raise ValueError(f"Need a formula of known signs, got {source!r}: add the sign to {__name__}.SYMBOLS.")
    return pieces
