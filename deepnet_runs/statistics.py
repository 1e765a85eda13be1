"""The former place of `deepnet_runs.measuring.statistics`, for this release."""

from deepnet_runs.measuring.statistics import FEW_CLASSES as FEW_CLASSES
from deepnet_runs.measuring.statistics import MeasuredMoments as MeasuredMoments
from deepnet_runs.measuring.statistics import MeasuredMoments as Seen
from deepnet_runs.measuring.statistics import classifier_metrics as classifier_metrics
from deepnet_runs.measuring.statistics import collapse_metrics as collapse_metrics
from deepnet_runs.measuring.statistics import decomposition as decomposition
from deepnet_runs.measuring.statistics import mean_output_gap as mean_output_gap
from deepnet_runs.measuring.statistics import seen as seen
from deepnet_runs.measuring.statistics import snr as snr
