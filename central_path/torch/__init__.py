"""Neural collapse of any torch network, measured on its own data and in its own loop.

    from central_path.torch import NeuralCollapse, evaluate, watch

    report = evaluate(model, loader, num_classes=10)      # one call for a trained network
    report["nc1"], report.to_dict()

    metric = NeuralCollapse(num_classes=10)               # or within a loop of one's own
    with watch(model) as tap:
        for images, targets in loader:
            model(images)
            metric.update(tap.features, targets)
    metric.compute(tap.weight, tap.bias, lam=5e-4)["nc1/papyan2020"]

Needs torch; JAX is not imported.
"""

from central_path.torch.callbacks import lightning_callback as lightning_callback
from central_path.torch.callbacks import trainer_callback as trainer_callback
from central_path.torch.certificate import Certificate as Certificate
from central_path.torch.evaluation import evaluate as evaluate
from central_path.torch.feature_kernel import FeatureKernel as FeatureKernel
from central_path.torch.neural_collapse import NeuralCollapse as NeuralCollapse
from central_path.torch.quantities import Numbers as Numbers
from central_path.torch.report import Report as Report
from central_path.torch.watching import watch as watch
