"""What a user writes: the flows, the measurements and the laws in Python, under the strictest type checking."""

import numpy as np

import central_path as cp
from central_path.theory import laws, loss, manifold, problem

cp.enable_x64()

run = cp.trajectory(C=3, N=20, flow="renormalized", level="spectrum", saves=20)
if not run.agrees or run.error > 1e-6:
    raise SystemExit(f"{run!r} is off its law at t = {run.t[-1]}")
largest: float = float(run.omega.max() / run.omega_law.max())
parts_of_loss = {name: float(values[-1]) for name, values in run.observables.items()}
inches: float = run.plot("omega").get_figwidth()

rng = np.random.default_rng(0)
labels = np.repeat(np.arange(3), 40)
features = np.eye(3)[labels] + 0.1 * rng.standard_normal((120, 3))
found = cp.measure(features, labels, lam=1e-3)
nc1: float = found["nc1"]
given = cp.trajectory(features=features, labels=labels, balance=True, level="spectrum", saves=5)

omega0 = np.array([1.0, 2.0])
later = np.asarray(cp.law("riemannian", C=3, N=40).omega(1e6, omega0))
family: laws.Law = cp.law(0.5, C=3, N=40)
exponent = float(family.exponent)

m = problem.moments(manifold.random_point(3, 40, 6, seed=0))
W, b = loss.least_squares(m, lam=5e-3)
parts = loss.decompose(W, b, m, lam=5e-3)
total = float(parts.total)
print(given, largest, inches, sorted(parts_of_loss), nc1, later.shape, exponent, total)
