"""The general central path: any class priors, weight decay, covariance and block kernel."""

from central_path.simulation.general.beside import GeneralFlow as GeneralFlow
from central_path.simulation.general.beside import beside_features as beside_features
from central_path.simulation.general.beside import beside_law as beside_law
from central_path.simulation.general.compare import agreement as agreement
from central_path.simulation.general.compare import compare_levels as compare_levels
from central_path.simulation.general.dynamics import BlockKernel as BlockKernel
from central_path.simulation.general.run import GeneralRun as GeneralRun
from central_path.simulation.general.run import simulate_general as simulate_general
