"""Every link of the pages leads to a file or heading of the repository, or is a well-formed address."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import borrowed
import pytest

ROOT = Path(__file__).parents[1]
COPIES = set(borrowed.PAGES.values())
PAGES = [
    *(ROOT / name for name in borrowed.PAGES),
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in COPIES),
]
EVERY = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def without_code(text):
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", without_code(text))


def anchors(text):
    """Of the headings, as a Git server and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}


def broken(page, text):
    """The links of a page that lead nowhere."""
    found = []
    for link in links(text):
        address = urlsplit(link)
        if address.scheme or address.netloc:
            if address.scheme != "https" or "." not in address.netloc or not address.path:
                found.append(link)
            continue
        target = (page.parent / address.path).resolve() if address.path else page
        there = target.is_relative_to(ROOT) and target.exists()
        headings = anchors(text if target == page else target.read_text()) if there and address.fragment else ()
        if not there or (address.fragment and address.fragment not in headings):
            found.append(link)
    return found


@EVERY
def test_every_link_leads_somewhere(page):
    assert broken(page, page.read_text()) == []


@EVERY
def test_no_page_names_a_place_on_one_machine(page):
    assert re.findall(r"(?<![\w./~-])/(?:tmp|home|root|work|opt|mnt)\b\S*", page.read_text()) == []


def test_links_that_lead_nowhere_are_found():
    planted = [
        *("docs/no_such_page.md", "docs/guide.md#no-such-heading", "#no-such-heading", "../outside.md"),
        *("http://openreview.net/forum", "https://nowhere/page", "https://"),
    ]
    text = "# A heading\n" + "\n".join(f"[there]({link})" for link in planted)
    text += (
        "\n`[code](no/link)` [good](docs/guide.md#install) [here](#a-heading) [site](https://openreview.net/forum?id=1)"
    )
    assert broken(ROOT / "README.md", text) == planted


def test_a_copied_page_links_to_copies_pages_and_files():
    led = borrowed.led(
        "[a](../docs/models.md#adding-a-model) [b](../README.md) [c](../CITATION.cff) [d](https://a.b/c) [e](#f)",
        PurePosixPath("benchmarks"),
    )
    assert led == "[a](/models.md#adding-a-model) [b](/readme.md) [c](/../CITATION.cff) [d](https://a.b/c) [e](#f)"


def test_a_list_of_pages_is_left_out_where_there_is_none(tmp_path):
    lists = ["```{toctree}\n:glob:\n:caption: Some\n\nsome*\n```", "```{toctree}\n:hidden:\n\nother\n```"]
    text = "# Title\n\n" + "\n\n".join(lists) + "\n"
    assert borrowed.without_empty(text, tmp_path) == text.replace(lists[0], "")
    (tmp_path / "some_page.md").touch()
    assert borrowed.without_empty(text, tmp_path) == text
