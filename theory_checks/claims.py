"""Every claim: importing this registers those of all modules of `paper` and `extensions`.

`PAPER` has the ids of the paper's claims, and `ORDER` those of all, in the order of the report.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from theory_checks import extensions, paper
from theory_checks.framework.registry import CLAIMS


def in_package(package: ModuleType) -> tuple[str, ...]:
    """The claims of a package's modules: those of its `ORDER` first, then the others as they are registered."""
    names = {import_module(f"{package.__name__}.{module.name}").__name__ for module in iter_modules(package.__path__)}
    found = [id for id, claim in CLAIMS.items() if claim.check.__module__ in names]
    return (*(id for id in package.ORDER if id in found), *(id for id in found if id not in package.ORDER))


PAPER = in_package(paper)
ORDER = (*PAPER, *in_package(extensions))
