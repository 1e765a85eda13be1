"""What `NeuralCollapse` says of input that cannot be: one sentence, and nothing changes."""

import numpy as np
import pytest
import torch
from features_in_batches import collected

from central_path.torch import NeuralCollapse
from central_path.torch.quantities import NAMES

H, Y = torch.ones(6, 3), torch.arange(6) % 3


@pytest.mark.parametrize(
    ("features", "targets", "sentence"),
    [
        (H[0], Y, "Need real features of shape (n, P), P > 0, got shape (3,)"),
        (H.int(), Y, "got shape (6, 3) of torch.int32"),
        (H, Y[:5], "Need integer targets of shape (6,) for features of shape (6, 3), got shape (5,)"),
        (H, Y.float(), "of torch.float32"),
        (H, Y + 1, "Need targets from 0 to num_classes - 1 = 2, got 3"),
        (H, Y - 1, "got -1"),
        (H / 0, Y, "Need finite features, got NaN or infinite entries in 6 of 6 examples"),
        (torch.ones(6, 4), Y, "Need features of width 3 as in the earlier batches, got 4"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_in_one_sentence_and_changes_nothing(features, targets, sentence):
    metric = NeuralCollapse(num_classes=3)
    metric.update(torch.randn(6, 3), Y)
    before = metric.compute()
    with pytest.raises(ValueError, match="Need") as refused:
        metric.update(features, targets)
    assert sentence in str(refused.value)
    assert metric.compute() == before


@pytest.mark.parametrize(
    ("weight", "bias", "lam", "sentence"),
    [
        (torch.ones(4, 3), None, 0.0, "Need weight of shape (3, 3) and bias of shape (3,) for 3 classes"),
        (torch.ones(3, 3), torch.ones(4), 0.0, "got (3, 3) and (4,)"),
        (None, torch.ones(3), 0.0, "Need W with b, got b alone"),
        (torch.ones(3, 3) / 0, None, 0.0, "Need a finite last layer"),
        (torch.ones(3, 3), None, -1.0, "Need lam >= 0, got lam = -1.0"),
        (None, None, float("nan"), "Need lam >= 0, got lam = nan"),
    ],
)
def test_a_last_layer_that_does_not_fit_is_refused_in_one_sentence(weight, bias, lam, sentence):
    metric = NeuralCollapse(num_classes=3)
    metric.update(torch.randn(6, 3), Y)
    with pytest.raises(ValueError, match="Need") as refused:
        metric.compute(weight, bias, lam)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: NeuralCollapse(num_classes=1), "Need at least 2 classes, got 1"),
        (lambda: NeuralCollapse(num_classes=3, classes=[1, 3]), r"Need at least 2 classes of 0 to 2, got \[1, 3\]"),
        (lambda: NeuralCollapse(num_classes=3, precision="half"), "Need a precision among float64, float32"),
        (lambda: collected(H, Y, 3).merge(collected(H, Y, 4)), "got 3 and 4 classes"),
        (lambda: collected(H, Y, 3).merge(collected(H[:, 1:], Y, 3)), "Need features of one width, got 3 and 2"),
        (lambda: collected(H, 0 * Y, 3).compute(), "Need at least 2 classes with examples, got 1"),
        (lambda: collected(1e200 * H.double(), Y, 3).compute(), None),
        (lambda: NeuralCollapse(num_classes=3).update(H, Y, torch.arange(5)), "Need an index for each of 6 examples"),
        (
            lambda: NeuralCollapse(num_classes=3).update(H, Y, torch.arange(6) - 1),
            "Need indices of examples, 0 or more",
        ),
    ],
)
def test_other_misuses_are_one_sentence(make, sentence):
    if sentence is None:
        assert np.isnan(make()[NAMES["nc1"]])  # all means coincide
        return
    with pytest.raises(ValueError, match=sentence):
        make()
