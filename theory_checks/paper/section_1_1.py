"""How far class means can be apart: the angles of Section 1.1.

The cosines of C unit vectors that are equally far apart can be no less than -1/(C-1), because ||sum_c v_c||^2 >= 0.
With that cosine the Gram matrix is C/(C-1) I - 11^T/(C-1): every entry tends to that of I as C grows, while its
distance from I in norm is 1 for every C, because one singular value is 0 and not C^(-1/2).

Source: Han, Papyan & Donoho (2022), Section 1.1.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize, root_scalar

from theory_checks.framework import instances
from theory_checks.framework.registry import Draw, Finding, claim, identity, refutation

POLISHING = 300  # steps of gradient descent
SHAPES = ((2, 3), (3, 4), (4, 8), (6, 9), (10, 20))  # C, P > C


def _repelled(rng: np.random.Generator, C: int, P: int) -> np.ndarray:
    """C unit vectors in P dimensions that minimise the sum of e^cosine, from a random start."""

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        A = flat.reshape(P, C)
        norms = np.linalg.norm(A, axis=0)
        unit = A / norms
        terms = np.exp(unit.T @ unit)
        np.fill_diagonal(terms, 0.0)
        pull = 2 * unit @ terms
        return float(terms.sum()), ((pull - unit * np.sum(unit * pull, axis=0)) / norms).ravel()

    flat = minimize(energy, rng.standard_normal(P * C), jac=True, method="BFGS").x
    for _ in range(POLISHING):  # the line search of BFGS ends where the energy no longer changes: half the digits
        flat = flat - energy(flat)[1] * np.sum(flat**2) / (4 * C**2)
    A = flat.reshape(P, C)
    return A / np.linalg.norm(A, axis=0)


def _smallest_eigenvalue(cosine: float, C: int) -> float:
    """Of the Gram matrix of C unit vectors with one cosine."""
    return float(np.linalg.eigvalsh((1 - cosine) * np.eye(C) + cosine)[0])


@claim(
    "Section 1.1, maximal angle",
    source="Section 1.1, after (NC4)",
    statement="For P > C the maximal angles of equally separated vectors are given by <v_c, v_c'>/(||v_c|| ||v_c'||) = "
    "-1/(C - 1).",
    assumptions="P > C; P >= C - 1 would do.",
    fault="-1/C.",
)
def maximal_angle(draw: Draw) -> Iterator[Finding]:
    """Unit vectors that repel each other; and the least equal cosine that a Gram matrix can have."""
    for _ in range(draw.repeats):
        for C, P in SHAPES:
            unit = _repelled(draw.rng, C, P)
            cosines = (unit.T @ unit)[~np.eye(C, dtype=bool)]
            yield identity(
                "largest cosine of vectors that repel each other, from a random start",
                cosines.max(),
                -1 / (C - 1),
                fault=-1 / C,
                tolerance=1e-8,
                reason="steps of gradient descent to rounding, over the curvature of the energy, with room to spare",
            )
            least = root_scalar(_smallest_eigenvalue, args=(C,), bracket=(-1.5, -0.01), xtol=1e-15).root
            yield identity(
                "least equal cosine of a positive semidefinite Gram matrix",
                least,
                -1 / (C - 1),
                fault=-1 / C,
                tolerance=1e-12,
                reason="rounding of the smallest eigenvalue, over its slope C - 1",
            )


@claim(
    "Section 1.1, orthogonality for large C",
    source="Section 1.1, after (NC4)",
    expected="fails as printed",
    statement="As C increases, the Simplex ETF approaches a (partial) orthogonal matrix.",
    amendment="Every pair of its columns approaches orthogonality, by 1/(C - 1). The matrix does not: one of its "
    "singular values is 0, so that its Gram matrix, and the ETF itself, are at distance 1 from an orthogonal one for "
    "every C.",
    assumptions="Columns of unit length, P > C.",
    fault="1/C for the entries; 1/(C - 1) for the norm.",
)
def orthogonality(draw: Draw) -> Iterator[Finding]:
    """Entries and norm of Gram - I, and the distance from the nearest matrix with orthonormal columns, as C grows."""
    for C in (4, 10, 40) if draw.quick else (4, 10, 40, 100, 200):
        E = instances.placed(instances.simplex_vertices(C), C + 5, draw.rng)
        gap = E.T @ E - np.eye(C)
        yield identity(
            "largest entry of Gram - I",
            np.abs(gap).max(),
            1 / (C - 1),
            fault=1 / C,
            condition=float(C),
            reason="200 eps of products of unit vectors, over entries of 1/(C - 1)",
            of="instead",
        )
        norm = np.linalg.norm(gap, 2)
        yield identity("norm of Gram - I, against 1", norm, 1.0, fault=1 / (C - 1), of="instead")
        U, _, Vt = np.linalg.svd(E, full_matrices=False)
        yield refutation(
            "distance of the ETF from the nearest partial orthogonal matrix", _norm(E - U @ Vt), at_least=0.9
        )
        yield refutation("norm of Gram - I", norm, at_least=0.9)


def _norm(A: np.ndarray) -> float:
    return float(np.linalg.norm(A, 2))
