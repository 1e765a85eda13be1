"""Weight normalization of Poggio & Liao: layers of fixed Frobenius norm, and one trained norm, rho.

With ||V_k||_F fixed in every layer a homogeneous network is f(x) = rho f_V(x): gradient descent moves the directions of
the layers on their spheres and, in the last layer W = rho V, the one radius. The fixed norms are those at the start,
which by homogeneity is the same as norms of 1 and a larger rho. Weight decay on W is then decay on rho: ||W||_F = rho.

Source: Poggio & Liao (2020), arXiv 2101.00072; Salimans & Kingma (2016) for the parametrisation.
"""

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from deepnet_runs.networks import Network

LAYERS = (nn.Conv2d, nn.Linear)
NORM = "parametrizations.weight.original0"  # beside it stands the direction, original1
WHOLE = -1  # the "dimension" for one norm of all weights


def fix_norms(network: Network) -> None:
    """Replace each layer's weights by a norm and a direction; only the last layer's norm is trained."""
    for module in network.modules():
        if isinstance(module, LAYERS):
            weight_norm(module, dim=WHOLE)
            module.get_parameter(NORM).requires_grad_(module is network.head)


def rho(network: Network) -> nn.Parameter:
    """The trained norm rho of a network with fixed norms."""
    return network.head.get_parameter(NORM)
