"""Claims of this project, beyond the paper. `ORDER` has their ids; one that is not listed comes after these."""

ORDER = (
    *("Law of the renormalized flow", "Law of the unnormalized flow", "Time-free invariant", "Frozen deviations"),
    *("Conservation of X X^T", "Logistic law", "Family of laws", "NC2 in absolute terms", "Growth exponents"),
    *("Laws of a kernel", "Conservation under a kernel", "Limit of the ratios under a kernel"),
    *("Closed state of moments", "Two classes of any priors", "End of the flow with decay of every part"),
    *("Levels of description", "Bias", "General Sigma_T(0)", "Gradient descent with continual renormalization"),
    "Remainder of a renormalized step",
    *("Assumption A1", "Assumption A2", "Assumption A3"),
)
