"""Measured quantities of features, by the names of their definitions, of NumPy, JAX or torch arrays."""
