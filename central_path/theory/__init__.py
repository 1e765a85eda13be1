"""The formulas, in JAX: moments of features, losses, the manifold, and the laws of the singular values."""
