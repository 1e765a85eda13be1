"""Class statistics: merged over any batches they are those of one pass, and near collapse they keep their digits."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from central_path.theory.problem import moments_of_samples
from central_path.torch.collect import ClassStatistics

C, P = 5, 12


def draw(seed, n=67, device="cpu", dtype=torch.float64):
    """Features away from the origin, of unbalanced classes in random order."""
    generator = np.random.default_rng(seed)
    labels = np.r_[np.arange(C), generator.choice(C, n - C, p=[0.4, 0.3, 0.15, 0.1, 0.05])]
    generator.shuffle(labels)
    features = 3 + generator.normal(size=(C, P))[labels] + 0.3 * generator.normal(size=(n, P))
    return torch.from_numpy(features).to(device, dtype), torch.from_numpy(labels).to(device)


def merged(features, labels, ends, classes=C):
    seen = ClassStatistics.zeros(classes, features.shape[1], features.device)
    for begin, end in zip([0, *ends], [*ends, len(labels)], strict=True):
        seen.merge(ClassStatistics.of(features[begin:end], labels[begin:end], classes))
    return seen


def assert_equal(seen, M, Sigma_W, pi, rtol=1e-12):
    for found, expected in zip(seen.arrays(), (M, Sigma_W, pi), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * np.abs(expected).max())


def test_merged_over_batches_of_any_sizes_they_are_those_of_one_pass_and_of_the_core(seed, device):
    features, labels = draw(seed, device=device)
    ends = np.sort(np.random.default_rng(seed).integers(0, len(labels) + 1, 6)).tolist()  # empty batches among them
    m = moments_of_samples(features.cpu().numpy(), labels.cpu().numpy(), C=C)
    for batches in ([], ends, range(1, len(labels))):  # one pass, some batches, single examples
        assert_equal(merged(features, labels, batches), np.asarray(m.M), np.asarray(m.Sigma_W), np.asarray(m.pi))


def test_they_are_the_sums_that_a_loop_over_the_examples_adds_up(seed):
    features, labels = draw(seed)
    h, y = features.numpy(), labels.numpy()
    M = np.stack([h[y == c].mean(axis=0) for c in range(C)], axis=1)
    Sigma_W = sum(np.outer(h[i] - M[:, y[i]], h[i] - M[:, y[i]]) for i in range(len(y))) / len(y)
    assert_equal(merged(features, labels, [20, 50]), M, Sigma_W, np.bincount(y) / len(y))


def test_classes_that_come_late_or_never_do_no_harm(seed):
    features, labels = draw(seed)
    order = torch.argsort(labels, stable=True)  # batches of one class or two
    by_class = merged(features[order], labels[order], [7, 19, 40], classes=C + 2)
    whole = ClassStatistics.of(features, labels, C)
    assert by_class.counts.tolist() == [*whole.counts.tolist(), 0, 0]
    torch.testing.assert_close(by_class.means[:C], whole.means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_class.scatter, whole.scatter, rtol=1e-12, atol=1e-12)
    assert not by_class.means[C:].any()


def test_the_order_of_the_batches_does_not_matter(seed):
    features, labels = draw(seed)
    there = merged(features, labels, [10, 30])
    back = merged(features.flip(0), labels.flip(0), [len(labels) - 30, len(labels) - 10])
    assert_equal(there, *back.arrays())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_statistics_are_float64_and_exact_for_features_of_any_precision(dtype, device):
    features, labels = draw(0, device=device, dtype=dtype)
    seen = merged(features, labels, [30])
    assert {name: value.dtype for name, value in vars(seen).items()} == {
        **dict.fromkeys(vars(seen), torch.float64),
        "counts": torch.int64,
    }
    assert {array.dtype for array in seen.arrays()} == {np.dtype(np.float64)}
    assert seen.scatter.device.type == device.type
    assert_equal(seen, *ClassStatistics.of(features.double(), labels, C).arrays())


def nc1_of(M, Sigma_W):
    Mbar = M - M.mean(axis=1, keepdims=True)
    return np.trace(Sigma_W @ np.linalg.pinv(Mbar @ Mbar.T / C, rcond=1e-10)) / C


def raw_moments(features, labels):
    """The planted fault: Ave h h^T - sum_c pi_c mu_c mu_c^T from sums of one pass, balanced classes."""
    M = torch.stack([features[labels == c].mean(dim=0) for c in range(C)], dim=1)
    return M.double().numpy(), (features.T @ features / len(labels) - M @ M.T / C).double().numpy()


def test_near_collapse_they_keep_their_digits_where_raw_moments_in_float32_lose_all(seed):
    generator = np.random.default_rng(seed)
    M = 1 + generator.normal(size=(P, C))
    E = generator.normal(size=(P, C, 40))
    E -= E.mean(axis=2, keepdims=True)
    Sigma = np.einsum("pcn,qcn->pq", E, E) / (40 * C)
    scale = np.sqrt(1e-14 / nc1_of(M, Sigma))
    features = torch.from_numpy((M[:, :, None] + scale * E).reshape(P, -1).T.copy())
    labels = torch.arange(C).repeat_interleave(40)
    order = torch.from_numpy(generator.permutation(len(labels)))
    means, Sigma_W, _ = merged(features[order], labels[order], [3, 77, 100, 101]).arrays()
    # deviations of 1e-7 beside entries of size 1 hold 9 digits in float64
    assert nc1_of(means, Sigma_W) == pytest.approx(1e-14, rel=1e-7)
    assert np.linalg.eigvalsh(Sigma_W)[0] > 0

    wrong_means, wrong = raw_moments(features.float(), labels)
    assert abs(nc1_of(wrong_means, wrong) / 1e-14 - 1) > 1e3
    assert np.linalg.eigvalsh(wrong)[0] < 0


class Largest(TorchDispatchMode):
    """Entries of the largest tensor that any operation makes."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        found = result if isinstance(result, tuple | list) else [result]
        self.entries = max([self.entries, *(value.numel() for value in found if isinstance(value, torch.Tensor))])
        return result


