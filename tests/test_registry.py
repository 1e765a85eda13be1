"""How a verdict follows from findings, and what a claim and its instances are."""

import math
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from made_up_claims import (
    TIGHT,
    empty,
    example,
    false,
    loose,
    measured,
    missed,
    nan,
    raises,
    refuted,
    right,
    unsupported,
)

from theory_checks import claims, extensions, paper
from theory_checks.framework import registry
from theory_checks.framework.registry import Identity, Refutation, identity, refutation
from theory_checks.framework.verdicts import VERDICTS, derivation, derive
from theory_checks.report import results


def refuted_with(of):
    """A refuted claim whose comparisons support the statement `of`."""
    return partial(refuted, of=of)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (right, "holds"),
        (refuted_with("printed"), "holds in part"),
        (refuted_with("amended"), "holds as amended"),
        (refuted_with("intended"), "misprint"),
        (refuted_with("instead"), "fails as printed"),
        *((check, "unclear") for check in (false, nan, raises, empty, loose, unsupported)),
    ],
)
@pytest.mark.parametrize("expected", VERDICTS[:-1])
def test_the_verdict_follows_from_the_findings_whatever_is_expected(check, verdict, expected):
    outcome = measured(check, expected)
    assert outcome.verdict == verdict
    assert outcome.as_expected == (verdict == expected)
    assert outcome.derivation.endswith(f"hence `{verdict}`")


@pytest.mark.parametrize(
    ("supported", "verdict"),
    [
        (("printed", "amended", "intended", "instead"), "misprint"),
        (("printed", "amended", "instead"), "holds as amended"),
        (("printed", "instead"), "holds in part"),
        ((), "fails as printed"),
    ],
)
def test_of_several_statements_the_nearest_to_the_print_gives_the_word(supported, verdict):
    parts = [Identity(of, 0.0, TIGHT, "", 1.0, of, instances=2) for of in supported]
    assert derive([*parts, Refutation("no", 0.3, 1e-2, 12)]) == verdict
    assert derive(parts) == ("holds" if "printed" in supported else "unclear")


def test_the_derivation_counts_what_was_compared_and_names_what_fails():
    refuted, agree = (
        Refutation("no", 0.3, 1e-2, 12),
        Identity("yes", 0.0, TIGHT, "", 1.0, "amended", instances=7),
    )
    assert derivation([refuted, agree]) == (
        "printed statement: refuted on 12 instances, least distance 3.0e-01; amended statement: 7 comparisons of 1 "
        "kind agree; hence `holds as amended`"
    )
    assert "no refutation" in derivation([replace(agree, of="printed")])
    failing = [replace(agree, residual=1.0), replace(refuted, residual=0.0, name="hardly")]
    assert derivation(failing) == "no conclusion, because of: yes, hardly; hence `unclear`"
    assert derivation([]) == "nothing was compared; hence `unclear`"


def test_a_missed_fault_is_not_as_expected_though_the_claim_holds():
    outcome = measured(missed)
    assert outcome.verdict == "holds"
    assert not outcome.as_expected
    assert results.shown(outcome) == outcome.parts[1]


def test_a_fault_must_exceed_ten_tolerances():
    part = Identity("", 0.0, TIGHT, "", 10 * TIGHT)
    assert not part.fault_caught
    assert replace(part, fault=10.1 * TIGHT).fault_caught
    assert not replace(part, fault=math.nan).fault_caught


def test_a_part_keeps_its_worst_instance_and_the_fault_that_is_caught_least():
    def check(draw):
        for residual, tolerance, fault, relative in (
            (1e-12, TIGHT, 1.0, 1e-5),
            (9e-11, TIGHT, 2.0, 1e-6),
            (1e-10, 1e-8, 3e-7, 1e-7),
        ):
            yield Identity("same name", residual, tolerance, "", fault, "printed", relative)
        yield refutation("same refutation", 0.5)
        yield refutation("same refutation", 0.2)

    same, off = measured(check, "holds in part").parts
    assert (same.residual, same.tolerance, same.instances) == (9e-11, TIGHT, 3)
    assert same.fault == pytest.approx(30 * TIGHT)
    assert same.relative_tolerance == 1e-5
    assert (off.residual, off.instances, off.fault, off.relative_tolerance) == (0.2, 2, None, None)


@pytest.mark.parametrize("planted", [1.0, math.nan])
def test_a_fault_missed_on_one_instance_of_many_is_not_as_expected(planted):
    def check(draw):
        yield from right(draw)
        for fault in (2.0, planted, 2.0):
            yield identity("same", 1.0, 1.0, fault=fault)

    outcome = measured(check)
    assert outcome.verdict == "holds"
    assert not outcome.as_expected
    assert any("planted fault missed on an instance" in text for text in results.complaints(outcome))


def test_one_nan_among_good_instances_is_not_overlooked():
    def identities(draw):
        for value in (1.0, math.nan, 1.0):
            yield identity("same", value, 1.0, fault=2.0)

    def refutations(draw):
        for value in (1.0, math.nan, 1.0):
            yield refutation("same", value)

    assert measured(identities).verdict == "unclear"
    assert measured(refutations, "fails as printed").verdict == "unclear"


