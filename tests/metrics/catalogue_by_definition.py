"""The metrics of the catalogue from the examples, by loops over classes and pairs; NaN where they do not exist."""

from itertools import combinations, product

import numpy as np
from scipy.stats import entropy

ZERO = 1e-9


def norm(values):
    return np.sqrt(sum(float(value) ** 2 for value in np.ravel(values)))


def distance_from_simplex(rows, columns):
    """Of the table of inner products, at norm 1, from that of a Simplex ETF."""
    C = len(rows)
    G = {(c, d): sum(a * b for a, b in zip(rows[c], columns[d], strict=True)) for c, d in product(range(C), repeat=2)}
    size = norm(list(G.values()))
    if size < ZERO:
        return np.nan
    etf = {pair: ((pair[0] == pair[1]) - 1 / C) / np.sqrt(C - 1) for pair in G}
    return norm([G[pair] / size - etf[pair] for pair in G])


def nc1_zhu(h, y, means, m):
    C = len(m)
    if max(map(norm, m)) < ZERO:
        return np.nan
    Sigma_B = sum(np.outer(v, v) for v in m) / C
    Sigma_W = sum(np.outer(h[i] - means[y[i]], h[i] - means[y[i]]) for i in range(len(y))) / len(y)
    return np.trace(Sigma_W @ np.linalg.pinv(Sigma_B, rtol=1e-11, hermitian=True)) / C


def cdnv(means, variances):
    pairs = list(combinations(range(len(means)), 2))
    if any(norm(means[c] - means[d]) < ZERO for c, d in pairs):
        return np.nan
    return np.mean([(variances[c] + variances[d]) / 2 / norm(means[c] - means[d]) ** 2 for c, d in pairs])


def gnc2(m):
    C = len(m)
    if min(map(norm, m)) < ZERO:
        return np.nan
    units = [v / norm(v) for v in m]
    apart = [norm(u - v) for u, v in combinations(units, 2)]
    return np.nan if min(apart) < 1e-7 else -np.mean(np.log(apart)) + np.log(np.sqrt(2 * C / (C - 1)))


def of_cosines(W, m):
    """NC3 and UNC3 of Wu & Papyan."""
    if min(map(norm, [*W, *m])) < ZERO:
        return np.nan, np.nan
    cosines = [w @ v / (norm(w) * norm(v)) for w, v in zip(W, m, strict=True)]
    mean = sum(cosines) / len(cosines)
    spread = np.sqrt(sum((c - mean) ** 2 for c in cosines) / len(cosines))
    return 1 - mean, spread / abs(mean) if abs(mean) > ZERO else np.nan


def catalogue(h, y, W):
    """All of them, by name, of rows h (n, P) with labels 0..C-1, all of which occur, and W (C, P)."""
    n, C = len(y), max(y) + 1
    classes = [[h[i] for i in range(n) if y[i] == c] for c in range(C)]
    means = [sum(rows) / len(rows) for rows in classes]
    mu_G = sum(h) / n
    m = [mean - mu_G for mean in means]
    squares = [[norm(row - mean) ** 2 for row in rows] for rows, mean in zip(classes, means, strict=True)]
    between = sum(len(rows) * norm(v) ** 2 for rows, v in zip(classes, m, strict=True))
    coincide = max(map(norm, m)) < ZERO
    nc3, unc3 = of_cosines(W, m)
    return {
        "nc0_zhao2026": norm([sum(W[c][p] for c in range(C)) for p in range(h.shape[1])]),
        "nc1_zhu2021": nc1_zhu(h, y, means, m),
        "nc1_tirer2023": np.nan if coincide else sum(map(sum, squares)) / between,
        "cdnv_galanti2022": cdnv(means, [np.mean(one) for one in squares]),
        "nc2_etf_classifier_zhu2021": distance_from_simplex(W, W),
        "nc2_etf_kothapalli2023": np.nan if coincide else distance_from_simplex(m, m),
        "nc3_self_duality_zhu2021": np.nan if coincide else distance_from_simplex(W, m),
        "nc3_self_duality_wu2024": nc3,
        "unc3_wu2024": unc3,
        "gnc2_liu2023": gnc2(m),
        "effective_rank_means_roy2007": (
            np.nan if coincide else np.exp(entropy(np.linalg.svd(np.array(m), compute_uv=False)))
        ),
    }
