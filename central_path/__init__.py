"""The dynamics of neural collapse under MSE loss, after Han, Papyan & Donoho (ICLR 2022).

    import central_path as cp

    cp.enable_x64()
    run = cp.trajectory(C=10, N=50)   # a Trajectory: run.omega beside run.omega_law, run.plot()
    cp.measure(features, labels)      # NC1 to NC4, omega, the decomposition of the loss
    cp.law("riemannian", C=10, N=50)  # Proposition 2

Importing the package is cheap and sets no flags. Its packages, in the order in which data flows: `metrics` (NumPy and
JAX arrays alike), `theory` (formulas in JAX), `flows`, `simulation`, `cli`; beside them `models` of the literature.
"""

from typing import TYPE_CHECKING, Any

from central_path.cli.starting import quiet_start

quiet_start(__name__)

if TYPE_CHECKING:
    from central_path.api import Trajectory as Trajectory
    from central_path.api import enable_x64 as enable_x64
    from central_path.api import law as law
    from central_path.api import measure as measure
    from central_path.api import trajectory as trajectory

__version__ = "0.1.0"
__all__ = ["Trajectory", "__version__", "enable_x64", "law", "measure", "trajectory"]


if not TYPE_CHECKING:  # to a type checker every name would seem to be there
    # Names are loaded when asked for, so that importing the package takes 0.03 s of processor time and not 0.27 s: the
    # packages that are built on it import it before they can handle Ctrl-C.
    def __getattr__(name: str) -> Any:
        if name in __all__:
            import importlib

            return getattr(importlib.import_module("central_path.api"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
