"""Integration of the flows: coordinates, solver, observables, one start or many, devices."""
