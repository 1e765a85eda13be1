"""Flows of features on the central path: an object for each, by its name in `FLOWS`.

    flow             what it is                                                              law's k
    `riemannian`     -grad L_LS, projected orthogonally (Eq. 5; Proposition 2's closed form)       0
    `renormalized`   -grad L_LS, projected as in Proposition 4; the limit of gradient descent
                     with continual renormalization (Appendix D.1)                                 1
    `unnormalized`   -grad L_LS, from Sigma_T = I; conserves X X^T                                 2

Each has the features' kernel b as its parameter (`kernel`, 1 for features that move freely); for b = 0 all have the law
k = 0.

Adding a flow takes a file with a final class of `AbstractFlow` and a line in `central_path.names`.
"""

from central_path.flows.flow import LEVELS as LEVELS
from central_path.flows.flow import AbstractFlow as AbstractFlow
from central_path.flows.flow import AbstractMotion as AbstractMotion
from central_path.flows.flow import AbstractOnManifold as AbstractOnManifold
from central_path.flows.flow import Features as Features
from central_path.flows.flow import basis_of_span as basis_of_span
from central_path.flows.registry import FLOWS as FLOWS
from central_path.flows.registry import OneOf as OneOf
from central_path.flows.registry import index_of as index_of
from central_path.flows.registry import with_kernel as with_kernel
