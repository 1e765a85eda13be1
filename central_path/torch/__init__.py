"""Neural collapse of any torch network, measured on its own data and in its own loop.

    from central_path.torch import NeuralCollapse

    metric = NeuralCollapse(num_classes=10)
    for images, targets in loader:
        metric.update(features_of(images), targets)
    metric.compute(weight=head.weight, bias=head.bias, lam=5e-4)["nc1/papyan2020"]

Needs torch; JAX is not imported.
"""

from central_path.torch.certificate import Certificate as Certificate
from central_path.torch.neural_collapse import NeuralCollapse as NeuralCollapse
from central_path.torch.quantities import Numbers as Numbers
