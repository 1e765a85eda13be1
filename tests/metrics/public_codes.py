"""What public codes compute under the names of the catalogue, restated in float64; `python public_codes.py` prints it.

Each is a function of rows h (n, P), labels y from 0 to C - 1, W (C, P) and b (C,), or of what it says. The file and
commit that it restates stands above it.
"""

from itertools import combinations

import numpy as np
from scipy.linalg import pinv
from scipy.sparse.linalg import svds

import central_path as cp
from central_path.metrics import separation_fuzziness_he2023
from central_path.metrics.samples import moments_of_rows

SIZES = {"balanced": [30, 30, 30, 30], "unbalanced": [10, 20, 200, 50]}


def draw(sizes, seed=0, P=8):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    h = 2 * rng.standard_normal((len(sizes), P))[y] + rng.standard_normal((len(y), P))
    return h, y, rng.standard_normal((len(sizes), P)), rng.standard_normal(len(sizes))


def class_means(h, y):
    return np.array([h[y == c].mean(axis=0) for c in range(max(y) + 1)])


def within(h, y):
    off = h - class_means(h, y)[y]
    return off.T @ off / len(h)


def between(centred):
    return centred.T @ centred / len(centred)


def on_simplex(G):
    C = len(G)
    return np.linalg.norm(G / np.linalg.norm(G) - (np.eye(C) - 1 / C) / np.sqrt(C - 1))


# rhubarbwu/neural-collapse c05a0b8, neural_collapse/measure.py; its global mean is that of the class means


def centred(h, y):
    means = class_means(h, y)
    return means - means.mean(axis=0)


def rhubarbwu_pinv(h, y, W, b):
    return np.trace(pinv(between(centred(h, y))) @ within(h, y)) / len(W)


def rhubarbwu_svd(h, y, W, b):
    U, s, _ = svds(between(centred(h, y)), k=len(W) - 1)
    return np.trace(within(h, y) @ (U / s) @ U.T) / len(W)


def rhubarbwu_quotient(h, y, W, b):
    return np.trace(within(h, y)) / np.trace(between(centred(h, y)))


def class_variances(h, y, less=0):
    means = class_means(h, y)
    return [np.sum((h[y == c] - means[c]) ** 2) / (np.sum(y == c) - less) for c in range(len(means))]


def cdnv(variances, means):
    return np.mean(
        [
            (variances[c] + variances[d]) / 2 / np.sum((means[c] - means[d]) ** 2)
            for c, d in combinations(range(len(means)), 2)
        ]
    )


def rhubarbwu_cdnv(h, y, W, b):
    return cdnv(class_variances(h, y), class_means(h, y))


def rhubarbwu_etf(h, y, W, b):
    return on_simplex(centred(h, y) @ centred(h, y).T)


def rhubarbwu_self_duality(h, y, W, b):
    return on_simplex(W @ centred(h, y).T)


def rhubarbwu_self_duality_swapped(h, y, W, b):  # as examples/layerwise_mnist.py calls it: (means, weights, mean)
    means = class_means(h, y)
    return on_simplex(means @ (W - means.mean(axis=0)).T)


def rhubarbwu_uniform_duality(h, y, W, b):  # README: similarities(weights, means, mG).var()
    return np.var(np.sum(W * centred(h, y), axis=1), ddof=1)


def rhubarbwu_log_kernel(h, y, W, b):
    units = centred(h, y)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return np.mean([-np.log(np.linalg.norm(u - v)) for u, v in combinations(units, 2)])


def rhubarbwu_agreement(h, y, W, b):  # without the bias
    nearest = np.argmin(np.linalg.norm(h[:, None] - class_means(h, y), axis=2), axis=1)
    return np.mean(np.argmax(h @ W.T, axis=1) == nearest)


def rhubarbwu_orthogonality(M, mu_out):
    return np.mean(abs(M @ mu_out) / np.linalg.norm(M, axis=1) / np.linalg.norm(mu_out))


def rhubarbwu_in_single(h, y, batch=64):
    """NC1 by the accumulators in float32, their default: sums of raw features, then scatter about the means."""
    h, C = h.astype(np.float32), max(y) + 1
    sums, n = np.zeros((C, h.shape[1]), np.float32), np.bincount(y).astype(np.float32)
    for k in range(0, len(y), batch):
        sums += np.eye(C, dtype=np.float32)[y[k : k + batch]].T @ h[k : k + batch]
    means, scatter = sums / n[:, None], np.zeros((h.shape[1],) * 2, np.float32)
    for k in range(0, len(y), batch):
        off = h[k : k + batch] - means[y[k : k + batch]]
        scatter += off.T @ off
    S = np.linalg.pinv(between(means - means.mean(axis=0)), rcond=h.shape[1] * np.finfo(np.float32).eps)
    return float(np.trace(S @ (scatter / np.float32(len(y)))) / C)


