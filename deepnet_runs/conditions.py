"""The former place of `deepnet_runs.cells.conditions`, for this release."""

from deepnet_runs.cells.conditions import CONDITIONS as CONDITIONS
from deepnet_runs.cells.conditions import SMOOTH as SMOOTH
from deepnet_runs.cells.conditions import USUAL as USUAL
from deepnet_runs.cells.conditions import VARIED as VARIED
