"""How a verdict follows from findings, and what a claim and its instances are."""

import math
from typing import Any

import numpy as np
import pytest
from made_up_claims import TIGHT, empty, example, false, measured, missed, nan, raises, refuted, right

from theory_checks import registry, report
from theory_checks.registry import Identity, Part, identity, refutation


@pytest.mark.parametrize(
    ("check", "expected", "verdict"),
    [
        (right, "holds", "holds"),
        (right, "fails as printed", "holds"),
        (refuted, "holds as amended", "holds as amended"),
        (refuted, "holds in part", "holds in part"),
        (refuted, "misprint", "misprint"),
        (refuted, "holds", "fails as printed"),
        *((check, "holds", "unclear") for check in (false, nan, raises, empty)),
        *((check, "fails as printed", "unclear") for check in (false, nan, raises, empty)),
    ],
)
def test_the_verdict_follows_from_the_findings(check, expected, verdict):
    outcome = measured(check, expected)
    assert outcome.verdict == verdict
    assert outcome.as_expected == (verdict == expected)


def test_a_missed_fault_is_not_as_expected_though_the_claim_holds():
    outcome = measured(missed)
    assert outcome.verdict == "holds"
    assert not outcome.as_expected
    assert report.shown(outcome) == outcome.parts[1]


def test_a_fault_must_exceed_ten_tolerances():
    part = Part("", "identity", 0.0, TIGHT, "", 10 * TIGHT, 1)
    assert not part.fault_caught
    assert Part("", "identity", 0.0, TIGHT, "", 10.1 * TIGHT, 1).fault_caught
    assert not Part("", "identity", 0.0, TIGHT, "", math.nan, 1).fault_caught


def test_a_part_keeps_its_worst_instance_and_the_fault_that_some_instance_catches():
    def check(draw):
        for residual, tolerance, fault in ((1e-12, TIGHT, 1.0), (9e-11, TIGHT, 2.0), (1e-10, 1e-8, 3e-9)):
            yield Identity("same name", residual, tolerance, "", fault)
        yield refutation("same refutation", 0.5)
        yield refutation("same refutation", 0.2)

    same, off = measured(check, "holds as amended").parts
    assert (same.residual, same.tolerance, same.instances) == (9e-11, TIGHT, 3)
    assert same.fault == pytest.approx(2.0)
    assert (off.residual, off.instances, off.fault) == (0.2, 2, None)


def test_one_nan_among_good_instances_is_not_overlooked():
    def identities(draw):
        for value in (1.0, math.nan, 1.0):
            yield identity("same", value, 1.0, fault=2.0)

    def refutations(draw):
        for value in (1.0, math.nan, 1.0):
            yield refutation("same", value)

    assert measured(identities).verdict == "unclear"
    assert measured(refutations, "fails as printed").verdict == "unclear"


def test_a_weak_refutation_is_unclear():
    def check(draw):
        yield refutation("hardly off", 1e-3)

    assert measured(check, "fails as printed").verdict == "unclear"


def test_the_table_shows_the_tightest_comparison():
    def check(draw):
        yield Identity("loose", 1e-3, 1.0, "", 1e3)
        yield Identity("tight", 5e-11, TIGHT, "", 1.0)

    shown = report.shown(measured(check))
    assert shown is not None
    assert shown.name == "tight"
    assert report.shown(measured(raises)) is None


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
