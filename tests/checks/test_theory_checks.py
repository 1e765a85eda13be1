"""Every claim has its expected verdict, and every planted fault is caught, from a seed of no other run."""

import jax
import jax.numpy as jnp
import pytest

from theory_checks.claims import ORDER, PAPER
from theory_checks.framework import compiled
from theory_checks.framework.registry import CLAIMS, run

SEED = 4711
VERDICTS = {  # of the statements of the paper, by the theory
    "holds": "Section 1.1, maximal angle; Theorem 1; Theorem 2; Equation 6; Equation 7; Section 3.1; Corollary 1; "
    "Appendix C.1; Appendix D.2, without loss of generality; Observation 1; Lemma 1; Definition 5; Observation 2; "
    "Observation 3; Appendix D.3; Lemma 2; Lemma 6; Lemma 7",
    "holds in part": "Section 2, reducing L_NC1; Figure 2, caption; Proposition 4",
    "holds as amended": "Proposition 1; Footnote 7; Footnote 7, reason; Equation 4; Theorem 3; Definition 2; "
    "A2, proximity implies b near b_LS; Proposition 2; Corollary 2; Corollary 2, NC1; Papyan et al. 2020, Theorem 1; "
    "Lemma 3; Lemma 5; Appendix D.6, eigenvalues",
    "fails as printed": "Section 1.1, orthogonality for large C; Footnote 12; Section 3.2, smallest separation; "
    "Appendix C.2; Appendix D.2, invariance; Lemma 4",
    "misprint": "Appendix D.1; Proposition 3; Lemma 2, display; Lemma 6, display",
}


QUICK = {  # every verdict, of every section, where programs are small; the slow command checks all other claims
    "Section 1.1, maximal angle",
    "Section 1.1, orthogonality for large C",
    "Equation 6",
    "Footnote 12",
    "Corollary 1",
    "Corollary 2, NC1",
    "Papyan et al. 2020, Theorem 1",
    "Appendix C.2",
    "Observation 1",
    "Proposition 3",
    "Proposition 4",
    "Lemma 2, display",
    "Logistic law",
    "Law of the unnormalized flow",
    "Assumption A2",
}


@pytest.mark.parametrize("claim", [pytest.param(c, marks=() if c in QUICK else pytest.mark.slow) for c in ORDER])
def test_the_verdict_is_the_expected_one_and_the_planted_fault_is_caught(claim):
    outcome = run(CLAIMS[claim], seed=SEED, quick=True)
    wrong = [part for part in outcome.parts if not (part.stands and part.fault_caught)]
    assert outcome.as_expected, (outcome.verdict, outcome.error, wrong)


def test_the_paper_s_claims_are_all_there_with_the_verdicts_of_the_theory():
    expected = {claim: verdict for verdict, claims in VERDICTS.items() for claim in claims.split("; ")}
    own = set(ORDER) - set(expected)
    assert set(expected) == set(PAPER)
    assert len(PAPER) == 45
    assert {claim: CLAIMS[claim].expected for claim in ORDER if claim in expected} == expected
    assert all(CLAIMS[claim].expected == "holds" for claim in own)
    assert len(own) == 23


def test_a_claim_gives_the_same_numbers_alone_and_after_others():
    first = run(CLAIMS["Lemma 7"], seed=1, quick=True)
    run(CLAIMS["Lemma 1"], seed=1, quick=True)
    assert run(CLAIMS["Lemma 7"], seed=1, quick=True).parts == first.parts
    assert run(CLAIMS["Lemma 7"], seed=2, quick=True).parts != first.parts


@pytest.mark.slow
def test_directions_that_a_pseudo_inverse_drops_are_noticed(monkeypatch):
    pinv, decompose = jnp.linalg.pinv, compiled.decompose.__wrapped__
    traced_anew = jax.jit(lambda *args, lam: decompose(*args, lam=lam), static_argnames="lam")
    monkeypatch.setattr(compiled, "decompose", traced_anew)
    monkeypatch.setattr(jnp.linalg, "pinv", lambda A, **how: pinv(A, **how | {"rtol": 1e-6}))
    outcome = run(CLAIMS["Theorem 1"], seed=SEED, quick=True)
    assert outcome.verdict == "unclear"
    assert [part.name for part in outcome.parts if not part.stands] == ["L_LS, against the loss of W_LS"]
