"""The former place of `deepnet_runs.measuring.statistics`, for this release."""

from deepnet_runs.measuring.statistics import rescaled_parts as rescaled_parts
