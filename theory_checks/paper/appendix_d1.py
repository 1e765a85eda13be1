"""Continual renormalization, Appendix D.1: features are A X, and the fibre keeps predictions and loss."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import (
    INVARIANCE_REASON,
    WITHIN_REASON,
    condition,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, refutation


@claim(
    "Appendix D.1",
    source="Appendix D.1, and footnote 18",
    expected="misprint",
    statement="Every Hbar is A X with X = Sigma_W^(-1/2) Hbar and A = Sigma_W^(-1/2)(Hbar); along the fibre {A X} "
    "predictions and loss are the same.",
    amendment="A = Sigma_W^(+1/2)(Hbar). The statement about the fibre holds.",
    assumptions="lambda = 0, balanced classes, Sigma_W > 0.",
    fault="Sigma_T^(+1/2) for A; predictions of X by the classifier of H.",
)
def appendix_d1(draw: Draw) -> Iterator[Finding]:
    """Back from X to H with either root; loss and predictions along the fibre."""
    for instance in instances.ordinary(draw):
        H = instance.H
        C, s = H.shape[1], definitions.statistics_of(H)
        centred = definitions.stack(H) - s.mu_G[:, None]
        X = definitions.stack(np.asarray(compiled.retract(H)))
        compare = partial(identity, condition=instance.condition, reason=WITHIN_REASON)
        back, wrong = definitions.root(s.Sigma_W, 0.5) @ X, definitions.root(s.Sigma_T, 0.5) @ X
        fault = centred + back - wrong
        yield compare("Sigma_W^(+1/2) X = Hbar", back, centred, fault=fault, of="intended")
        printed = definitions.root(s.Sigma_W, -0.5) @ X
        yield refutation(
            "distance of Sigma_W^(-1/2) X from Hbar, relative",
            np.linalg.norm(printed - centred) / np.linalg.norm(centred),
        )
        A = instances.invertible(draw.rng, len(H))
        W, b = compiled.classifier_of((A @ X).reshape(H.shape))
        exact = definitions.classifier_of(H)
        yield identity(
            "predictions along the fibre",
            W @ A @ X + b[:, None],
            exact @ definitions.extend(definitions.stack(H)),
            fault=exact[:, :-1] @ X + 1 / C,
            condition=max(instance.condition, condition(A @ X, 0.0)),
            reason=INVARIANCE_REASON,
        )
