"""Checks and claims made up for tests: a right one, and one for everything that may go wrong."""

import math

from theory_checks.framework import registry
from theory_checks.framework.registry import Claim, Draw, identity, refutation
from theory_checks.framework.verdicts import Statement, Verdict

TIGHT = 1e-10


def right(draw: Draw, of: Statement = "printed"):
    for _ in range(draw.repeats):
        x = draw.rng.standard_normal(3)
        yield identity("x + x, against 2 x", x + x, 2 * x, fault=2.001 * x, of=of)


def missed(draw: Draw):
    yield from right(draw)
    yield identity("a fault of nothing", 1.0, 1.0, fault=1.0 + 1e-15)


def refuted(draw: Draw, of: Statement = "amended"):
    yield from right(draw, of)
    yield refutation("0 = 1", 1.0)


def unsupported(draw: Draw):
    yield from right(draw, "instead")


def loose(draw: Draw):
    x = draw.rng.standard_normal(3)
    yield identity("x, to within 1 %", x, x, fault=2 * x, tolerance=1e-2)


def false(draw: Draw):
    yield identity("1 = 2", 1.0, 2.0, fault=1e3)


def nan(draw: Draw):
    yield identity("nan = 1", math.nan, 1.0, fault=2.0)


def raises(draw: Draw):
    yield from right(draw)
    raise ZeroDivisionError("a <b> & c\nd")


def empty(draw: Draw):
    yield from ()


def example(check, expected: Verdict = "holds", figure=None, name="Example <1>"):
    amendment = None if expected == "holds" else "1 = 1"
    return Claim(name, "here", "omega^2 = C & more", "C >= 2", expected, amendment, "too large", check, figure)


def measured(check, expected: Verdict = "holds", **options):
    return registry.run(example(check, expected), **{"seed": 0, "quick": True, **options})
