"""What the commands do, in a few lines of Python: `import central_path as cp`.

    cp.trajectory(C=10, N=50).plot()                            one flow from random features, beside its law
    cp.trajectory(features=h, labels=y, lam=1e-3)               any features, priors and weight decay, at two levels
    cp.measure(h, y, W=W, b=b, lam=5e-3)                        NC1 to NC4, omega and the decomposition of the loss
    cp.law("riemannian", C=10, N=50).omega(1e6, omega0)         Proposition 2, solved for omega(t)

Features are rows (n, P) with labels (n,), integers or strings. Flows and laws are computed in float64: call
`cp.enable_x64()` first; what needs it and does not find it says so. Measuring needs no JAX. Sizes, tolerances and seeds
have the names and defaults of the commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from jaxtyping import Float

from central_path.metrics.arrays import ArrayOf
from central_path.names import Flow, Level

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from central_path.metrics.measurement import Measurement
    from central_path.simulation.experiment import FlowResult
    from central_path.simulation.general import GeneralFlow
    from central_path.theory.law import AbstractLaw
    from central_path.theory.laws import Law

Picture = Literal["omega", "loss", "collapse"]


def enable_x64() -> None:
    """Let JAX compute in float64, in this process, from now on.

    Example:
        >>> import central_path as cp
        >>> cp.enable_x64()
    """
    import jax

    jax.config.update("jax_enable_x64", True)


@dataclass(frozen=True)
class Trajectory:
    """One flow from its start to its horizon, T saved times, beside the closed form from the same omega(0).

    The class means have C - 1 singular values omega_j. What a level does not carry is absent from `observables`.

    Where no law holds, or level is `moments`, `omega` and `observables` are those of the closed state of moments, for
    the finite omega. Without a law `omega_beside` are those of all features, integrated over the same times.

    Example:
        >>> import central_path as cp
        >>> cp.enable_x64()
        >>> run = cp.trajectory(C=3, N=20, level="spectrum", saves=50)
        >>> run.t.shape, run.omega.shape, run.omega_law.shape, run.error < 1e-6
        ((50,), (50, 2), (50, 2), True)
        >>> sorted(run.observables)
        ['loss', 'loss_nc1', 'loss_nc23', 'nc1']
        >>> figure = run.plot("loss")
    """

    flow: str
    level: str
    tolerance: float
    C: int
    N: int | None  # examples of a class; None for classes of different sizes
    P: int
    signal_lost: float  # share of |Mbar|^2 that a restriction to the range of Sigma_W left out
    kernel: float
    lam: float
    ended: "FlowResult | GeneralFlow"

    @property
    def t(self) -> Float[np.ndarray, " T"]:
        """Times (T,), in units of the gradient flow."""
        return self.ended.ts

    @property
    def omega(self) -> Float[np.ndarray, "T K"]:
        """Singular values of the SNR matrix (T, C - 1), descending, as integrated."""
        return self.ended.ys["omega"]

    @property
    def compared_with(self) -> Literal["law", "features"]:
        """What omega is compared with: the flow's law, or all features."""
        return "features" if self.ended.law is None else "law"

    @property
    def omega_beside(self) -> Float[np.ndarray, "T K"]:
        """Omega by the law, or of all features; NaN at times that these did not reach."""
        return self.ended.omega_beside

    @property
    def omega_law(self) -> Float[np.ndarray, "T K"]:
        """The flow's own law, from omega(0).

        Raises:
            ValueError: where no law holds.
        """
        _ = self.law  # refused where there is none
        return self.ended.omega_beside

    @property
    def observables(self) -> Mapping[str, np.ndarray]:
        """Losses, NC1 to NC4, drift: arrays (T,) by the keys of trajectory.npz."""
        return {key: values for key, values in self.ended.ys.items() if key != "omega"}

    @property
    def law(self) -> "AbstractLaw":
        """The law that the flow is compared with.

        Raises:
            ValueError: where no law holds.
        """
        if self.ended.law is None:
            raise ValueError(
                "Need balanced classes, lam = 0 and a Sigma_W of full rank for a law, got a trajectory compared with "
                "all features: use omega_beside."
            )
        return self.ended.law

    @property
    def error(self) -> float:
        """Largest relative error of any omega_j(t) against the law, or of it and the parts of L_LS against features."""
        return self.ended.max_relative_error

    @property
    def agrees(self) -> bool:
        """Whether the solver reached the horizon, and the error is within the tolerance."""
        return self.ended.agrees(self.tolerance)

    def to_dict(self) -> dict[str, Any]:
        """All numbers and arrays by their names."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "ended"}
        own |= {name: getattr(self, name) for name in ("compared_with", "error", "agrees")}
        own |= {"t_max": self.ended.t_max, "steps": self.ended.steps, "result": self.ended.result}
        return own | {"t": self.t, "omega": self.omega, "omega_beside": self.omega_beside, **self.observables}

    def plot(self, what: Picture = "omega") -> "Figure":
        """The figure that the command writes: omega with its law, the loss with its parts, or NC1 to NC4.

        Raises:
            ValueError: for another word.
        """
        from central_path.cli.plots import DRAW, Curves, styled

        name = f"{what}.png"
        if name not in DRAW:
            raise ValueError(f"Need a picture of omega, loss or collapse, got {what!r}: give one of them.")
        arrays = {"t": self.t, f"omega_{self.compared_with}": self.omega_beside, **self.ended.ys}
        if self.ended.asymptote is not None:
            arrays["asymptote"] = self.ended.asymptote
        return styled([Curves(self.flow, arrays)], name)

    def _repr_png_(self) -> bytes:
        """The picture of omega, which a notebook shows for the last value of a cell."""
        from central_path.cli.plots import save

        file = BytesIO()
        save(self.plot(), file)
        return file.getvalue()

    def __repr__(self) -> str:
        word = "agrees" if self.agrees else "disagrees"
        beside = "" if self.compared_with == "law" else f"lam={self.lam:g}, compared with features, "
        return (
            f"Trajectory({self.flow}, level {self.level}, C={self.C}, N={self.N}, P={self.P}: {len(self.t)} times to "
            f"t={self.ended.t_max:.3g}, {beside}error {self.error:.1e}, {word})"
        )


def trajectory(
    *,
    C: int | None = None,
    N: int | None = None,
    P: int | None = None,
    features: ArrayOf | None = None,
    labels: ArrayOf | None = None,
    balance: bool = False,
    restrict_rank: bool = False,
    flow: Flow = "riemannian",
    kernel: float = 1.0,
    lam: float = 0.0,
    level: Level | Literal["moments"] = "features",
    t_max: float | None = None,
    saves: int = 200,
    rtol: float = 1e-10,
    atol: float = 1e-10,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Trajectory:
    """Integrate one flow from random features of sizes C, N, P (2C by default), or from given ones.

    `kernel` is the mobility of within-class deviations over that of class means, 1 for features that move freely; `lam`
    the weight decay of the classifier and its bias. Features are renormalized where a law holds. It does not for lam >
    0, unbalanced classes, or class means that differ where no example differs from its class mean: then the closed
    state of moments (M, Sigma_W) is integrated, and all features beside it. `level="moments"` integrates that state in
    every case.

    Example:
        >>> import central_path as cp
        >>> cp.enable_x64()
        >>> run = cp.trajectory(C=3, N=20, flow="renormalized", level="spectrum")
        >>> run.agrees, run.omega.shape
        (True, (200, 2))
        >>> run = cp.trajectory(C=3, N=20, flow="unnormalized", lam=0.01)
        >>> run.agrees, run.compared_with
        (True, 'features')

    Raises:
        ValueError: for sizes or features that the theory does not allow, with the remedy.
    """
    from central_path.cli.config import check_general
    from central_path.cli.given import GivenMoments, GivenSamples
    from central_path.cli.inputs import general_start, given_features, random_start
    from central_path.flows import FLOWS, LEVELS
    from central_path.simulation import experiment
    from central_path.theory.problem import require_float64

    # Refuse before anything is computed.
    require_float64()
    if flow not in FLOWS:
        raise ValueError(f"Need a flow among {', '.join(FLOWS)}, got {flow!r}: give one of them.")
    if level not in (*LEVELS, "moments"):
        raise ValueError(f"Need a level among {', '.join(LEVELS)}, moments, got {level!r}: give one of them.")
    check_general(lam=lam, level=level, restrict_rank=restrict_rank)
    # Given features, or random ones of the sizes.
    if features is not None and labels is not None and C is N is P is None:
        how = {"balance": balance, "restrict_rank": restrict_rank, "seed": seed}
        given, _ = given_features(features, labels, lam=lam, level=level, **how)
    elif C is not None and N is not None and features is labels is None and not balance and not restrict_rank:
        P = 2 * C if P is None else P
        general = lam > 0 or level == "moments"
        given = general_start(C, N, P, lam=lam, seed=seed) if general else random_start(C, N, P, level, seed=seed)
    else:
        raise ValueError("Need either C and N (and P), or features and labels: give one of the pairs.")
    solver = {"saves": saves, "rtol": rtol, "atol": atol}
    if isinstance(given, GivenSamples | GivenMoments):
        ended = given.follow(flow, kernel=kernel, lam=lam, t_max=t_max, **solver)
        sizes, lost = (len(given.counts), given.N, len(ended.run.start.M)), 0.0
    else:  # renormalize, integrate, compare with the law
        ended = experiment.run_flow(flow, given.start(), kernel=kernel, level=level, t_max=t_max, **solver)
        sizes, lost = given.sizes, given.signal_lost
    return Trajectory(flow, level, tolerance, *sizes, signal_lost=lost, kernel=kernel, lam=lam, ended=ended)


def measure(
    features: ArrayOf,
    labels: ArrayOf,
    *,
    W: ArrayOf | None = None,
    b: ArrayOf | None = None,
    lam: float = 0.0,
    C: int | None = None,
) -> "Measurement":
    """NC1 to NC4, omega, and L = L_NC1 + L_NC2/3 + L_LS_perp, of features and a last layer, balanced or not.

    `features` (n, P) may be of any real type, float16 and bfloat16 too; ranks are judged at their precision. `labels`
    are integers, strings, or one-hot rows (n, C). Classes are in sorted order of their labels, unless labels are their
    numbers 0 to C - 1: so they are read if C is given, or W (C, P) has more rows than there are labels. Then a class
    may have no example: the metrics are over the classes that have some, the loss over all C outputs.

    Without W and b the classifier is that of least squares, where L_LS_perp is 0. W without b is a classifier without
    bias: L_LS_perp is then its distance from the best one without bias.

    Nothing is compiled, and float64 needs no switch.

    Returns:
        The numbers by attribute or by name, `found.nc1` or `found["nc1"]`. One that the features do not determine is
        NaN, with the reason in `found.reasons`; so is the reason for omega_j that are infinite (class means that differ
        where no example differs from its class mean) or 0 (class means that are affinely dependent).

    Example:
        >>> import numpy as np, central_path as cp
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1, 2], 40)
        >>> h = np.eye(3)[y] + 0.1 * rng.standard_normal((120, 3))
        >>> found = cp.measure(h, y, lam=1e-3)
        >>> bool(found["nc1"] < 0.1), found.ncc_mismatch, found.reasons
        (True, 0.0, {})
        >>> cp.measure(np.eye(3)[y], y).omega  # no example differs from its class mean
        array([inf, inf])

    Raises:
        ValueError: for features, labels or a last layer of the wrong shapes or kinds, b without W, or a single class.
    """
    from central_path.metrics import measurement

    return measurement.measure(features, labels, W=W, b=b, lam=lam, C=C)


@overload
def law(flow: float | int, *, C: int, N: int, lam: float = 0.0) -> "Law": ...
@overload
def law(flow: Flow, *, C: int, N: int, kernel: float = 1.0, lam: float = 0.0) -> "AbstractLaw": ...
def law(flow: Flow | float | int, *, C: int, N: int, kernel: float = 1.0, lam: float = 0.0) -> "AbstractLaw":
    """The closed form c1 log w + c2 w^2 + c3 w^4 = a + t of a flow, or of the family's exponent k <= 2.

    With a kernel b other than 0 and 1, the law of the flow is that of `central_path.theory.kernel_laws`. With weight
    decay there is none.

    Example:
        >>> import numpy as np, central_path as cp
        >>> cp.enable_x64()
        >>> round(float(cp.law("riemannian", C=10, N=50).omega(1e6, np.array([1.0]))[0]), 6)
        16.175647

    Raises:
        ValueError: for lam other than 0, an unknown flow, or a kernel of an exponent.
    """
    from central_path.flows import FLOWS, with_kernel
    from central_path.theory.laws import Law
    from central_path.theory.problem import require_float64

    require_float64()
    if lam:
        raise ValueError(f"Need lam = 0 for a law, got lam = {lam}: cp.trajectory integrates what weight decay does.")
    if isinstance(flow, str) and flow not in FLOWS:
        raise ValueError(f"Need a flow among {', '.join(FLOWS)} or an exponent k, got {flow!r}: give one of them.")
    if isinstance(flow, str):
        return with_kernel(flow, kernel).law(C, N)
    if kernel != 1:
        raise ValueError(f"Need a flow's name for a kernel, got the exponent {flow} and kernel = {kernel}: give one.")
    return Law(flow, C, N)
