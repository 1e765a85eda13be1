"""A page as a browser reads it: elements with their texts, and the values of a plot from its ticks."""

import html.parser
import re

import numpy as np

VOID = {"meta", "input", "br", "img", "link"}


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children = tag, attributes, parent, []

    def all(self, tag, **wanted):
        """All elements of a tag below this one, with attributes; `class_` means one of the classes."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                classes = (child.attributes.get("class") or "").split()
                same = all(
                    value in classes if name == "class_" else child.attributes.get(name) == value
                    for name, value in wanted.items()
                )
                found += [child] if child.tag == tag and same else []
                found += child.all(tag, **wanted)
        return found

    def one(self, tag, **wanted):
        """The only one."""
        (found,) = self.all(tag, **wanted)
        return found

    @property
    def text(self):
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Reader(html.parser.HTMLParser):
    """Builds the tree; an end tag that closes another element fails."""

    def __init__(self, text):
        super().__init__()
        self.root = self.at = Node("root", {}, None)
        self.feed(text)
        self.close()
        assert self.at is self.root

    def handle_starttag(self, tag, attrs):
        node = Node(tag, dict(attrs), self.at)
        self.at.children.append(node)
        self.at = self.at if tag in VOID else node

    def handle_endtag(self, tag):
        assert self.at.tag == tag, (self.at.tag, tag)
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)


def read(text):
    return Reader(text).root


def chart(root, name):
    return root.one("article", id=f"chart-{name}")


def remarks(node):
    return [item.text for group in node.all("ul", class_="remarks") for item in group.all("li")]


def table(figure):
    """Heads and cells of the values of a figure."""
    heads, *cells = [[cell.text for cell in row.children] for row in figure.all("tr")]
    return heads, cells


def tick_value(text):
    """The number that a tick shows: 0.5, or a power of ten whose exponent is in a tspan of its own."""
    plain = text.children[0].replace("\N{MINUS SIGN}", "-")
    raised = text.all("tspan")
    if not raised:
        return float(plain)
    factor = float(plain.removesuffix("10").removesuffix("·") or 1)
    return factor * 10.0 ** int(raised[0].text.replace("\N{MINUS SIGN}", "-"))


def points(svg, color):
    """Values (T, 2) of a curve, from the positions of its points between those of the ticks."""
    log = {axis: f"{axis}-log" in svg.attributes["class"] for axis in "xy"}
    ticks = {
        "x": [(float(t.attributes["x"]), tick_value(t)) for t in svg.all("text", **{"text-anchor": "middle"})[:-1]],
        "y": [(float(t.attributes["y"]) - 4, tick_value(t)) for t in svg.all("text", **{"text-anchor": "end"})],
    }
    (path,) = svg.all("path", class_="curve", stroke=color)
    drawn = np.array(re.findall(r"([\d.]+) ([\d.]+)", path.attributes["d"]), dtype=float).T
    found = []
    for axis, positions in zip("xy", drawn, strict=True):
        at, value = np.array(ticks[axis]).T
        slope, start = np.polyfit(at, np.log10(value) if log[axis] else value, 1)
        read = start + slope * positions
        found.append(10**read if log[axis] else read)
    return np.array(found).T
