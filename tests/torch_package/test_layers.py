"""He & Su's law over the layers of a network against its definition on the outputs of the layers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from central_path.metrics import separation_fuzziness_he2023, separation_law_he2023
from central_path.metrics.samples import moments_of_rows
from central_path.torch import evaluate

C, N = 4, 60
LAYERS = ("1", "3", "5")


def network():
    torch.manual_seed(0)
    hidden = [nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(108, 9), nn.Tanh(), nn.Linear(9, 5)]
    return nn.Sequential(*hidden, nn.Tanh(), nn.Linear(5, C))


def data(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    y = torch.cat([torch.arange(C), torch.randint(C, (N - C,), generator=generator)])
    means = torch.randn(C, 1, 6, 6, generator=generator)
    return (means[y] + torch.randn(N, 1, 6, 6, generator=generator)).to(dtype), y


def loader(x, y, **options):
    return DataLoader(TensorDataset(x, y), batch_size=16, **options)


def expected(model, x, y, layers=LAYERS):
    found = []
    for name in layers:
        outputs = model[: int(name) + 1](x).detach().reshape(len(y), -1)
        found.append(float(separation_fuzziness_he2023(moments_of_rows(outputs.double().numpy(), y.numpy(), C))))
    return np.array(found)


def fuzziness(report, layers=LAYERS):
    return np.array([report[f"separation_fuzziness/he2023/{name}"] for name in layers])


@pytest.mark.parametrize("options", [{}, {"keep_features": True}, {"nearest_center_rule": False}])
def test_every_layer_has_the_fuzziness_of_its_outputs_and_the_law_is_fitted_through_them(options):
    model, (x, y) = network().double(), data(torch.float64)
    report = evaluate(model, loader(x, y), C, layers=LAYERS, **options)
    D = expected(model, x, y)  # the first layer is wider than there are examples
    np.testing.assert_allclose(fuzziness(report), D, rtol=1e-10)
    law = separation_law_he2023(D)
    assert report["separation_rate/he2023"] == pytest.approx(law.rate, rel=1e-9)
    assert report["separation_correlation/he2023"] == pytest.approx(law.correlation, rel=1e-9)
    assert set(report.to_dict()) >= {"separation_rate/he2023", "separation_fuzziness/he2023/5"}
    same = evaluate(model, loader(x, y), C, **options)
    assert same.numbers.items() <= report.numbers.items()  # nothing else changes
    backwards = evaluate(model, loader(x, y), C, layers=LAYERS[::-1])
    assert backwards["separation_rate/he2023"] == pytest.approx(1 / law.rate, rel=1e-9)


def test_what_counts_of_the_batches_counts_in_the_layers():
    model, (x, y) = network().double(), data(torch.float64)
    kept = y != 2
    ignored = evaluate(model, loader(x, torch.where(kept, y, -100)), C, layers=LAYERS, ignore_index=-100)
    chosen = evaluate(model, loader(x, y), C, layers=LAYERS, classes=[0, 1, 3])
    outputs = [model[: int(name) + 1](x[kept]).detach().reshape(int(kept.sum()), -1).numpy() for name in LAYERS]
    codes = np.unique(y[kept].numpy(), return_inverse=True)[1]
    D = [float(separation_fuzziness_he2023(moments_of_rows(h, codes, 3))) for h in outputs]
    np.testing.assert_allclose(fuzziness(ignored), D, rtol=1e-10)
    np.testing.assert_allclose(fuzziness(chosen), D, rtol=1e-10)


def test_a_layer_that_separates_nothing_has_no_fuzziness_and_there_is_no_law():
    model, (x, y) = network(), data()
    nn.init.zeros_(model[3].weight)  # its outputs are the bias alone
    report = evaluate(model, loader(x, y), C, layers=LAYERS)
    missing = {"separation_fuzziness/he2023/3", "separation_fuzziness/he2023/5"}
    missing |= {"separation_rate/he2023", "separation_correlation/he2023"}
    assert {name for name in report.numbers if "separation" in name and np.isnan(report[name])} == missing
    assert all(report.reasons[name] for name in missing)
    one = evaluate(model, loader(x, y), C, layers=["1"])
    assert [name for name in one.numbers if "separation" in name] == ["separation_fuzziness/he2023/1"]
    with pytest.raises(ValueError, match="got an iterator: give the loader itself"):
        evaluate(model, iter(loader(x, y)), C, layers=["1"], nearest_center_rule=False)


def test_in_float32_it_agrees_to_its_precision():
    model, (x, y) = network(), data()
    D = fuzziness(evaluate(model, loader(x, y), C, layers=LAYERS))
    np.testing.assert_allclose(D, expected(network().double(), x.double(), y), rtol=1e-4)
