"""Every claim has its expected verdict, and every planted fault is caught, from a seed of no other run."""

import pytest

from theory_checks.claims import ORDER
from theory_checks.registry import CLAIMS, run

SEED = 4711
VERDICTS = {  # of the statements of the paper, by the theory
    "holds": "Proposition 1; Theorem 1; Theorem 2; Equation 6; Equation 7; Section 3.1; Lemma 1; Observation 1; "
    "Observation 3; Lemma 2; Lemma 3; Corollary 1; Lemma 6; Corollary 2; Lemma 7; Appendix C.1; Appendix D.3",
    "holds in part": "Proposition 4",
    "holds as amended": "Footnote 7; Equation 4; Definition 2; Observation 2; Definition 5; Lemma 5; Proposition 2; "
    "Corollary 2, NC1; Papyan et al. 2020, Theorem 1; Theorem 3",
    "fails as printed": "Section 2, reducing L_NC1; Appendix D.2, invariance; Lemma 4; Appendix C.2",
    "misprint": "Proposition 3; Appendix D.1",
}


@pytest.mark.parametrize("claim", ORDER)
def test_the_verdict_is_the_expected_one_and_the_planted_fault_is_caught(claim):
    outcome = run(CLAIMS[claim], seed=SEED, quick=True)
    wrong = [part for part in outcome.parts if not (part.stands and part.fault_caught)]
    assert outcome.as_expected, (outcome.verdict, outcome.error, wrong)


def test_the_paper_s_claims_are_all_there_with_the_verdicts_of_the_theory():
    expected = {claim: verdict for verdict, claims in VERDICTS.items() for claim in claims.split("; ")}
    own = set(ORDER) - set(expected)
    assert {claim: CLAIMS[claim].expected for claim in ORDER if claim in expected} == expected
    assert all(CLAIMS[claim].expected == "holds" for claim in own)
    assert len(own) == 16


def test_a_claim_gives_the_same_numbers_alone_and_after_others():
    first = run(CLAIMS["Lemma 7"], seed=1, quick=True)
    run(CLAIMS["Lemma 1"], seed=1, quick=True)
    assert run(CLAIMS["Lemma 7"], seed=1, quick=True).parts == first.parts
    assert run(CLAIMS["Lemma 7"], seed=2, quick=True).parts != first.parts
