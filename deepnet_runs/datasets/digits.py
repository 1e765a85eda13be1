"""scikit-learn's 1797 images of 8 x 8 with pixels from 0 to 16, split at random once."""

import numpy as np

from deepnet_runs.datasets.reading import SPLIT_SEED, Read, Source, images_of
from deepnet_runs.datasets.registry import SETS


def read(source: Source) -> Read:
    """140 images a class to train, the rest to test; a whole set trains on four fifths of the rest too."""
    from sklearn.datasets import load_digits  # takes a second, for one of the sets

    pixels, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    pixels = pixels.reshape(-1, 1, 8, 8).astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    rank = np.empty(len(labels), int)
    for c in range(10):
        rank[order[labels[order] == c]] = np.arange(np.count_nonzero(labels == c))
    train = rank < (SETS["digits"].per_class or 0)
    if source.whole:
        rest = np.flatnonzero(~train)
        train[rest[np.arange(len(rest)) % 5 != 0]] = True
    parts = (images_of(pixels[part], labels[part]) for part in (train, ~train))
    return Read(*parts, read_from="scikit-learn", scale=16.0)
