"""The omega of class means, against the general definition; what all levels observe is in test_solve.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.cli import inputs
from central_path.simulation import aligned, experiment, observables
from central_path.theory import problem

C, N, P = 4, 6, 8


@pytest.mark.parametrize("flow", flows.FLOWS.values(), ids=list(flows.FLOWS))
def test_omega_of_means_is_that_of_their_snr_matrix(flow):
    begun = [inputs.random_start(C, N, P, "means", seed=seed).start() for seed in range(3)]
    B = np.stack([aligned.start(jnp.asarray(one.X), flow, "means")[0] for one in begun])
    omega = observables.omega_of_means(B[:, None], flow)
    assert omega.shape == (3, 1, 3)
    M = [flow.start(jnp.asarray(one.X), "means") for one in begun]
    for one, found in zip(M, omega[:, 0], strict=True):
        Sigma_W = flow.within_covariance_of_means(jnp.asarray(one))
        expected = np.asarray(
            problem.snr_singular_values(jnp.asarray(one), Sigma_W, problem.equal_priors(one.shape[1]))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


def test_means_without_an_omega_have_nan_and_leave_the_others_alone():
    on_manifold, on_sphere = flows.FLOWS["riemannian"], flows.FLOWS["unnormalized"]
    M = np.asarray(experiment.renormalize(np.random.default_rng(0).normal(size=(3, C, N)), eps=1e-16).X.mean(axis=2))
    B = M @ problem.contrasts(C)
    omega = observables.omega_of_means(B, on_manifold)
    bad = np.stack([B, np.full_like(B, np.inf), np.where(np.arange(C - 1) == 1, np.nan, B)])
    np.testing.assert_array_equal(observables.omega_of_means(bad, on_manifold), [omega, [np.nan] * 3, [np.nan] * 3])
    beyond = B * 1.1 * np.sqrt(C) / omega[0]  # s > C^(1/2): off the sphere that the unnormalized flow keeps
    assert np.isnan(observables.omega_of_means(beyond, on_sphere)[0])
    assert np.isfinite(observables.omega_of_means(beyond, on_sphere)[-1])
