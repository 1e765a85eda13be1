"""Plain-text formulas as HTML: `omega_j^2 <= C` with a Greek letter, a subscript, a superscript and its sign.

Claims are written in plain text, so that a terminal and claims.json can show them. What is not recognised stays as it
is, escaped.
"""

import html
import re

GREEK = {
    name: character
    for names, characters in (
        ("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu", "αβγδεζηθικλμ"),
        ("nu xi pi rho sigma tau phi chi psi omega", "νξπρστφχψω"),
        ("Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega", "ΓΔΘΛΞΠΣΦΨΩ"),
    )
    for name, character in zip(names.split(), characters, strict=True)
}
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
SIGNS = {"->": "→", "=>": "⇒", "<=": "≤", ">=": "≥", "!=": "≠", "<<": "≪", ">>": "≫", "||": "‖", "sqrt(": "√("}
SIGNS |= {" - ": f" {MINUS} ", " kron ": " ⊗ ", "...": "…"}
MARKS = {"~": "\u0303", "bar": "\u0304", None: ""}  # combining tilde and macron

_NESTED = r"\((?:[^()]|\([^()]*\))*\)"
_WORDS = r"sum|(?:max|min)(?=_[a-z]\b)|SNR(?=_)|d[a-z](?=_)|[A-Z][0-9](?=\^)|1(?=_)"
_TOKEN = re.compile(
    rf"""
    `(?P<code>[^`]+)`
  | (?P<base> (?<![A-Za-z0-9_]) (?:{"|".join(GREEK)} | {_WORDS} | [A-Za-z]) (?P<mark>~|(?<=[A-Z])bar)?
      (?![A-Za-z0-9~]) | (?<![A-Za-z0-9_.])[0-9]+(?=\^) | \|\|(?=[_^]) | [)\]|](?=\^) )
    (?:_(?P<sub>{_NESTED}|\{{[^{{}}]*\}}|NC[0-9](?:/[0-9])?|[A-Za-z0-9]+))?  (?P<perp>_perp)?
    (?:\^(?P<sup>{_NESTED}|\{{[^{{}}]*\}}|-?[0-9]+|[A-Za-z]+|[+*]))?
  | (?P<times>(?<=[A-Z0-9])[ ]x[ ](?=[A-Z]))
  | (?P<sign>{"|".join(map(re.escape, SIGNS))})
    """,
    re.VERBOSE,
)


def _inner(text: str) -> str:
    """A sub- or superscript without the brackets around it."""
    text = text[1:-1] if text[0] in "({" and text[-1] in ")}" else text
    return typeset(text).replace("-", MINUS)


def _replace(found: re.Match[str]) -> str:
    part = found.groupdict()
    if part["code"] is not None:
        return f"<code>{html.escape(part['code'])}</code>"
    if part["times"]:
        return f" {TIMES} "
    if part["sign"]:
        return SIGNS[part["sign"]]
    name = part["base"].removesuffix(part["mark"] or "")
    base = "∑" if name == "sum" and part["sub"] else GREEK.get(name, SIGNS.get(name, name)) + MARKS[part["mark"]]
    scripts = f"<sub>{_inner(part['sub'])}</sub>" if part["sub"] else ""
    raised = (["⊥"] if part["perp"] else []) + ([_inner(part["sup"])] if part["sup"] else [])
    return base + scripts + "".join(f"<sup>{text}</sup>" for text in raised)


def typeset(text: str) -> str:
    """Escaped HTML of a text with plain formulas in it."""
    out, end = [], 0
    for found in _TOKEN.finditer(text):
        out += [html.escape(text[end : found.start()]), _replace(found)]
        end = found.end()
    return "".join([*out, html.escape(text[end:])])
