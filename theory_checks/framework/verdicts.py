"""How the word of a verdict follows from what a check found: one rule, for every claim.

Every comparison says which statement it supports: the `printed` one (or a part of it); the `amended` one, which is the
printed one with a hypothesis more or another constant; what a misprint `intended`; or what is true `instead`, or beyond
the print, which is evidence beside the verdict and does not change it. A refutation is of the printed statement. `RULE`
turns them into a word, and `HYPOTHESES` says what counts as printed.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from theory_checks.framework.registry import Finding

Statement = Literal["printed", "amended", "intended", "instead"]
Verdict = Literal["holds", "holds in part", "holds as amended", "fails as printed", "misprint", "unclear"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

HYPOTHESES = (
    "A hypothesis is printed if it stands in the statement, in a footnote to it, or among the standing assumptions of "
    "its section: balanced classes and P > C (Section 1); in Section 3 and its appendix also lambda = 0, Sigma_W of "
    "full rank, zero global mean, and the classifier on the central path. An inverse in a formula prints no hypothesis "
    "by itself. A statement holds if it is true of everything that satisfies the printed hypotheses. It holds as "
    "amended if it is not, but is with one named hypothesis more, or with another constant. The same missing "
    "hypothesis gives the same verdict in every claim."
)
RULE = (
    "A comparison that disagrees, whose tolerance is too wide, or a refutation below its bound makes the verdict "
    "`unclear`. Otherwise a claim without refutation `holds`, if a comparison supports the printed statement. A "
    "refuted claim is a `misprint` if comparisons support what was intended; else it `holds as amended` if they "
    "support the amended statement; else it `holds in part` if they support a part of the printed one; else it `fails "
    "as printed`."
)

NAMES: dict[Statement, str] = {
    "printed": "printed statement",
    "amended": "amended statement",
    "intended": "intended statement",
    "instead": "true, and not printed",
}
# of a refuted claim, by the statement that comparisons support: the first that is there
WORDS: dict[Statement, Verdict] = {"intended": "misprint", "amended": "holds as amended", "printed": "holds in part"}


def derive(parts: "Sequence[Finding]") -> Verdict:
    """The word that follows from the parts, by `RULE`."""
    if not parts or not all(part.stands for part in parts):
        return "unclear"
    supported = {part.of for part in parts if part.kind == "identity"}
    if not any(part.kind == "refutation" for part in parts):
        return "holds" if "printed" in supported else "unclear"
    for statement, word in WORDS.items():
        if statement in supported:
            return word
    return "fails as printed"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def off_by(parts: "Sequence[Finding]") -> float | None:
    """Least distance of the printed statement from true, over all refutations; NaN if one of them is."""
    distances = [part.residual for part in parts if part.kind == "refutation"]
    return min(distances, key=lambda x: -math.inf if math.isnan(x) else x, default=None)


def derivation(parts: "Sequence[Finding]") -> str:
    """The same in a sentence: what was refuted, what agrees, and what follows."""
    refuted = [part for part in parts if part.kind == "refutation"]
    found = []
    if refuted:
        instances = _counted(sum(part.instances for part in refuted), "instance")
        found.append(f"printed statement: refuted on {instances}, least distance {off_by(parts):.1e}")
    for statement, name in NAMES.items():
        same = [part for part in parts if part.kind == "identity" and part.of == statement]
        if same:
            what = "a part of the printed statement" if statement == "printed" and refuted else name
            agree = sum(part.instances for part in same)
            verb = "agrees" if agree == 1 else "agree"
            found.append(f"{what}: {_counted(agree, 'comparison')} of {_counted(len(same), 'kind')} {verb}")
    failing = [part.name for part in parts if not part.stands]
    if failing:
        found = [f"no conclusion, because of: {', '.join(failing)}"]
    elif not refuted:
        found.append("no refutation")
    return f"{'; '.join(found) if parts else 'nothing was compared'}; hence `{derive(parts)}`"