def test_no_outer_product_is_stored_for_every_example_or_every_class():
    classes, n, width = 20, 50, 30
    features = torch.randn(n, width, dtype=torch.float64)
    labels = torch.arange(n) % classes
    seen = ClassStatistics.zeros(classes, width, features.device)
    with Largest() as largest:
        seen.merge(ClassStatistics.of(features, labels, classes))
    assert largest.entries == max(n * width, width * width) < classes * width * width


def test_the_state_is_no_larger_than_it_says_and_needs_no_class_in_a_product_of_width_by_width():
    seen = ClassStatistics.of(torch.randn(9, 4), torch.arange(9) % 3, 3)
    held = [value.numel() for value in vars(seen).values() if value.dtype == torch.float64]
    assert sum(held) == 4 * 4 + 2 * 3 * 4 + 3
    assert (seen.counts.dtype, seen.counts.numel()) == (torch.int64, 3)


def test_moved_to_other_anchors_the_sums_are_of_the_same_examples(seed):
    features, labels = draw(seed)
    seen = ClassStatistics.of(features, labels, C)
    far = seen.moved(seen.anchors + torch.randn(C, P, dtype=torch.float64))
    torch.testing.assert_close(far.means, seen.means, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(far.scatter, seen.scatter, rtol=1e-12, atol=1e-12)
    wrong = ClassStatistics(
        seen.counts, far.anchors, seen.sums, seen.squares, seen.half
    )  # planted: anchors without the shift
    assert float((wrong.means - seen.means).abs().max()) > 0.1


def test_equal_examples_have_no_scatter_at_all():
    h = torch.tensor([0.1, 1e8, -3e-9], dtype=torch.float64).repeat(7, 1)
    seen = ClassStatistics.of(h, torch.zeros(7, dtype=torch.long), 2)
    assert not seen.scatter.any()
    assert torch.equal(seen.means[0], h[0])
