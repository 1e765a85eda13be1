"""Neural collapse of any torch network, measured on its own data and in its own loop."""
