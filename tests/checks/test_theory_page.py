"""The page that `python -m theory_checks` writes, and its figures."""

import html.parser
import re

import numpy as np
import pytest
from made_up_claims import empty, example, false, missed, nan, raises, refuted, right

from theory_checks import claims
from theory_checks.framework import registry, verdicts
from theory_checks.framework.registry import CheckedClaim
from theory_checks.report import figures, formulas, page, results, template
from theory_checks.report.formulas import MINUS, TIMES


class Page(html.parser.HTMLParser):
    """Collects ids, links, sources and texts; counts what is open."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources, self.alts, self.open, self.texts = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        self.alts += [given.get("alt")] if tag == "img" else []
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def everything():
    """The page of all claims with made-up findings of every kind."""
    kinds = [right, refuted, false, nan, raises, empty, missed]
    outcomes = [
        CheckedClaim(claim, registry.run(example(kinds[i % 7]), seed=0, quick=True).parts, 1.0)
        for i, claim in enumerate(registry.CLAIMS[name] for name in claims.ORDER)
    ]
    drawn = {name: (b"<svg/>", figures.caption(name)) for name in figures.FIGURES}
    text = page.page(
        outcomes,
        how=results.DrawSettings(3, 1, True),
        seconds=1.0,
        versions={"jax": "0"},
        figures=drawn,
        notes=["a < b"],
    )
    return text, Page(text)


def test_the_page_is_whole_and_has_every_claim_once(everything):
    text, parsed = everything
    assert parsed.open == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert {page.slug(name) for name in claims.ORDER} <= set(parsed.ids)
    for name in claims.ORDER:
        assert text.count(f">{formulas.typeset(name)}</a>") >= 1
        assert text.count(f'-name">{formulas.typeset(name)}</h3>') == 1
    assert "a &lt; b" in text


def test_the_page_needs_no_network_and_its_links_lead_somewhere(everything):
    text, parsed = everything
    assert all(link.startswith("#") and link[1:] in parsed.ids for link in parsed.links)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.sources)
    assert all(parsed.alts)
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert re.search('<html lang="en">', text)


def test_the_filter_shows_each_verdict_that_occurs_without_a_script(everything):
    text, _ = everything
    shown = set(re.findall(r'id="show-(v-[a-z]+)"', text))
    assert shown == {"v-holds", "v-amended", "v-unclear", "v-wrong"}
    for kind in shown:
        assert f"main:has(#show-{kind}:checked)" in text
        assert len(re.findall(rf'<section id="[^"]+" class="[^"]*{kind}\b', text)) > 0


def test_every_symbol_is_explained_once(everything):
    text, _ = everything
    explained = [name for symbol, _ in template.SYMBOLS for name in re.split(r", | [=+] ", symbol)]
    assert len(set(explained)) == len(explained)
    assert {"C", "N", "P", "omega_j", "Sigma_W", "SNR", "Gamma", "lambda", "W~"} <= set(explained)
    assert text.index('id="symbols"') < text.index('id="verdicts"')


def test_a_refuted_claim_shows_how_far_the_print_is_off_and_what_follows(everything):
    text, _ = everything
    assert 'data-label="off by">1.0e+00<' in text
    assert "hence <code>holds as amended</code>" in text
    assert formulas.typeset(verdicts.RULE) in text
    assert formulas.typeset(verdicts.HYPOTHESES) in text


def test_every_verdict_has_a_badge_with_a_word_and_a_sign_of_its_own():
    assert set(page.BADGES) == set(verdicts.VERDICTS)
    assert len({sign for _, sign, _ in page.BADGES.values()}) == len(page.BADGES)
    assert ">?</span>unclear</span>" in page.badge("unclear")


@pytest.mark.parametrize(
    ("plain", "typeset"),
    [
        ("omega_j^2 <= C", "ω<sub>j</sub><sup>2</sup> ≤ C"),
        ("Sigma_W^(-1/2) Mbar", f"Σ<sub>W</sub><sup>{MINUS}1/2</sup> M̄"),
        ("W~_LS", "W̃<sub>LS</sub>"),
        ("max_j omega_(C-1), dx_j/dt", f"max<sub>j</sub> ω<sub>C{MINUS}1</sub>, dx<sub>j</sub>/dt"),
        ("max_angle at 1.5e-3", "max_angle at 1.5e-3"),
        ("L_NC2/3 and L_LS_perp", "L<sub>NC2/3</sub> and L<sub>LS</sub><sup>⊥</sup>"),
        ("omega_{C-1}/omega_1", f"ω<sub>C{MINUS}1</sub>/ω<sub>1</sub>"),
        ("t^(1/(4-2k))", f"t<sup>1/(4{MINUS}2k)</sup>"),
        ("||W||_F^2 -> 0", "‖W‖<sub>F</sub><sup>2</sup> → 0"),
        ("a P x C matrix, x for x", f"a P {TIMES} C matrix, x for x"),
        ("loss_nc1 of `run_flow`", "loss_nc1 of <code>run_flow</code>"),
        ("<script> & 'omegas'", "&lt;script&gt; &amp; &#x27;omegas&#x27;"),
    ],
)
def test_formulas_are_set(plain, typeset):
    assert formulas.typeset(plain) == typeset


# ---- figures


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "growth" else pytest.mark.slow) for name in sorted(figures.FIGURES)]
)
def test_a_figure_is_drawn_with_labels_and_a_caption(name):
    with figures.matplotlib.rc_context(figures.STYLE):
        figure = figures.FIGURES[name](0)
    for axis in figure.axes:
        assert axis.get_xlabel()
        assert axis.get_ylabel()
        assert axis.lines
        assert all(np.all(np.isfinite(np.asarray(line.get_ydata(), float))) for line in axis.lines)
    assert len(figures.caption(name)) > 60


def test_a_drawn_figure_is_an_svg_file():
    drawn = figures.draw("losses", 0)
    assert drawn.lstrip().startswith(b"<?xml")
    assert drawn.rstrip().endswith(b"</svg>")
