"""Metrics that are reported beside NC1 to NC4, under the names of their definitions.

By `central_path.measure` and in the rows of `deepnet_runs.train` as `cdnv_galanti2022`, in `central_path.torch` as
`cdnv/galanti2022` (`by_definition`). A metric is a function in a file of `central_path/metrics/`, and a line here: its
name, after the name of the file and a dot where the two differ. Its arguments are, by name, any of

    m            Moments of the K classes that have examples, without what of their means is rounding of the features
    rank         of their Sigma_B
    W            (K, P) their rows of the classifier
    last_layer   (C, P) the classifier with all its rows
    variances    (K,) Ave_i ||h_i - mu_c||^2 of each class
    tolerance    a length, that of the rounding of features: the distance of class means that is less is not known

It uses the operators and functions of arrays, without importing JAX or PyTorch, and is NaN where it does not exist. It
is NaN too if it needs `m` and all class means coincide; where there is no classifier, what needs one is left out.
"""

import importlib
import inspect
import math
import re
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

LINES: tuple[str, ...] = (
    # one name a line
    "row_sum.nc0_zhao2026",
    "variability.nc1_zhu2021",
    "variability.nc1_tirer2023",
    "variability.cdnv_galanti2022",
    "simplex.nc2_etf_classifier_zhu2021",
    "simplex.nc2_etf_kothapalli2023",
    "simplex.nc3_self_duality_zhu2021",
    "duality.nc3_self_duality_wu2024",
    "duality.unc3_wu2024",
    "uniformity.gnc2_liu2023",
    "effective_rank.effective_rank_means_roy2007",
)
METRICS: tuple[str, ...] = tuple(line.rpartition(".")[2] for line in LINES)
OF_DEVIATIONS = frozenset(line.rpartition(".")[2] for line in LINES if line.startswith("variability."))  # 0 without any
SAME = "All class means coincide to the precision of the features."


def by_definition(name: str) -> str:
    """`cdnv/galanti2022` of `cdnv_galanti2022`: author and year at the end of a name are set apart."""
    return re.sub(r"_([a-z]+\d{4})$", r"/\1", name)


@cache
def _functions() -> dict[str, tuple[Callable[..., Any], tuple[str, ...]]]:
    """The metrics by their names, with the names of their arguments."""
    files = [line.rpartition(".")[0] or line for line in LINES]
    modules = [importlib.import_module(f"central_path.metrics.{file}") for file in files]
    found = {name: getattr(module, name) for name, module in zip(METRICS, modules, strict=True)}
    return {name: (metric, tuple(inspect.signature(metric).parameters)) for name, metric in found.items()}


def values(*, coincide: bool, only: Collection[str] = METRICS, **known: Any) -> tuple[dict[str, float], dict[str, str]]:
    """The metrics whose arguments are known (None for those that are not), and why a number is NaN, by their names."""
    numbers: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name, (metric, needed) in _functions().items():
        if name not in only or any(known[argument] is None for argument in needed):
            continue
        same = coincide and "m" in needed
        numbers[name] = math.nan if same else float(metric(**{argument: known[argument] for argument in needed}))
        if math.isnan(numbers[name]):
            here = f"It does not exist for these features and this classifier: see {metric.__module__}."
            reasons[name] = SAME if same else here
    return numbers, reasons
