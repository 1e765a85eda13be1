"""The former place of `deepnet_runs.storage.runs`, for this release."""

from deepnet_runs.storage.runs import APART as APART
from deepnet_runs.storage.runs import IMAGES as IMAGES
from deepnet_runs.storage.runs import NAMED as NAMED
from deepnet_runs.storage.runs import RecordedRun as RecordedRun
from deepnet_runs.storage.runs import labels as labels
from deepnet_runs.storage.runs import read as read
from deepnet_runs.storage.runs import repetitions as repetitions
from deepnet_runs.storage.runs import run_name as run_name
from deepnet_runs.storage.runs import within as within
