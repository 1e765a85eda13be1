"""`report.html`: the verdicts and what they rest on, as one file that needs nothing else."""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from string import Template

from theory_checks.formulas import typeset
from theory_checks.registry import FAULT_FACTOR, WIDEST, Outcome, Part
from theory_checks.report import complaints, counts, number, part_complaints, shown
from theory_checks.verdicts import HYPOTHESES, NAMES, RULE, Verdict

BADGES: dict[Verdict, tuple[str, str, str]] = {  # class, sign, meaning
    "holds": ("holds", "✓", "every comparison agrees to within its tolerance"),
    "holds in part": ("part", "½", "one half of the statement holds, the other is refuted"),
    "holds as amended": ("amended", "Δ", "false as printed; true with a missing condition, or another constant"),
    "fails as printed": ("fails", "✗", "false as printed, and no small change saves it"),
    "misprint": ("misprint", "†", "a slip in the print; what is meant holds"),
    "unclear": ("unclear", "?", "a comparison or a refutation failed, or the check itself did"),
}

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Theory checks: $counts</title>
<style>
$style</style>
</head>
<body>
<main>
<h1>Neural collapse under MSE loss: every claim, checked</h1>
<p>The numbered claims of Han, Papyan &amp; Donoho, “Neural Collapse Under MSE Loss: Proximity to and Dynamics on the
Central Path” (ICLR 2022), and what this project adds to them, each put to the test in double precision on random and on
hard instances. A claim holds where two independent computations of one quantity agree to within a tolerance that
follows from the arithmetic and is at most $widest of that quantity; every such comparison is made a second time with a
fault planted in it, which must exceed $factor tolerances on every instance. Where the print is false, instances show by
how much, and comparisons say which statement is true in its place. Verdicts follow from these numbers alone.</p>
<p class="counts $state">$counts.</p>
<dl class="run">
<div><dt>instances</dt><dd>$mode</dd></div>
<div><dt>seed</dt><dd>$seed</dd></div>
<div><dt>time</dt><dd>$seconds s</dd></div>
$versions
</dl>
$notes
<h2 id="verdicts">Verdicts</h2>
<dl class="legend">
$legend
</dl>
<p class="small">$rule</p>
<p class="small">$hypotheses</p>
<p class="small">Residual and tolerance are of the comparison that comes nearest to its tolerance; fault is the residual
of the same comparison with the planted fault. A dash: the verdict rests on refutations alone.</p>
<table class="verdicts" role="table" aria-labelledby="verdicts">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">claim</th>
<th role="columnheader" scope="col">verdict</th><th role="columnheader" scope="col" class="number">residual</th>
<th role="columnheader" scope="col" class="number">tolerance</th>
<th role="columnheader" scope="col" class="number">fault</th></tr></thead>
<tbody role="rowgroup">
$rows
</tbody>
</table>
<h2>Claims</h2>
$claims
</main>
</body>
</html>
""")

STYLE = """\
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #595959; --line: #d4d4d0; --paper: #fff; --tint: #f5f5f2;
  --link: #1a4f8b; --blue: #0a558c; --green: #00664b; --orange: #a34700; --ochre: #7a5600; --purple: #853d68; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --soft: #b0b0aa; --line: #44443f; --paper: #191917; --tint: #242422; --link: #8fc1f2;
    --blue: #86c5ef; --green: #5fd0a9; --orange: #ff9b62; --ochre: #eabd57; --purple: #e6a3c7; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 Georgia, "Times New Roman", serif;
  overflow-wrap: break-word; }
