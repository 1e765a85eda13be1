"""The claims of the paper. `ORDER` has their ids as the paper has them; one that is not listed comes after these."""

ORDER = (
    *("Section 1.1, maximal angle", "Section 1.1, orthogonality for large C", "Proposition 1", "Theorem 1"),
    *("Footnote 7", "Footnote 7, reason", "Theorem 2", "Section 2, reducing L_NC1", "Equation 4", "Figure 2, caption"),
    *("Footnote 12", "Theorem 3", "A2, proximity implies b near b_LS", "Equation 6", "Equation 7", "Section 3.1"),
    *("Definition 2", "Section 3.2, smallest separation", "Proposition 2", "Corollary 1", "Corollary 2"),
    *("Corollary 2, NC1", "Papyan et al. 2020, Theorem 1", "Appendix C.1", "Appendix C.2", "Appendix D.1"),
    *("Appendix D.2, without loss of generality", "Appendix D.2, invariance", "Observation 1", "Lemma 1"),
    *("Definition 5", "Observation 2", "Observation 3", "Proposition 3", "Proposition 4", "Appendix D.3", "Lemma 2"),
    *("Lemma 2, display", "Lemma 3", "Lemma 4", "Lemma 5", "Lemma 6", "Lemma 6, display", "Lemma 7"),
    "Appendix D.6, eigenvalues",
)
