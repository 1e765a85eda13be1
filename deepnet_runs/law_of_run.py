"""The former place of `deepnet_runs.dynamics.law_of_run`, for this release."""

from deepnet_runs.dynamics.law_of_run import GRID as GRID
from deepnet_runs.dynamics.law_of_run import LAWS as LAWS
from deepnet_runs.dynamics.law_of_run import LIMIT as LIMIT
from deepnet_runs.dynamics.law_of_run import STEP as STEP
from deepnet_runs.dynamics.law_of_run import Finding as Finding
from deepnet_runs.dynamics.law_of_run import advance as advance
from deepnet_runs.dynamics.law_of_run import check as check
from deepnet_runs.dynamics.law_of_run import distance as distance
from deepnet_runs.dynamics.law_of_run import exponent as exponent
from deepnet_runs.dynamics.law_of_run import find as find
from deepnet_runs.dynamics.law_of_run import increments as increments
from deepnet_runs.dynamics.law_of_run import t_interval as t_interval
