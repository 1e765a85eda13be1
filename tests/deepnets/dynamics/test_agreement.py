"""Cosines, clocks, mixtures and chance: exact cases, and the rate at which a null is rejected."""

import numpy as np
import pytest

from deepnet_runs.dynamics import agreement
from deepnet_runs.dynamics.field import gradient, law_rates
from deepnet_runs.dynamics.snr_frame import SNRFrame, class_means

DRAWS = 1000
NOMINAL = 0.05
FAR = 3.3 * np.sqrt(NOMINAL * (1 - NOMINAL) / DRAWS)  # a deviation that one in a thousand seeds exceeds


@pytest.fixture(scope="module")
def setting():
    """Features of 6 classes, the rates of both parts of the free gradient flow, and random rates."""
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(6), 15)
    H = 1.5 * rng.standard_normal((6, 9))[y] + rng.standard_normal((90, 9)) * np.exp(rng.uniform(-0.7, 0.7, 9))
    frame, G = SNRFrame.of(H, y), gradient(H, y)
    means = class_means(G, y)[y]
    return frame, frame.rates(-means), frame.rates(means - G), frame.random_rates(DRAWS, rng), rng


def test_cosine_clock_and_error_of_a_known_pair(setting):
    _, B, D, random, _ = setting
    same = agreement.match(3 * B, B, random)
    assert (same.cosine, same.clock) == (pytest.approx(1), pytest.approx(3))
    assert same.error == pytest.approx(0, abs=1e-7)
    assert same.p == 1 / (1 + DRAWS)
    opposite = agreement.match(-B, B, random)
    assert (opposite.cosine, opposite.clock, opposite.error, opposite.p) == (pytest.approx(-1), 0, 1, 1)
    D = agreement.without(D, B)
    mixed = agreement.match(B / np.linalg.norm(B) + D / np.linalg.norm(D), B, random)
    assert (mixed.cosine, mixed.error) == (pytest.approx(np.sqrt(0.5)), pytest.approx(np.sqrt(0.5)))


def test_the_best_mixture_is_that_of_a_search(setting):
    _, B, D, random, _ = setting
    x, y, found = agreement.best_mixture(random[:50], B, D)
    angles = np.linspace(0, np.pi / 2, 2001)
    searched = np.max([agreement.cosine(random[:50], np.cos(t) * B + np.sin(t) * D) for t in angles], axis=0)
    assert np.all(found >= searched - 1e-12)
    np.testing.assert_allclose(found, searched, atol=1e-5)
    for A, u, v, cos in zip(random[:50], x, y, found, strict=True):
        if u + v > 0:
            rest = A - u * B - v * D
            assert np.linalg.norm(rest) / np.linalg.norm(A) == pytest.approx(np.sqrt(1 - cos**2), rel=1e-8)
    exact = agreement.match_mixture(2 * B + 0.6 * D, B, D, random)
    assert (exact.cosine, exact.b, exact.clock) == (pytest.approx(1), pytest.approx(0.3), pytest.approx(2))


def test_nothing_is_left_of_the_common_factor_and_the_law_k_2(setting):
    frame, B, _, random, _ = setting
    common = np.diag(frame.omega)
    N = frame.N
    for A in (common, law_rates(frame.omega, 2, 6, N)):
        rest = agreement.without(A, common)
        assert not rest.any()
        assert np.isnan(agreement.match(B, rest, random).cosine)
        assert np.isnan(agreement.match(rest, B, random).p)
    assert abs(np.sum(agreement.without(B, common) * common)) < 1e-12 * np.linalg.norm(B) * np.linalg.norm(common)


def test_the_cosines_of_the_common_factor_with_the_laws():
    omega = np.linspace(20, 10, 9)
    found = [float(agreement.cosine(law_rates(omega, k, 10, 50), np.diag(omega))) for k in (0, 1, 2)]
    assert found == pytest.approx([0.73, 0.92, 1.0], abs=0.02)


@pytest.mark.parametrize("null", ["a random velocity", "a common factor and a random velocity"])
def test_a_true_null_is_rejected_at_its_nominal_rate(setting, null):
    frame, B, D, random, rng = setting
    common = np.diag(frame.omega)
    truth = frame.random_rates(DRAWS, rng)
    if null == "a random velocity":
        pair, chance = (B, D), random
    else:
        scale = np.linalg.norm(truth, axis=(1, 2)).mean() / np.linalg.norm(common)
        truth = agreement.without(truth + 3 * scale * common, common)
        pair, chance = tuple(agreement.without(X, common) for X in (B, D)), agreement.without(random, common)
    models = {"free": pair[0] + pair[1], "class means": pair[0]}
    ps = {name: [agreement.match(A, X, chance).p for A in truth] for name, X in models.items()}
    ps["block, best b"] = [agreement.match_mixture(A, *pair, chance).p for A in truth]
    for name, values in ps.items():
        spread = FAR * np.sqrt(2)  # the draws that give p are as many as those that are judged
        assert abs(np.mean(np.array(values) <= NOMINAL) - NOMINAL) < spread, (null, name)


def test_without_taking_the_common_factor_out_it_passes_for_agreement(setting):
    frame, B, D, random, rng = setting
    common = np.diag(frame.omega)
    truth = frame.random_rates(200, rng)
    truth = truth + 3 * np.linalg.norm(truth, axis=(1, 2)).mean() / np.linalg.norm(common) * common
    rejected = np.mean([agreement.match(A, B + D, random).p <= NOMINAL for A in truth])
    assert rejected > 0.9  # the planted fault of the test above


def test_the_mobility_exponent_of_laws_is_theirs_and_its_error_covers(setting):
    rng = setting[-1]
    omega = np.geomspace(30, 3, 9)
    for k in (0.0, 1.0, 1.7):
        slope, error, count = agreement.mobility(law_rates(omega, k, 10, 50), omega, 10, 50)
        assert (slope, count) == (pytest.approx(k, abs=1e-9), 9)
        assert error < 1e-9
    scores = []
    for _ in range(DRAWS):
        noisy = law_rates(omega, 1.0, 10, 50) * np.exp(0.3 * rng.standard_normal((9, 1)))
        slope, error, _ = agreement.mobility(noisy, omega, 10, 50)
        scores.append(abs(slope - 1) / error < 2.365)  # Student's t of 7 degrees of freedom
    assert np.mean(scores) == pytest.approx(0.95, abs=0.02)
    falls = -law_rates(omega, 1.0, 10, 50)
    assert np.isnan(agreement.mobility(falls, omega, 10, 50)[0])
