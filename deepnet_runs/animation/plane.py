"""Three classes of features in the plane of their class means, where a Simplex ETF is an equilateral triangle.

The three classes are taken by themselves, C = 3, and renormalized: X = Sigma_W^(-1/2) (H - mu_G). Their class means

    Mbar = U diag(omega) V^T

span a plane, U (P, 2). It is turned, or reflected, so that the means come as near as they can to a fixed equilateral
triangle T (2, 3), T T^T = I and T 1 = 0: a feature x is drawn at T V U^T x. The means are then at T V diag(omega) V^T,
the symmetric root of their Gram matrix seen in the plane of T, and the deviations e = x - mu_c at T V U^T e. Both are
divided by |Mbar|_F/2^(1/2), so that means which are a Simplex ETF lie on T: shapes compare whatever the scale.

Along the flows k = 0 and k = 1 the deviations and the singular vectors stay, and omega follows the law: `Plane.at` is
the flow in closed form. For renormalized features NC1 = sum_j 1/omega_j^2.

Source: Han, Papyan & Donoho (2022), Definition 2, Lemma 5, Corollary 2; of a plane for three classes, this project.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from central_path.cli.inputs import features_of_samples
from central_path.metrics.samples import check_samples

CLASSES = 3
_ANGLES = np.pi * (0.5 + 2 * np.arange(CLASSES) / CLASSES)
TRIANGLE: Float[np.ndarray, "2 3"] = np.sqrt(2 / CLASSES) * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])


class Plane(NamedTuple):
    """Three classes seen in the plane of their means: omega, T V, and the deviations (2, 3, N) in the plane."""

    omega: Float[np.ndarray, " 2"]
    TV: Float[np.ndarray, "2 2"]
    deviations: Float[np.ndarray, "2 3 N"]

    def at(self, omega: Float[np.ndarray, " 2"]) -> "Plane":
        """The same singular vectors and deviations with other omega: a later moment of the flow."""
        return self._replace(omega=omega)

    @property
    def _scale(self) -> float:
        return float(np.linalg.norm(self.omega) / np.sqrt(2))

    @property
    def means(self) -> Float[np.ndarray, "2 3"]:
        """Class means as drawn: T if they are a Simplex ETF."""
        return (self.TV * self.omega) @ self.TV.T @ TRIANGLE / self._scale

    @property
    def points(self) -> Float[np.ndarray, "2 3 N"]:
        """Features as drawn."""
        return self.means[:, :, None] + self.deviations / self._scale

    @property
    def nc1(self) -> float:
        """tr(Sigma_W Sigma_B^+)/3 of the renormalized features."""
        return float(np.sum(self.omega**-2.0))

    @property
    def ratio(self) -> float:
        """omega_1/omega_2: 1 for a Simplex ETF."""
        return float(self.omega[0] / self.omega[1])


def choose(
    features: Shaped[np.ndarray, "n P"], labels: Shaped[np.ndarray, " n"], classes: Int[np.ndarray, " 3"]
) -> tuple[Shaped[np.ndarray, "m P"], Shaped[np.ndarray, " m"]]:
    """The rows of three classes.

    Raises:
        ValueError: for a class that is not there.
    """
    missing = [str(c) for c in classes if c not in labels]
    if missing:
        there = ", ".join(map(str, np.unique(labels)))
        raise ValueError(f"Need classes among {there}, got {', '.join(missing)}: give three of them to --classes.")
    kept = np.isin(labels, classes)
    return features[kept], labels[kept]


def project(features: Shaped[np.ndarray, "n P"], labels: Shaped[np.ndarray, " n"], *, balance: bool) -> Plane:
    """Features (n, P) of three classes in the plane of their means, the classes in sorted order of their labels.

    Directions without within-class variance are left out, where the class means have nothing in them beyond rounding.
    Unbalanced classes are subsampled to the smallest if `balance`, the same rows for the same labels.

    Raises:
        ValueError: as `inputs.features_of_samples` and `starts.renormalize`, and if a direction without
            within-class variance separates the means.
    """
    given, note = features_of_samples(check_samples(features, labels), balance=balance, restrict_rank=True, seed=0)
    if given.sizes[0] != CLASSES:
        raise ValueError(f"Need {CLASSES} classes, which span a plane, got {given.sizes[0]}.")
    if "left out" in note:
        raise ValueError(f"Need class means in the range of Sigma_W, got {note}: their omega are infinite.")
    X = given.start().X
    M = X.mean(axis=2)
    U, omega, Vt = np.linalg.svd(M - M.mean(axis=1, keepdims=True), full_matrices=False)
    TV = TRIANGLE @ Vt[:2].T
    return Plane(omega[:2], TV, np.tensordot(TV @ U[:, :2].T, X - M[:, :, None], axes=1))
