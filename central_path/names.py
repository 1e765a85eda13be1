"""The registry of flows and levels, by their names: what options offer before anything heavy is imported.

A flow is a final class of `central_path.flows.AbstractFlow` in a file of its name, and a line here: `renormalized` is
the class `Renormalized` in `central_path/flows/renormalized.py`.
"""

from typing import Literal, get_args

Flow = Literal[
    "riemannian",
    "renormalized",
    "unnormalized",
]
Level = Literal["features", "means", "spectrum"]

FLOW_NAMES: tuple[str, ...] = get_args(Flow)
LEVEL_NAMES: tuple[str, ...] = get_args(Level)


def class_name(flow: str) -> str:
    """The name of a flow's class: `near_identity` is `NearIdentity`."""
    return flow.title().replace("_", "")
