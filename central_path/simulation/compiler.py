"""What XLA is told: no fusion emitters on the CPU, in the releases that leave the choice.

Without them compiling takes 60 % of the time, and programs run as fast. From jaxlib 0.11.2 on there is no choice, and
an option or flag of that name ends the program.
"""

import os
import re
from importlib.metadata import version

_NAME = "xla_cpu_use_fusion_emitters"
_FIXED_SINCE = (0, 11, 2)


def _known(release: str) -> bool:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:3]) < _FIXED_SINCE


COMPILER_OPTIONS: dict[str, str | bool] = {_NAME: False} if _known(version("jaxlib")) else {}


def compile_quickly() -> None:
    """Set it for all that this process compiles, unless the user has set flags; before JAX is first used."""
    if COMPILER_OPTIONS:
        os.environ.setdefault("XLA_FLAGS", f"--{_NAME}=false")
