"""Every claim: importing this registers all of them. `ORDER` has their ids as the paper has them, then our own."""

from theory_checks import (
    assumptions,
    collapse,
    decomposition,
    discrete,
    dynamics,
    geometry,
    invariance,
    limits,
    own_family,
    own_features,
    own_general,
    own_growth,
    own_laws,
    own_levels,
    readings,
    spectrum,
    trajectories,
)
from theory_checks.registry import CLAIMS

PAPER = (
    *("Proposition 1", "Theorem 1", "Footnote 7", "Theorem 2", "Section 2, reducing L_NC1", "Equation 4", "Theorem 3"),
    *("Section 3.1", "Equation 6", "Equation 7", "Definition 2", "Proposition 2", "Corollary 1", "Corollary 2"),
    *("Corollary 2, NC1", "Papyan et al. 2020, Theorem 1", "Appendix C.1", "Appendix C.2", "Appendix D.1"),
    *("Appendix D.2, invariance", "Observation 1", "Lemma 1", "Definition 5", "Observation 2", "Observation 3"),
    *(
        "Proposition 3",
        "Proposition 4",
        "Appendix D.3",
        "Lemma 2",
        "Lemma 3",
        "Lemma 4",
        "Lemma 5",
        "Lemma 6",
        "Lemma 7",
    ),
)
CHECKS = (
    *(decomposition, readings, invariance, spectrum, geometry, dynamics, trajectories, collapse, limits),
    *(own_laws, own_features, own_family, own_growth, own_levels, own_general, discrete, assumptions),
)
OWN = tuple(
    id
    for module in CHECKS
    for id, claim in CLAIMS.items()
    if claim.check.__module__ == module.__name__ and id not in PAPER
)
ORDER = (*PAPER, *OWN)
