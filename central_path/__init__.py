"""The dynamics of neural collapse under MSE loss, after Han, Papyan & Donoho (ICLR 2022).

Importing the package is cheap and sets no flags: import the module you need, in the order in which data flows:
`problem` -> `loss`, `manifold`, `laws` -> `flows`, `collapse` -> `solve` -> `simulate`.
"""

__version__ = "0.1.0"
