"""The former place of `deepnet_runs.storage.records`, for this release."""

from deepnet_runs.storage.records import StoppedError as StoppedError
from deepnet_runs.storage.records import append_row as append_row
from deepnet_runs.storage.records import check_output as check_output
from deepnet_runs.storage.records import clear_unfinished as clear_unfinished
from deepnet_runs.storage.records import held as held
from deepnet_runs.storage.records import is_held as is_held
from deepnet_runs.storage.records import line as line
from deepnet_runs.storage.records import read_checkpoint as read_checkpoint
from deepnet_runs.storage.records import write_checkpoint as write_checkpoint
from deepnet_runs.storage.records import write_config as write_config
from deepnet_runs.storage.records import write_failure as write_failure
from deepnet_runs.storage.records import write_features as write_features
from deepnet_runs.storage.records import write_rows as write_rows
from deepnet_runs.storage.records import write_weights as write_weights
from deepnet_runs.storage.records import write_whole as write_whole
