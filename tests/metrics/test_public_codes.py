"""Parity with public codes where they compute what their names say, and the numbers where they do not."""

from pathlib import Path

import numpy as np
import public_codes
import pytest
from public_codes import COMPARED, FELIXSH, HAN, HE, RHUBARBWU, as_markdown, class_means, draw, table

import central_path as cp
from central_path.metrics import nc5_benammar2024, neco_benammar2024, nrc1_andriopoulos2024, nrc2_andriopoulos2024

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
NEVER = {  # other quantities under the same name
    (RHUBARBWU, "the same in layerwise_mnist.py"),
    (RHUBARBWU, "similarities(...).var()"),
    (RHUBARBWU, "clf_ncc_agreement"),
    (HAN, "norm_M_CoV"),
    (FELIXSH, "nc1_cdnv"),
    (FELIXSH, "nc3_self_duality"),
    (FELIXSH, 'unc3_uniform_duality(reduction="cov")'),
}
BALANCED = {  # the global mean, or Sigma_B, is not weighted by the sizes of the classes
    *(
        (RHUBARBWU, name)
        for _, name, formula, *_ in COMPARED
        if formula.__name__
        in (
            "rhubarbwu_pinv",
            "rhubarbwu_svd",
            "rhubarbwu_quotient",
            "rhubarbwu_etf",
            "rhubarbwu_self_duality",
            "rhubarbwu_log_kernel",
        )
    ),
    *((HAN, name) for name in ("Sw_invSb", "cos_M", "W_M_dist")),
    (HE, "get_variation"),
}
ROWS = table()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_numbers_side_by_side(row):
    code, name, _, (balanced, unbalanced) = row
    assert (balanced[0] == pytest.approx(balanced[1], rel=1e-6)) == ((code, name) not in NEVER)
    if (code, name) not in NEVER:
        assert (unbalanced[0] == pytest.approx(unbalanced[1], rel=1e-6)) == ((code, name) not in BALANCED)
    assert as_markdown(row) in PAGE


def test_what_is_said_of_the_differences(seed):
    h, y, W, b = draw([20, 25, 30, 35], seed)
    found = cp.measure(h, y, W=W, b=b)
    assert public_codes.felixsh_self_duality(h, y, W, b) ** 2 == pytest.approx(found.self_duality, rel=1e-10)
    assert 1 - public_codes.rhubarbwu_agreement(h, y, W, b) == cp.measure(h, y, W=W).ncc_mismatch
    even = draw([25] * 4, seed)[0]
    labels = np.repeat(np.arange(4), 25)
    equinorm = public_codes.neuralcollapse_equinorm(even, labels, W, b)
    assert equinorm == pytest.approx(np.sqrt(4 / 3) * cp.measure(even, labels).equinorm, rel=1e-10)
    cdnv = public_codes.felixsh_cdnv(even, labels, W, b)
    assert cdnv == pytest.approx(25 / 24 * cp.measure(even, labels)["cdnv_galanti2022"], rel=1e-10)
    scaled = [public_codes.rhubarbwu_uniform_duality(h, y, factor * W, b) for factor in (1, 2)]
    assert scaled[1] == pytest.approx(4 * scaled[0], rel=1e-10)


def test_neco_is_of_the_moments_that_it_is_given(seed):
    """With second moments, or with the correlations of standardized features, it is that of each public code."""
    training, H = draw([20, 25, 30, 35], seed)[0] + 1, draw([5] * 4, seed + 100)[0]
    n, mean, std = len(training), training.mean(axis=0), training.std(axis=0)
    found = neco_benammar2024(H, training.T @ training / n, 3)
    np.testing.assert_allclose(found, public_codes.felixsh_neco(H, training, 3, center=False), rtol=1e-9)
    found = neco_benammar2024((H - mean) / std, np.corrcoef(training.T), 3)
    np.testing.assert_allclose(found, public_codes.yuhengzhang_neco(H, training, 3), rtol=1e-9)
    found, centred = neco_benammar2024(H, np.cov(training.T), 3), public_codes.felixsh_neco(H, training, 3, center=True)
    assert abs(found - centred).max() > 0.05
    off = np.linalg.norm(H - mean, axis=1) / np.linalg.norm(H, axis=1)
    np.testing.assert_allclose(off * neco_benammar2024(H - mean, np.cov(training.T), 3), centred, rtol=1e-9)


def test_fewer_dimensions_than_classes_are_refused_by_the_partial_decomposition(seed):
    h, y, W, b = draw([9] * 6, seed, P=4)
    assert public_codes.rhubarbwu_pinv(h, y, W, b) == pytest.approx(cp.measure(h, y)["nc1_zhu2021"], rel=1e-9)
    with pytest.raises((TypeError, ValueError)):
        public_codes.rhubarbwu_svd(h, y, W, b)


def test_near_collapse_the_sums_of_squares_and_those_in_float32_lose_their_digits():
    h, y, W, b = draw([50] * 4)
    means = class_means(h, y)
    for offset, wrong in ((0, 1e-3), (100, 1.0)):
        x = (means[y] + 1e-5 * (h - means[y]) + offset).astype(np.float32)
        true = public_codes.tding1_collapse(x.astype(float), y, W, b)
        assert cp.measure(x, y)["nc1_zhu2021"] == pytest.approx(true, rel=1e-6)
        off = abs(public_codes.rhubarbwu_in_single(x, y) / true - 1)
        assert (off > wrong) == (offset > 0)
    true = public_codes.rhubarbwu_cdnv(x.astype(float), y, W, b)
    assert cp.measure(x, y)["cdnv_galanti2022"] == pytest.approx(true, rel=1e-6)
    assert abs(public_codes.galanti_cdnv(x, y) / true - 1) > 1e3


def test_nc5_and_the_regression_metrics(seed):
    rng = np.random.default_rng(seed)
    M, out = rng.standard_normal((5, 7)), rng.standard_normal(7)
    assert public_codes.rhubarbwu_orthogonality(M, out) == pytest.approx(float(nc5_benammar2024(M.T, out)), rel=1e-12)
    H, W = rng.standard_normal((40, 7)), rng.standard_normal((3, 7))
    assert public_codes.felixsh_nrc2(H, W) == pytest.approx(float(nrc2_andriopoulos2024(H, W)), rel=1e-10)
    centred = H - H.mean(axis=0)
    assert public_codes.felixsh_nrc1(centred, 3) == pytest.approx(float(nrc1_andriopoulos2024(centred, 3)), rel=1e-10)
    far = abs(public_codes.felixsh_nrc1(H + 2, 3) / float(nrc1_andriopoulos2024(H + 2, 3)) - 1)
    assert far > 0.1  # its components are those of the features as they are
