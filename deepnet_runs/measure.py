"""The former place of `deepnet_runs.measuring.measure`, for this release."""

from deepnet_runs.measuring.measure import Pass as Pass
from deepnet_runs.measuring.measure import batches as batches
from deepnet_runs.measuring.measure import evaluating as evaluating
from deepnet_runs.measuring.measure import forward_pass as forward_pass
from deepnet_runs.measuring.measure import measure as measure
from deepnet_runs.measuring.measure import rank_and_size as rank_and_size
from deepnet_runs.measuring.measure import shares as shares
from deepnet_runs.measuring.measure import squared_error as squared_error
