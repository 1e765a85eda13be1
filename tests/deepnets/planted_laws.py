"""omega over epochs along a law that is known."""

import numpy as np

from central_path.theory.laws import Law

C, N, EPOCHS = 10, 50, 25


def planted(k, seed, noise=0.0, low=2.0, high=12.0, grown=5.0):
    """omega (T, K) along the law k, from a random start, in a clock of its own, with relative noise."""
    rng, law = np.random.default_rng(seed), Law(k, C, N)
    omega0 = np.sort(rng.uniform(low, high, C - 1))[::-1]
    end = float(law.elapsed(omega0[-1], np.log(grown)))
    ts = np.concatenate([[0.0], end * np.sort(rng.uniform(1e-3, 1, EPOCHS - 1)) ** 3])
    omega = np.asarray(law.omega(ts[:, None], omega0[None, :]))
    return omega * np.exp(noise * rng.standard_normal(omega.shape))
