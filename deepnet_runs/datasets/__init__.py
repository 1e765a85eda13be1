"""Data sets of images: their files, and how they are read."""
