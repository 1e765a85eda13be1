import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central_path.cli import inputs
from central_path.metrics import samples

EPS = float(np.finfo(float).eps)


def drawn(counts, P=3, seed=0, names=None):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)) if names is None else names, counts)
    order = rng.permutation(len(labels))
    return samples.check_samples(rng.standard_normal((len(labels), P)), labels[order])


@settings(max_examples=20, deadline=None)
@given(C=st.integers(2, 5), N=st.integers(2, 6), P=st.integers(1, 4), seed=st.integers(0, 99))
def test_stack_puts_every_row_in_its_class_and_unstack_puts_it_back(C, N, P, seed):
    P = max(min(P, C * (N - 1)), C - 1)
    given_rows = drawn([N] * C, P, seed)
    H, index = samples.stack(given_rows)
    assert H.shape == (P, C, N)
    for c in range(C):
        assert set(given_rows.labels[index[c]]) == {c}
    np.testing.assert_array_equal(samples.unstack(H, index), given_rows.features)


def test_classes_are_in_sorted_order_of_string_labels():
    given_rows = drawn([2, 2, 2], P=2, names=["cat", "ant", "bee"])
    _, index = samples.stack(given_rows)
    assert [given_rows.labels[i[0]] for i in index] == ["ant", "bee", "cat"]


def test_balance_takes_the_smallest_count_from_every_class_in_order_and_by_seed():
    given_rows = drawn([5, 9, 7])
    once, again, other = (samples.balance(given_rows, seed=s) for s in (1, 1, 2))
    assert once.counts.tolist() == [5, 5, 5]
    np.testing.assert_array_equal(once.features, again.features)
    assert not np.array_equal(once.features, other.features)
    rows = [np.flatnonzero((given_rows.features == row).all(axis=1))[0] for row in once.features]
    assert rows == sorted(rows)


def test_features_are_scaled_by_a_power_of_two_only():
    raw = np.random.default_rng(0).standard_normal((6, 2)) * 1e200
    scaled = samples.check_samples(raw, np.repeat([0, 1], 3)).features
    ratio = raw / scaled
    assert np.all(ratio == ratio[0, 0])
    assert np.frexp(ratio[0, 0])[0] == 0.5


def test_rank_and_lost_signal_of_a_direction_without_variance():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    features = rng.standard_normal((60, 4))
    features[:, 3] = 5.0 * labels  # signal, no variance: omega is infinite along it
    given_rows = samples.check_samples(features, labels)
    within = samples.range_of_within_covariance(given_rows)
    assert within.rank == 3
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)]) - features.mean(axis=0)
    np.testing.assert_allclose(within.signal_lost, np.sum(means[:, 3] ** 2) / np.sum(means**2), rtol=1e-12)
    assert not within.loses_nothing
    assert 4 * np.finfo(float).eps <= within.rounding < 1e-12
    stored = samples.range_of_within_covariance(samples.check_samples(features.astype(np.float16), labels))
    assert 1e-8 < stored.rounding < 1e-3 < stored.signal_lost
    with pytest.raises(ValueError, match="rank 3"):
        samples.check_rank(given_rows, within)
    assert samples.restrict(given_rows, within).features.shape == (60, 3)


def test_a_constant_direction_loses_nothing():
    given_rows = drawn([20, 20, 20], P=4)
    features = np.column_stack([given_rows.features, np.full(60, 0.3)])
    within = samples.range_of_within_covariance(samples.check_samples(features, given_rows.labels))
    assert within.rank == 4
    assert within.signal_lost < within.rounding


def test_the_threshold_of_the_rank_is_that_of_the_stored_precision():
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((90, 3)), np.repeat([0, 1, 2], 30)

    def ranks(features):
        given_rows = [samples.check_samples(features.astype(d), labels) for d in (np.float16, np.float32, np.float64)]
        return [samples.range_of_within_covariance(rows).rank for rows in given_rows]

    assert ranks(features) == [3, 3, 3]
    features[:, 2] *= 1e-2  # small, and as exact as the others
    assert ranks(features) == [3, 3, 3]
    features[:, 2] = features[:, 0] + features[:, 1] + 3e-7 * rng.standard_normal(90)
    assert ranks(features) == [2, 2, 3]  # the last direction is rounding in float16 and float32


def test_examples_and_directions_that_are_left_out_are_said():
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((91, 3)), np.append(np.repeat([0, 1, 2], 30), 0)
    features[:, 2] = features[:, 0] + features[:, 1]
    given_rows = samples.check_samples(features.astype(np.float16), labels)
    _, note = inputs.features_of_samples(given_rows, balance=True, restrict_rank=True, seed=0)
    balanced, rank = note.splitlines()
    assert balanced == "balanced classes: 90 of 91 examples, 30 a class"
    assert "rank of Sigma_W: 2 of 3; directions that vary by less than the rounding of the stored" in rank
    exact = samples.check_samples(features[:90], labels[:90])
    _, note = inputs.features_of_samples(exact, balance=True, restrict_rank=True, seed=0)
    assert note == "rank of Sigma_W: 2 of 3"


@pytest.mark.parametrize(
    ("N", "remedy"), [(3, "give more examples, or --restrict-rank"), (9, ": give --restrict-rank")]
)
def test_the_remedy_for_too_few_examples_is_more_of_them(N, remedy):
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((2 * N, 6)), np.repeat([0, 1], N)
    features[:, 5] = 1.0
    given_rows = samples.check_samples(features, labels)
    with pytest.raises(ValueError, match=remedy):
        samples.check_rank(given_rows, samples.range_of_within_covariance(given_rows))


@pytest.mark.parametrize(
    ("C", "N", "P", "words"),
    [(1, 5, 3, "C >= 2"), (3, 1, 3, "N >= 2"), (5, 4, 3, "P >= C - 1 = 4"), (3, 3, 7, r"P <= C\(N-1\) = 6")],
)
def test_impossible_sizes_are_refused(C, N, P, words):
    with pytest.raises(ValueError, match=words):
        samples.random_features(C, N, P, seed=0)
