"""`report.html`: the verdicts and what they rest on, as one file that needs nothing else."""

import base64
import html
import re
from collections.abc import Mapping, Sequence

from central_path.comparison import FAULT_FACTOR
from theory_checks.framework.registry import WIDEST, CheckedClaim, Finding
from theory_checks.framework.verdicts import HYPOTHESES, NAMES, RULE, Verdict, off_by
from theory_checks.report.formulas import typeset
from theory_checks.report.results import DrawSettings, complaints, counts, number, part_complaints, shown
from theory_checks.report.template import PAGE, STYLE, SYMBOLS

BADGES: dict[Verdict, tuple[str, str, str]] = {  # class, sign, meaning
    "holds": ("holds", "✓", "every comparison agrees, and none refutes the printed statement"),
    "holds in part": ("part", "½", "a part of the statement holds, another is refuted"),
    "holds as amended": ("amended", "Δ", "false as printed; true with a hypothesis more, or with another constant"),
    "fails as printed": ("fails", "✗", "false as printed, and no small change saves it"),
    "misprint": ("misprint", "†", "a slip in the print; what was intended holds"),
    "unclear": ("unclear", "?", "a comparison or a refutation failed, or the check itself did"),
}
WRONG = "wrong"  # the class of a claim that is not as expected
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


def _row(outcome: CheckedClaim) -> str:
    part = shown(outcome)
    values = (part.residual, part.tolerance, part.fault) if part else (None, None, None)
    numbers = map(number, (off_by(outcome.parts), *values))
    cells = "".join(map(_cell, ("off by", "residual", "tolerance", "fault"), numbers))
    expected = "" if outcome.as_expected else ' <span class="not">not as expected</span>'
    link = f'<a href="#{slug(outcome.claim.id)}">{typeset(outcome.claim.id)}</a>'
    verdict = f'<td role="cell">{badge(outcome.verdict)}{expected}</td>'
    return f'<tr role="row" class="{_kinds(outcome)}"><th role="rowheader" scope="row">{link}</th>{verdict}{cells}</tr>'


def _kinds(outcome: CheckedClaim) -> str:
    """Classes by which the filter shows or hides a claim."""
    return f"v-{BADGES[outcome.verdict][0]}{'' if outcome.as_expected else f' v-{WRONG}'}"


def _filters(outcomes: Sequence[CheckedClaim]) -> tuple[str, str]:
    """Buttons for the verdicts that occur, and the style by which each hides the others: no script is needed."""
    there = {kind for outcome in outcomes for kind in _kinds(outcome).split()}
    names = {f"v-{kind}": verdict for verdict, (kind, *_) in BADGES.items()} | {f"v-{WRONG}": "not as expected"}
    buttons, rules = ['<label><input type="radio" name="show" id="show-all" checked> all claims</label>'], []
    for kind, name in names.items():
        if kind in there:
            buttons.append(f'<label><input type="radio" name="show" id="show-{kind}"> {name}</label>')
            rules.append(
                f"main:has(#show-{kind}:checked) :is(section, .verdicts tbody tr):not(.{kind}) {{ display: none; }}"
            )
    return "\n".join(buttons), "\n".join(rules)


def _comparison(part: Finding) -> str:
    wrong = "".join(f'<br><span class="not">{html.escape(text)}</span>' for text in part_complaints(part))
    name = f'{typeset(part.name)}<br><span class="reason">tolerance: {typeset(part.reason)}</span>{wrong}'
    numbers = map(number, (part.residual, part.tolerance, part.relative_tolerance, part.fault))
    cells = "".join(map(_cell, LABELS, (*numbers, str(part.instances))))
    return f'<tr role="row"><th role="rowheader" scope="row">{name}</th>{cells}</tr>'


def _comparisons(outcome: CheckedClaim) -> str:
    """A table for each statement that comparisons support."""
    tables = []
    for of, name in NAMES.items():
        parts = [part for part in outcome.parts if part.kind == "identity" and part.of == of]
        tables += [_table(f"Comparisons: {name}", parts)] if parts else []
    count = sum(part.instances for part in outcome.parts if part.kind == "identity")
    summary = f"{count} comparison{'' if count == 1 else 's'}"
    return f"<details><summary>{summary}</summary>\n{chr(10).join(tables)}</details>" if tables else ""


def _table(heading: str, parts: Sequence[Finding]) -> str:
    heads = "".join(f'<th role="columnheader" scope="col" class="number">{text}</th>' for text in LABELS)
    rows = map(_comparison, parts)
    return (
        f'<table class="parts" role="table"><caption>{heading}</caption><thead role="rowgroup"><tr role="row">'
        f'<th role="columnheader" scope="col">comparison</th>{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table>'
    )


def _refutations(outcome: CheckedClaim) -> str:
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


def _claim(outcome: CheckedClaim, figure: str) -> str:
    claim, wrong = outcome.claim, complaints(outcome)
    items = "".join(f"<li>{html.escape(text)}</li>" for text in wrong)
    pieces = (
        f'<section id="{slug(claim.id)}" class="{_kinds(outcome)}" aria-labelledby="{slug(claim.id)}-name">',
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


def _figures(outcomes: Sequence[CheckedClaim], figures: Mapping[str, tuple[bytes, str]]) -> list[str]:
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
    outcomes: Sequence[CheckedClaim],
    *,
    how: DrawSettings,
    seconds: float,
    versions: Mapping[str, str],
    figures: Mapping[str, tuple[bytes, str]],
    notes: Sequence[str] = (),
) -> str:
    """The report of a run; `figures` holds an SVG file and a caption by name, `notes` what a reader should know."""
    legend = "\n".join(f"<dt>{badge(verdict)}</dt><dd>{meaning}</dd>" for verdict, (*_, meaning) in BADGES.items())
    symbols = "\n".join(f"<dt>{typeset(symbol)}</dt><dd>{typeset(meaning)}</dd>" for symbol, meaning in SYMBOLS)
    filters, hidden = _filters(outcomes)
    return PAGE.substitute(
        style=f"{STYLE}{hidden}\n",
        symbols=symbols,
        filters=filters,
        counts=html.escape(counts(outcomes)),
        state="right" if all(outcome.as_expected for outcome in outcomes) else "wrong",
        factor=f"{FAULT_FACTOR:g}",
        widest=f"{WIDEST:g}",
        rule=typeset(RULE),
        hypotheses=typeset(HYPOTHESES),
        mode="each kind once (--quick)" if how.quick else "each kind four times",
        drawn=html.escape(str(how)),
        seconds=f"{seconds:.0f}",
        versions="\n".join(
            f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in versions.items()
        ),
        notes="\n".join(f'<p class="not">{html.escape(note)}</p>' for note in notes),
        legend=legend,
        rows="\n".join(map(_row, outcomes)),
        claims="\n".join(map(_claim, outcomes, _figures(outcomes, figures))),
    )