# tding1/Neural-Collapse 04ef586, validate_NC.py (Zhu et al. 2021); its global mean is that of the examples


def tding1_collapse(h, y, W, b):
    return np.trace(within(h, y) @ pinv(between(class_means(h, y) - h.mean(axis=0)))) / len(W)


def tding1_etf(h, y, W, b):
    return on_simplex(W @ W.T)


def tding1_self_duality(h, y, W, b):
    return on_simplex(W @ (class_means(h, y) - h.mean(axis=0)).T)


# neuralcollapse/neuralcollapse 7f12011, neuralcollapse.ipynb (Han et al. 2022)


def neuralcollapse_nc1(h, y, W, b):
    return rhubarbwu_svd(h, y, W, b) * len(W)


def neuralcollapse_equinorm(h, y, W, b):
    norms = np.linalg.norm(centred(h, y), axis=1)
    return np.std(norms, ddof=1) / np.mean(norms)


def neuralcollapse_angle(h, y, W, b):
    units, C = centred(h, y), len(W)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return np.sum(abs(units @ units.T + 1 / (C - 1)) * (1 - np.eye(C))) / (C * (C - 1))


def neuralcollapse_self_duality(h, y, W, b):
    m = centred(h, y)
    return np.sum((W / np.linalg.norm(W) - m / np.linalg.norm(m)) ** 2)


# HornHehhf/Equi-Separation 7544a6b, variance_analysis.py (He & Su 2023)


def hornhehhf_variation(h, y, W, b):
    means = class_means(h, y)
    Sigma_W = np.mean([np.cov(h[y == c].T, bias=True) for c in range(len(W))], axis=0)
    return np.trace(Sigma_W @ pinv(between(means - h.mean(axis=0))))


def hornhehhf_variation_imbalance(h, y, W, b):
    off = class_means(h, y) - h.mean(axis=0)
    return np.trace(within(h, y) @ pinv(off.T * np.bincount(y) @ off / len(y)))


# TomerGalanti/NeuralCollapseDepth e015c2b, analysis.py (Galanti et al. 2022)


def galanti_cdnv(h, y, W=None, b=None):
    means = class_means(h, y)
    squares = [np.mean(np.sum(h[y == c] ** 2, axis=1)) for c in range(len(means))]
    return cdnv([abs(s - np.sum(m**2)) for s, m in zip(squares, means, strict=True)], means)


# felixsh/nc-toolbox a527f99, nc_toolbox/metrics.py and regression.py


def felixsh_cdnv(h, y, W, b):
    return cdnv(class_variances(h, y, less=1), class_means(h, y))


def felixsh_self_duality(h, y, W, b):
    m = class_means(h, y) - h.mean(axis=0)
    return np.linalg.norm(W / np.linalg.norm(W) - m / np.linalg.norm(m))


def felixsh_uniform_duality(h, y, W, b):  # reduction="cov": of w_c with mu_d for c < d
    m = class_means(h, y) - h.mean(axis=0)
    cosines = (W / np.linalg.norm(W, axis=1)[:, None]) @ (m / np.linalg.norm(m, axis=1)[:, None]).T
    above = cosines[np.triu_indices(len(W), 1)]
    return np.std(above) / np.mean(above)


def felixsh_nrc1(H, K):  # components of the features as they are, not about their mean
    Vt = np.linalg.svd(H, full_matrices=False)[2][:K]
    unit = H / np.linalg.norm(H, axis=1)[:, None]
    return np.mean(np.sum((unit - unit @ Vt.T @ Vt) ** 2, axis=1))


def felixsh_nrc2(H, W):
    unit = H / np.linalg.norm(H, axis=1)[:, None]
    return np.mean(np.sum((unit - unit @ W.T @ np.linalg.pinv(W.T)) ** 2, axis=1))


def felixsh_neco(H, training, dimension, center):  # felixsh/OpenOOD 58a749d, neco_postprocessor.py
    mean = training.mean(axis=0) if center else 0
    Vt = np.linalg.svd(training - mean, full_matrices=False)[2][:dimension]
    return np.linalg.norm((H - mean) @ Vt.T, axis=1) / np.linalg.norm(H, axis=1)


def yuhengzhang_neco(H, training, dimension):  # YuhengZhangMelody/NECO bcef512, the same file: StandardScaler and PCA
    mean, std = training.mean(axis=0), training.std(axis=0)
    Vt = np.linalg.svd((training - mean) / std, full_matrices=False)[2][:dimension]
    return np.linalg.norm((H - mean) / std @ Vt.T, axis=1) / np.linalg.norm((H - mean) / std, axis=1)


