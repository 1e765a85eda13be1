"""The former place of `deepnet_runs.paper.robustness_gain`, for this release."""

from deepnet_runs.paper.robustness_gain import Gain as Gain
from deepnet_runs.paper.robustness_gain import gain as gain
