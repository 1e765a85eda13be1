"""The options of one simulation, parsed and checked once."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from central_path.names import FLOW_NAMES

ALL_DEVICES = 0
SAVES_OF_ONE, SAVES_OF_ENSEMBLE = 200, 50
FIGURE_NAMES = ("omega.png", "loss.png", "collapse.png")
FILES_OF_ONE, FILES_OF_MANY = ("trajectory.npz", *FIGURE_NAMES), ("ensemble.npz", "ensemble.png")
RECORDED = ("seed", "level", "rtol", "atol", "t_max", "tolerance", "saves")


def check_general(*, lam: float, level: str, restrict_rank: bool) -> None:
    """Refuse options of the general path that exclude each other, of the command and of `cp.trajectory`.

    Raises:
        ValueError: in one sentence.
    """
    if not 0 <= lam < math.inf:
        raise ValueError(f"need lam >= 0 and finite, got {lam}: a weight decay is not negative")
    if lam and level in ("means", "spectrum"):
        raise ValueError(
            f"no law holds for lam = {lam:g}: need the level features or moments, which are compared, got {level}"
        )
    if restrict_rank and (lam or level == "moments"):
        raise ValueError("weight decay and the level moments keep every direction: leave out --restrict-rank")


@dataclass(frozen=True)
class SimulateConfig:
    """What `python -m central_path.simulate` runs; each field is the option of its name, with its default.

    Either C, N and P are given, or `features`. `t_max` None is the default horizon of each flow; `ensemble` None is
    one start; `devices` 0 is all of them.
    """

    C: int | None = None
    N: int | None = None
    P: int | None = None
    features: Path | None = None
    balance: bool = False
    restrict_rank: bool = False
    seed: int = 0
    ensemble: int | None = None
    flow: tuple[str, ...] = ("riemannian", "renormalized")
    kernel: float = 1.0
    lam: float = 0.0
    level: str = "features"
    t_max: float | None = None
    saves: int = SAVES_OF_ONE
    rtol: float = 1e-10
    atol: float = 1e-10
    tolerance: float = 1e-6
    devices: int = 1
    distributed: bool = False
    output: Path = Path("runs/simulate")
    no_plots: bool = False
    quiet: bool = False

    def __post_init__(self):
        if self.features is not None:
            given = [f"--{name}" for name in ("C", "N", "P") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"--features brings its own sizes, got {', '.join(given)} too: leave them out")
            if self.ensemble:
                raise ValueError(
                    f"--ensemble {self.ensemble} takes random starts, got --features too: give --C and --N instead"
                )
        else:
            if self.C is None or self.N is None:
                raise ValueError("need --C and --N for random features, or --features FILE.npz")
            given = [flag for flag, on in (("--balance", self.balance), ("--restrict-rank", self.restrict_rank)) if on]
            if given:
                raise ValueError(
                    f"{' and '.join(given)} only with --features: random features are balanced and of full rank"
                )
        if self.general and (self.ensemble or self.devices != 1):
            raise ValueError(
                "--lam and --level moments take one start on one device: leave out --ensemble and --devices"
            )
        check_general(lam=self.lam, level=self.level, restrict_rank=self.restrict_rank)
        if self.devices != 1 and (self.level != "features" or self.ensemble):
            raise ValueError("--devices and --distributed spread features: need --level features and no --ensemble")
        if self.ensemble and self.seed + self.ensemble > 2**63:
            raise ValueError(
                f"need seeds below 2^63, got --seed {self.seed} and {self.ensemble} of them: give a lower --seed"
            )

    @property
    def general(self) -> bool:
        """Whether the state (M, Sigma_W) is integrated, whatever the features are."""
        return self.lam > 0 or self.level == "moments"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """C, N and P of random features; P is 2C by default, at most C(N-1)."""
        if self.C is None or self.N is None:
            raise ValueError("Need sizes of random features, got a file: its features bring their own.")
        return self.C, self.N, min(2 * self.C, self.C * (self.N - 1)) if self.P is None else self.P

    @property
    def seeds(self) -> range:
        """The seeds of the random starts, one or an ensemble."""
        return range(self.seed, self.seed + (self.ensemble or 1))

    @property
    def files(self) -> tuple[str, ...]:
        """The run's own files beside summary.json: the arrays, then the figures."""
        return FILES_OF_MANY if self.ensemble else FILES_OF_ONE

    @property
    def integration(self) -> dict[str, Any]:
        """The options of `experiment.run_flow` and `ensemble.run_flow`."""
        return {name: getattr(self, name) for name in ("kernel", "level", "t_max", "saves", "rtol", "atol")}

    def recorded(self) -> dict[str, Any]:
        """The options as summary.json has them."""
        return {name: getattr(self, name) for name in RECORDED}


def flows_in_order(chosen: list[str] | None) -> tuple[str, ...]:
    """Flows in the order of the registry: those chosen, `all` of them, or the default."""
    names = chosen or SimulateConfig.flow
    return tuple(name for name in FLOW_NAMES if name in names or "all" in names)
