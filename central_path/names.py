"""The registry of flows and levels, by their names: what options offer before anything heavy is imported.

A flow is a final class of `central_path.flows.AbstractFlow` in the file `central_path/flows/NAME.py`, and a line here.
"""

FLOW_CLASSES = {
    "riemannian": "Riemannian",
    "renormalized": "Renormalized",
    "unnormalized": "Unnormalized",
}
FLOW_NAMES = tuple(FLOW_CLASSES)
LEVEL_NAMES = ("features", "means", "spectrum")
