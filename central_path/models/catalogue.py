"""The models by name, in the order in which they are shown; a module is imported when its model is asked for."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from central_path.models.model import Model

CLASSES = {
    "mixon": "Mixon",
    "lu": "Lu",
    "e_wojtowytsch": "EWojtowytsch",
    "fang": "Fang",
    "zhu": "Zhu",
    "regularised": "Regularised",
    "ergen": "Ergen",
    "poggio": "Poggio",
    "papyan": "Papyan",
    "hui": "Hui",
}


def load(name: str) -> "type[Model]":
    """The class of a model; the name is one of `CLASSES`."""
    return getattr(importlib.import_module(f"central_path.models.{name}"), CLASSES[name])