@pytest.mark.parametrize(
    ("b", "how", "relative"),
    [
        (2.0, {}, TIGHT),
        (2.0, {"condition": 50.0}, 50 * TIGHT),
        (2.0, {"scale": 200.0}, 100 * TIGHT),
        (2.0, {"scale": 200.0, "condition": 3.0}, 300 * TIGHT),
        (0.0, {"scale": 200.0, "condition": 3.0}, 3 * TIGHT),
    ],
)
def test_the_tolerance_is_relative_to_the_quantity_compared(b, how, relative):
    found = identity("", np.array([b, 0.0]), np.array([b, 0.0]), fault=np.array([1e3, 0.0]), tolerance=TIGHT, **how)
    assert found.relative_tolerance == pytest.approx(relative)
    assert found.tolerance == TIGHT


@pytest.mark.parametrize("wide", [{"tolerance": 2e-3}, {"condition": 1e11}, {"scale": 1e11}])
def test_a_tolerance_too_wide_to_tell_wrong_is_unclear_though_the_residual_is_0(wide):
    def check(draw):
        yield from right(draw)
        yield identity("wide", 1.0, 1.0, fault=1e9, **wide)

    outcome = measured(check)
    assert outcome.verdict == "unclear"
    assert results.shown(outcome) == outcome.parts[1]
    assert any("of the quantity compared" in text for text in results.complaints(outcome))


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([], [], "values of one shape"),
        ([1.0, 1.0], [[1.0], [1.0]], "values of one shape"),
        ([0.0], [0.0], "scale of the terms that cancel"),
    ],
)
def test_a_comparison_that_would_compare_nothing_is_refused(a, b, said):
    def check(draw):
        yield identity("nothing", np.array(a), np.array(b), fault=np.array(b))

    assert said in (measured(check).error or "")


@pytest.mark.parametrize("other", [refutation("same", 1.0), identity("same", 1.0, 1.0, fault=2.0, of="amended")])
def test_findings_of_two_kinds_under_one_name_are_refused(other):
    def check(draw):
        yield identity("same", 1.0, 1.0, fault=2.0)
        yield other

    assert "one kind and one statement" in (measured(check).error or "")


def test_a_weak_refutation_is_unclear():
    def check(draw):
        yield refutation("hardly off", 1e-3)

    assert measured(check, "fails as printed").verdict == "unclear"


def test_the_table_shows_the_tightest_comparison():
    def check(draw):
        yield Identity("loose", 1e-3, 1.0, "", 1e3)
        yield Identity("tight", 5e-11, TIGHT, "", 1.0)

    shown = results.shown(measured(check))
    assert shown is not None
    assert shown.name == "tight"
    assert results.shown(measured(raises)) is None


def test_instances_depend_on_the_seed_and_the_claim_alone(seed):
    def first(name, seed):
        drawn = []

        def check(draw):
            drawn.append(draw.rng.standard_normal(3))
            yield from right(draw)

        registry.run(example(check, name=name), seed=seed, quick=True)
        return drawn[0]

    assert np.array_equal(first("a", seed), first("a", seed))
    assert not np.allclose(first("a", seed), first("b", seed))
    assert not np.allclose(first("a", seed), first("a", seed + 1))


def test_quick_draws_each_instance_once():
    assert measured(right, quick=True).instances == 1
    assert measured(right, quick=False).instances == 4


def test_several_seeds_are_gathered_in_one_part():
    outcome = measured(right, seed=5, seeds=3)
    alone = [measured(right, seed=seed).parts[0] for seed in (5, 6, 7)]
    assert len(outcome.parts) == 1
    assert outcome.instances == 3
    assert outcome.parts[0].fault == min(part.fault or 0.0 for part in alone)

    def drawn(draw):
        yield refutation("a draw", draw.rng.uniform(1.0, 2.0))

    distances = [measured(drawn, seed=seed).parts[0].residual for seed in (5, 6, 7)]
    assert measured(drawn, seed=5, seeds=3).parts[0].residual == min(distances)


def test_a_claim_is_registered_once_and_with_an_amendment_where_it_needs_one(monkeypatch):
    monkeypatch.setattr(registry, "CLAIMS", {})
    text: dict[str, Any] = {"source": "", "statement": "", "fault": ""}
    registry.claim("one", **text)(right)
    with pytest.raises(ValueError, match="second for 'one'"):
        registry.claim("one", **text)
    with pytest.raises(ValueError, match="amendment"):
        registry.claim("two", expected="misprint", **text)
    with pytest.raises(ValueError, match="amendment"):
        registry.claim("two", amendment="1 = 1", **text)
    assert list(registry.CLAIMS) == ["one"]


NEW = """\
from theory_checks.framework.registry import claim, identity


@claim("Made up", source="", statement="1 + 1 = 2.", fault="1 + 1 = 3.")
def made_up(draw):
    yield identity("1 + 1, against 2", 1 + 1, 2.0, fault=3.0)
"""


def test_a_claim_is_one_new_file_and_comes_after_those_that_have_a_place(tmp_path, monkeypatch):
    known = claims.in_package(extensions)
    (tmp_path / "a_new_file.py").write_text(NEW)
    monkeypatch.setattr(extensions, "__path__", [*extensions.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "CLAIMS", registry.CLAIMS | {})
    monkeypatch.setattr(claims, "CLAIMS", registry.CLAIMS)
    assert claims.in_package(extensions) == (*known, "Made up")
    assert registry.run(registry.CLAIMS["Made up"], seed=0, quick=True).as_expected
    del sys.modules["theory_checks.extensions.a_new_file"]


@pytest.mark.parametrize("package", [extensions, paper])
def test_every_place_in_the_order_has_a_claim(package):
    assert set(package.ORDER) <= set(claims.in_package(package))
