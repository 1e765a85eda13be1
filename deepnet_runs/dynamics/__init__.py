"""Which law the singular values omega of trained networks follow, beside null models."""
