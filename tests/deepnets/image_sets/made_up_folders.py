"""Folders of small images, one for each class, of which each class has a shade of its own."""

import numpy as np
from PIL import Image


def write(root, counts, *, size=(12, 12), mode="RGB", ending="png", seed=0):
    """`counts` images of each class by its name; width and height of the i-th image grow with i where size is None."""
    generator = np.random.default_rng(seed)
    for c, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            width, height = size or (20 + i, 14 + 2 * i)
            pixels = np.clip(generator.normal(40 + 60 * c, 25, (height, width, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).convert(mode).save(root / name / f"{i:03d}.{ending}")
    return root
