"""Measured quantities of features, by the names of their definitions, of NumPy or JAX arrays; JAX is not imported."""
