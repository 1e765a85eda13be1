"""A page of the records of runs: one HTML file that needs no network."""
