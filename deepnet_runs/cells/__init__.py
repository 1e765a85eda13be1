"""The cells of a grid: which there are, how far each is, and the processes that train them."""
