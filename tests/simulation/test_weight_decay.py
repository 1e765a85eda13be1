"""Weight decay: the closed form of a direction, its conserved number and both time scales, against all features."""

import numpy as np
import pytest

from central_path.simulation.general import BlockKernel, simulate_general
from central_path.theory.decay import DecayedDirection
from central_path.theory.general_loss import classes_of

WITHIN, BETWEEN = np.array([2.0, 1.0, 0.5]), np.array([0.05, 0.1, 0.2])  # v, in descending order, and u at the start
P, C = 4, 4


def features_along_axes(counts, V):
    """Features whose covariance has the axes of their class means, with right singular vectors V, and their labels."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(C), counts)
    E = rng.standard_normal((len(labels), P))
    for c in range(C):
        E[labels == c] -= E[labels == c].mean(axis=0)
    E = np.linalg.qr(E)[0] * np.sqrt(len(labels)) * np.sqrt([*WITHIN, 0.3])
    B = np.zeros((P, C))
    B[: C - 1, : C - 1] = np.sqrt(BETWEEN)[:, None] * V.T
    turn = np.linalg.qr(rng.standard_normal((P, P)))[0]
    return ((B @ classes_of(np.array(counts) / len(labels)).to_means).T[labels] + E) @ turn, labels


def between(run, V):
    """u (T, 3) along the axes."""
    B = run.ys["M"] @ classes_of(run.start.pi).to_contrasts[:, :-1]
    return np.sum((B @ V) ** 2, axis=1)


def eigenvectors(counts):
    """tau and V of the block of contrasts of T."""
    return np.linalg.eigh(classes_of(np.array(counts) / sum(counts)).targets[:-1, :-1])


@pytest.mark.parametrize("counts", [(7, 7, 7, 7), (3, 5, 8, 12)])
def test_features_follow_the_closed_form_of_each_direction(counts):
    tau, V = eigenvectors(counts)
    a, b, lam = 0.7, 0.4, 0.02
    options = {"kernel": BlockKernel(a, b), "lam": lam, "decay_bias": False, "level": "features", "keep_moments": True}
    run = simulate_general(*features_along_axes(counts, V), t_max=3e4, saves=12, **options)
    assert run.successful
    u = between(run, V)
    for j in range(C - 1):
        law = DecayedDirection(BETWEEN[j], WITHIN[j], tau[j], sum(counts), lam, a, b)
        np.testing.assert_allclose(law.time(u[1:, j]), run.ts[1:], rtol=1e-7)
        np.testing.assert_allclose(law.time(u[:1, j]), 0, atol=1e-7)
        wrong = law._replace(lam=1.001 * lam)
        assert np.max(np.abs(wrong.time(u[1:, j]) / run.ts[1:] - 1)) > 1e-4
    if len(set(counts)) == 1:  # omega_j = (C u/v)^(1/2)
        laws = [DecayedDirection(BETWEEN[j], WITHIN[j], tau[j], sum(counts), lam, a, b) for j in range(C - 1)]
        omega = np.column_stack([np.sqrt(C * u[:, j] / law.within(u[:, j])) for j, law in enumerate(laws)])
        kept = np.max(omega, axis=1) < 1e5
        assert np.count_nonzero(kept) > 4
        np.testing.assert_allclose(run.ys["omega"][kept], -np.sort(-omega[kept], axis=1), rtol=1e-6)


def test_without_decay_the_closed_form_is_that_of_two_conserved_numbers():
    law = DecayedDirection(0.1, 1.0, 0.25, 40, 0.0, 0.7, 0.4)
    u = np.geomspace(0.1, 0.99 * law.plateau, 7)
    np.testing.assert_allclose(law.within(u) + 0.4 / 0.7 * u, law.kappa, rtol=1e-14)
    small = law._replace(lam=1e-9)
    np.testing.assert_allclose(small.time(u), law.time(u), rtol=1e-6, atol=1e-12)


def test_nc1_and_nc2_have_the_two_time_scales():
    law = DecayedDirection(0.1, 1.0, 0.25, 40, 1e-4, 0.7, 0.4)
    fast, slow = law.time_of_within(law.lam), law.time_of_growth
    assert slow / fast > 100
    np.testing.assert_allclose(law.time(np.array([2**0.5 * law.plateau])), fast + slow, rtol=0.01)
    t = slow * np.array([1.0, 10.0, 100.0])
    np.testing.assert_allclose(law.time(law.late(t)), t, rtol=0.01)
    wrong = law._replace(lam=1.1 * law.lam)  # planted
    assert np.min(np.abs(law.time(wrong.late(t)) / t - 1)) > 0.03


@pytest.mark.parametrize(("end", "lam"), [(10.0, 0.02), (0.1, 1e-4)])  # E/U: above 1 NC2 comes before growth stops
def test_nc2_appears_before_decay_of_features_stops_growth_only_where_the_end_is_larger(end, lam):
    counts = (7, 7, 7, 7)
    tau, V = eigenvectors(counts)
    laws = [DecayedDirection(BETWEEN[j], WITHIN[j], tau[j], sum(counts), lam) for j in range(C - 1)]
    plateau = np.array([law.plateau for law in laws])
    lam_H = lam * tau[1] / (sum(counts) * (end * plateau[1]) ** 2)
    stop = 1 / (4 * lam_H)
    options = {"lam": lam, "lam_H": lam_H, "decay_bias": False, "keep_moments": True, "saves": 2}
    u = between(simulate_general(*features_along_axes(counts, V), t_max=stop, **options), V)[-1]
    form = np.concatenate([law.late(np.array([stop]), lam_H) for law in laws])
    np.testing.assert_allclose(u, form, rtol=0.02)
    apart = np.sqrt(np.max(u) / np.min(u)) - 1
    assert (apart < 0.01) == (end > 1)
    assert (np.mean(u) > 2 * np.mean(plateau)) == (end > 1)
