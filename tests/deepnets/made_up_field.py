"""Rows of a field test that was never made: real comparisons of random features with a random velocity."""

import numpy as np

from deepnet_runs.dynamics import field_records
from deepnet_runs.dynamics.field import Velocity, compare, gradient
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.snr_frame import class_means


def rows(epochs=(2, 9), *, C=4, N=8, P=6, seed=0):
    """A row for each epoch; the kernel of the examples is estimated, so that its cosine has an error."""
    made = []
    for epoch in epochs:
        rng = np.random.default_rng([seed, epoch])
        labels = np.repeat(np.arange(C), N)
        H = 2 * rng.standard_normal((C, P))[labels] + rng.standard_normal((C * N, P))
        G = gradient(H, labels)
        M = class_means(G, labels)[labels] - G.mean(axis=0)
        E = G - M - G.mean(axis=0)
        noise = 0.3 * np.std(G) * rng.standard_normal((5, *G.shape))
        velocity = Velocity(M, E, M + noise[0], 0.4 * E, np.zeros_like(G), G + noise)
        numbers = {"isotropy": 0.5 / epoch, "isotropy_error": 0.01}
        made.append(FieldRow(epoch, "training", 1.0, numbers, compare(H, labels, velocity, draws=50, seed=seed)))
    return made


def write(folder, found):
    """field.jsonl of a run."""
    (folder / field_records.FILE).write_bytes(field_records.text(found))
    return found
