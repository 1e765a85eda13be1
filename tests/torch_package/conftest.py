"""Without torch the folder is skipped; torch has one thread."""

from torch_fixtures import device as device
from torch_fixtures import one_thread as one_thread
from torch_fixtures import pytest_pycollect_makemodule as pytest_pycollect_makemodule