def ours(h, y, W, b):
    """Numbers of this package by the names of their definitions."""
    found = cp.measure(h, y, W=W, b=b)
    m = moments_of_rows(h, y, len(W))
    return {**found.to_dict(), "separation_fuzziness_he2023": float(separation_fuzziness_he2023(m))}


RHUBARBWU, TDING1, HAN = "rhubarbwu/neural-collapse", "tding1/Neural-Collapse", "neuralcollapse/neuralcollapse"
HE, GALANTI, FELIXSH = "HornHehhf/Equi-Separation", "TomerGalanti/NeuralCollapseDepth", "felixsh/nc-toolbox"
ENERGY = np.log(3 / 8) / 2  # of a Simplex ETF of four classes
COMPARED = (  # code, its name, its formula, our name, our number in its normalisation
    (RHUBARBWU, 'covariance_ratio(metric="pinv")', rhubarbwu_pinv, "nc1_zhu2021", None),
    (RHUBARBWU, 'covariance_ratio(metric="svd")', rhubarbwu_svd, "nc1_zhu2021", None),
    (RHUBARBWU, 'covariance_ratio(metric="quotient")', rhubarbwu_quotient, "nc1_tirer2023", None),
    (RHUBARBWU, "variability_cdnv", rhubarbwu_cdnv, "cdnv_galanti2022", None),
    (RHUBARBWU, "simplex_etf_error", rhubarbwu_etf, "nc2_etf_kothapalli2023", None),
    (RHUBARBWU, "self_duality_error", rhubarbwu_self_duality, "nc3_self_duality_zhu2021", None),
    (RHUBARBWU, "the same in layerwise_mnist.py", rhubarbwu_self_duality_swapped, "nc3_self_duality_zhu2021", None),
    (RHUBARBWU, "similarities(...).var()", rhubarbwu_uniform_duality, "unc3_wu2024", None),
    (RHUBARBWU, "kernel_stats(kernel=log_kernel)[0]", rhubarbwu_log_kernel, "gnc2_liu2023", lambda x: x + ENERGY),
    (RHUBARBWU, "clf_ncc_agreement", rhubarbwu_agreement, "ncc_mismatch", lambda x: 1 - x),
    (TDING1, "collapse_metric", tding1_collapse, "nc1_zhu2021", None),
    (TDING1, "ETF_metric", tding1_etf, "nc2_etf_classifier_zhu2021", None),
    (TDING1, "WH_relation_metric", tding1_self_duality, "nc3_self_duality_zhu2021", None),
    (HAN, "Sw_invSb", neuralcollapse_nc1, "nc1", lambda x: 4 * x),
    (HAN, "norm_M_CoV", neuralcollapse_equinorm, "equinorm", None),
    (HAN, "cos_M", neuralcollapse_angle, "max_angle", None),
    (HAN, "W_M_dist", neuralcollapse_self_duality, "self_duality", None),
    (HE, "get_variation", hornhehhf_variation, "separation_fuzziness_he2023", None),
    (HE, "get_variation_imbalance", hornhehhf_variation_imbalance, "separation_fuzziness_he2023", None),
    (GALANTI, "avg_cdnv", galanti_cdnv, "cdnv_galanti2022", None),
    (FELIXSH, "nc1_strong", tding1_collapse, "nc1_zhu2021", None),
    (FELIXSH, "nc1_cdnv", felixsh_cdnv, "cdnv_galanti2022", None),
    (FELIXSH, "nc3_self_duality", felixsh_self_duality, "self_duality", None),
    (FELIXSH, 'unc3_uniform_duality(reduction="cov")', felixsh_uniform_duality, "unc3_wu2024", None),
)


def table():
    """Code, its name, our name, and for balanced and unbalanced classes its number and ours."""
    problems = {name: draw(sizes) for name, sizes in SIZES.items()}
    known = {name: ours(*problem) for name, problem in problems.items()}
    rows = []
    for code, name, formula, own, change in COMPARED:
        pairs = []
        for kind, problem in problems.items():
            value = known[kind][own]
            pairs.append((float(formula(*problem)), float(value if change is None else change(value))))
        rows.append((code, name, own, pairs))
    return rows


def as_markdown(row):
    code, name, own, pairs = row
    numbers = " | ".join(f"{theirs:.6f} | {value:.6f}" for theirs, value in pairs)
    return f"| {code} | `{name}` | `{own}` | {numbers} |"


if __name__ == "__main__":
    print(*map(as_markdown, table()), sep="\n")