main { max-width: 54rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3, h4, table, .run, .legend, .badge, .counts, .label { font-family: system-ui, "Segoe UI", Helvetica, Arial,
  sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1.12rem; margin: 0; }
a { color: var(--link); text-underline-offset: .2em; text-decoration-thickness: 1px; }
sub, sup { font-size: .72em; line-height: 0; }
code { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
.small, .source, .reason { color: var(--soft); font-size: .9rem; }
.counts { border-left: .3rem solid var(--green); background: var(--tint); padding: .6rem .8rem; }
.counts.wrong, .wrong-list { border-left: .3rem double var(--orange); }
.wrong-list { background: var(--tint); margin: .6rem 0; padding: .5rem .8rem; }
.wrong-list p { margin: 0; }
.run { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 0; font-size: .85rem; color: var(--soft); }
.run div { display: flex; gap: .35rem; } .run dd { margin: 0; color: var(--ink); }
.legend { display: grid; grid-template-columns: max-content 1fr; gap: .35rem .8rem; font-size: .9rem;
  margin: 0 0 1rem; }
.legend dd { margin: 0; }
.badge { display: inline-block; border: 1.5px solid; border-radius: .3rem; padding: 0 .45rem; font-size: .85rem;
  line-height: 1.5; white-space: nowrap; font-weight: 600; }
.badge span { margin-right: .4em; }
.holds { color: var(--green); } .part { color: var(--blue); border-style: dashed; }
.amended { color: var(--blue); } .fails { color: var(--paper); background: var(--orange); border-color: var(--orange); }
.misprint { color: var(--purple); border-style: dotted; } .unclear { color: var(--ochre); border-style: double;
  border-width: 4px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 400; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; padding-right: 0;
  padding-left: .8rem; }
.value { white-space: nowrap; }
.not { color: var(--orange); font-weight: 600; }
section { border-top: 1px solid var(--line); padding: 1.4rem 0 .6rem; scroll-margin-top: .5rem; }
section > header { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; }
section > p { margin: .5rem 0; }
.statement { border-left: .2rem solid var(--line); padding-left: .8rem; }
.label { font-size: .85rem; font-weight: 600; color: var(--soft); margin-right: .35rem; }
section table { margin: .8rem 0; }
h4 { font-size: .9rem; margin: .8rem 0 .2rem; }
ul { margin: .2rem 0 .6rem; padding-left: 1.2rem; }
figure { margin: 1rem 0; max-width: 31rem; }
figure img { display: block; width: 100%; height: auto; background: #fff; padding: .4rem;
  border: 1px solid var(--line); }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
@media (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, caption { display: block; }
  tr { display: grid; grid-template-columns: repeat(3, 1fr); gap: .1rem .6rem; padding: .5rem 0;
    border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: 0; }
  tbody th, tbody td:not(.number) { grid-column: 1 / -1; }
  td.number { text-align: left; padding: 0; }
  td.number::before { content: attr(data-label); display: block; color: var(--soft); font-size: .75rem; }
  .parts tr { grid-template-columns: repeat(4, auto); }
  .legend { grid-template-columns: 1fr; gap: 0; } .legend dd { margin: 0 0 .5rem; }
}
@media print { body { font-size: 10pt; } section { break-inside: avoid; } a { color: inherit; text-decoration: none; } }
"""


LABELS = ("residual", "tolerance", "relative", "fault", "times")


def slug(name: str) -> str:
    """The anchor of a claim."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def badge(verdict: Verdict) -> str:
    """A verdict as word, sign and colour."""
    kind, sign, _ = BADGES[verdict]
    return f'<span class="badge {kind}"><span aria-hidden="true">{sign}</span>{verdict}</span>'


def _cell(label: str, value: str) -> str:
    return f'<td role="cell" class="number" data-label="{label}">{value}</td>'


def _row(outcome: Outcome) -> str:
    part = shown(outcome)
    values = (part.residual, part.tolerance, part.fault) if part else (None, None, None)
    cells = "".join(map(_cell, ("residual", "tolerance", "fault"), map(number, values)))
    expected = "" if outcome.as_expected else ' <span class="not">not as expected</span>'
    link = f'<a href="#{slug(outcome.claim.id)}">{typeset(outcome.claim.id)}</a>'
    verdict = f'<td role="cell">{badge(outcome.verdict)}{expected}</td>'
    return f'<tr role="row"><th role="rowheader" scope="row">{link}</th>{verdict}{cells}</tr>'


def _comparison(part: Part) -> str:
    wrong = "".join(f'<br><span class="not">{html.escape(text)}</span>' for text in part_complaints(part))
    name = f'{typeset(part.name)}<br><span class="reason">tolerance: {typeset(part.reason)}</span>{wrong}'
    numbers = map(number, (part.residual, part.tolerance, part.relative_tolerance, part.fault))
    cells = "".join(map(_cell, LABELS, (*numbers, str(part.instances))))
    return f'<tr role="row"><th role="rowheader" scope="row">{name}</th>{cells}</tr>'


def _comparisons(outcome: Outcome) -> str:
    """A table for each statement that comparisons support."""
    tables = []
    for of, name in NAMES.items():
        parts = [part for part in outcome.parts if part.kind == "identity" and part.of == of]
        tables += [_table(f"Comparisons: {name}", parts)] if parts else []
    return "\n".join(tables)


def _table(heading: str, parts: Sequence[Part]) -> str:
    heads = "".join(f'<th role="columnheader" scope="col" class="number">{text}</th>' for text in LABELS)
    rows = map(_comparison, parts)
    return (
        f'<table class="parts" role="table"><caption>{heading}</caption><thead role="rowgroup"><tr role="row">'
        f'<th role="columnheader" scope="col">comparison</th>{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table>'
    )


def _refutations(outcome: Outcome) -> str:
    items = []
    for part in outcome.parts:
        if part.kind == "refutation":
            wrong = "".join(f' <span class="not">{html.escape(text)}</span>' for text in part_complaints(part))
            off, bound = (f'<span class="value">{number(x)}</span>' for x in (part.residual, part.tolerance))
            found = f"printed statement is off by at least {off} (bound {bound}"
            times = f"{part.instances} instance{'' if part.instances == 1 else 's'})"
            items.append(f"<li>{typeset(part.name)}: {found}, {times}{wrong}</li>")
    return f"<h4>Where the printed statement fails</h4>\n<ul>{''.join(items)}</ul>" if items else ""


def _figure(name: str, svg: bytes, caption: str) -> str:
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure id="figure-{slug(name)}"><img src="data:image/svg+xml;base64,{data}" alt="{html.escape(caption)}">\n'
        f"<figcaption>{typeset(caption)}</figcaption></figure>"
    )


def _labelled(label: str, text: str | None) -> str:
    return f'<p><span class="label">{label}</span> {typeset(text)}</p>' if text else ""


def _claim(outcome: Outcome, figure: str) -> str:
    claim, wrong = outcome.claim, complaints(outcome)
    items = "".join(f"<li>{html.escape(text)}</li>" for text in wrong)
    pieces = (
        f'<section id="{slug(claim.id)}" aria-labelledby="{slug(claim.id)}-name">',
        f'<header><h3 id="{slug(claim.id)}-name">{typeset(claim.id)}</h3> {badge(outcome.verdict)}</header>',
        f'<p class="source">{typeset(claim.source)}</p>',
        f'<div class="wrong-list"><p><strong>Not as expected</strong></p><ul>{items}</ul></div>' if wrong else "",
        f'<p class="statement">{typeset(claim.statement)}</p>',
        _labelled("Assumed", claim.assumptions),
        _labelled("Amended", claim.amendment),
        _labelled("Verdict", outcome.derivation),
        _refutations(outcome),
        _comparisons(outcome),
        _labelled("Planted fault", claim.fault),
        figure,
        "</section>",
    )
    return "\n".join(piece for piece in pieces if piece)


def _figures(outcomes: Sequence[Outcome], figures: Mapping[str, tuple[bytes, str]]) -> list[str]:
    """The figure beside each claim: drawn at the first that names it, a link at the others."""
    found: list[str] = []
    at: dict[str, str] = {}
    for outcome in outcomes:
        name = outcome.claim.figure
        if name is None or name not in figures:
            found.append("")
        elif name in at:
            found.append(f'<p>Figure: see <a href="#figure-{slug(name)}">{typeset(at[name])}</a>.</p>')
        else:
            at[name] = outcome.claim.id
            found.append(_figure(name, *figures[name]))
    return found


def page(
    outcomes: Sequence[Outcome],
    *,
    seed: int,
    quick: bool,
    seconds: float,
    versions: Mapping[str, str],
    figures: Mapping[str, tuple[bytes, str]],
    notes: Sequence[str] = (),
) -> str:
    """The report of a run; `figures` holds an SVG file and a caption by name, `notes` what a reader should know."""
    legend = "\n".join(f"<dt>{badge(verdict)}</dt><dd>{meaning}</dd>" for verdict, (*_, meaning) in BADGES.items())
    return PAGE.substitute(
        style=STYLE,
        counts=html.escape(counts(outcomes)),
        state="right" if all(outcome.as_expected for outcome in outcomes) else "wrong",
        factor=f"{FAULT_FACTOR:g}",
        widest=f"{WIDEST:g}",
        rule=typeset(RULE),
        hypotheses=typeset(HYPOTHESES),
        mode="each kind once (--quick)" if quick else "each kind four times",
        seed=seed,
        seconds=f"{seconds:.0f}",
        versions="\n".join(
            f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in versions.items()
        ),
        notes="\n".join(f'<p class="not">{html.escape(note)}</p>' for note in notes),
        legend=legend,
        rows="\n".join(map(_row, outcomes)),
        claims="\n".join(map(_claim, outcomes, _figures(outcomes, figures))),
    )
