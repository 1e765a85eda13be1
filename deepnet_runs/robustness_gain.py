"""The former place of `deepnet_runs.paper.robustness_gain`, for this release."""

from deepnet_runs.paper.robustness_gain import RobustnessGain as RobustnessGain
from deepnet_runs.paper.robustness_gain import gain as gain
