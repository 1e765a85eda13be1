"""Every unusable argument, file or array: one line, exit code 2, nothing written."""

import numpy as np
import pytest
from refusal import refused

from central_path import simulate

FAULTS = {
    "--C 1 --N 50": "at least 2 classes",
    "--C 10 --N 1": "at least 2 examples",
    "--C 4 --N 5 --P 64": "P <= C(N-1) = 16",
    "--C 5 --N 5 --P 3": "P >= C - 1 = 4",
    "--C x --N 5": "got x",
    "--N 5": "need --C and --N",
    "--C 4 --N 5 --flow gradient": "invalid choice",
    "--C 4 --N 5 --level none": "invalid choice",
    "--C 4 --N 5 --rtol 0": "--rtol",
    "--C 4 --N 5 --atol nan": "--atol",
    "--C 4 --N 5 --t-max -1": "--t-max",
    "--C 4 --N 5 --saves 1": "--saves",
    "--C 4 --N 5 --tolerance inf": "--tolerance",
    "--C 4 --N 5 --seed -1": "--seed",
    "--C 4 --N 5 --qui": "unrecognized",
    "--C 4 --N 5 --balance": "only with --features",
    "--C 4 --N 5 --restrict-rank": "only with --features",
    "--features good.npz --P 3": "leave them out",
    "--features missing.npz": "does not exist",
    "--features .": "is a folder",
    "--features text.npz": "no zip archive",
    "--features no_labels.npz": "labels missing",
    "--features nan.npz": "1 NaN or infinite",
    "--features mismatch.npz": "20 rows and 19 labels",
    "--features one_class.npz": "at least 2 classes, got 1",
    "--features single.npz": "got 1 in class 5",
    "--features flat.npz": "shape (20,)",
    "--features float_labels.npz": "integers or strings",
    "--features coincide.npz": "1 of 1 singular values omega at zero",
    "--features collapsed.npz --restrict-rank": "every omega is infinite",
    "--C 4 --N 5 --output good.npz": "is not a folder",
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("faulty"), np.random.default_rng(0)
    X, y = rng.standard_normal((20, 4)), np.repeat([0, 1], 10)
    poisoned, constant = X.copy(), X.copy()
    poisoned[3, 2], constant[:, 1] = np.nan, 3.0
    arrays = {
        "good": (X, y),
        "nan": (poisoned, y),
        "mismatch": (X, y[:-1]),
        "one_class": (X, 0 * y),
        "single": (X, np.where(np.arange(20) == 0, 5, y)),
        "unbalanced": (X, np.where(np.arange(20) == 0, 1, y)),
        "flat": (X[:, 0], y),
        "float_labels": (X, y + 0.5),
        "constant": (constant, y),
        "coincide": (np.concatenate([X[:10], X[:10]]), y),
        "collapsed": (np.eye(2)[y], y),
    }
    for name, (features, labels) in arrays.items():
        np.savez(folder / f"{name}.npz", features=features, labels=labels)
    np.savez(folder / "no_labels.npz", features=X)
    (folder / "text.npz").write_text("features")
    return folder


@pytest.mark.parametrize("arguments", FAULTS)
def test_unusable_input_ends_in_one_line_and_exit_code_2(arguments, faulty, capsys, monkeypatch):
    monkeypatch.chdir(faulty)
    before = {path.name: path.stat().st_size for path in faulty.rglob("*")}
    assert FAULTS[arguments] in refused(capsys, simulate.main, arguments.split())
    assert {path.name: path.stat().st_size for path in faulty.rglob("*")} == before
