"""Elements of HTML and SVG. Text and attributes are escaped when they are written, whatever a name consists of."""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str
NOT_ALLOWED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # in a text of HTML


def element(tag: str, *children: Child, **attributes: str | float | int) -> Element:
    """An element; `class_` is the attribute class, `aria_label` is aria-label, and `viewBox` stays as it is."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): _plain(value) for name, value in attributes.items()})
    return add(made, children)


def add(parent: Element, children: Iterable[Child]) -> Element:
    """The parent with more children, texts among them."""
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + _plain(child)
        else:
            parent.text = (parent.text or "") + _plain(child)
    return parent


def _plain(value: str | float | int) -> str:
    """A text without what HTML does not allow: control characters and halves of surrogate pairs become U+FFFD."""
    return NOT_ALLOWED.sub("\ufffd", value if isinstance(value, str) else f"{value:g}")


def text_of(made: Element) -> str:
    """The text of an element without its tags."""
    return "".join(made.itertext())


def document(title: str, style: str, body: Element, script: str) -> str:
    """A whole page; style and script are the project's own and stand in it as they are."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    body.append(element("script", script))
    page = element("html", head, body, lang="en")
    return f"<!doctype html>\n{tostring(page, encoding='unicode', method='html')}\n"
