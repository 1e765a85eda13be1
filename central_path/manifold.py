"""Moved to `central_path.theory.manifold`; removed in the next release."""

from central_path.theory.manifold import *  # noqa: F403
