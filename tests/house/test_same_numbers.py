"""The numbers of fixed seeds stay what they were: `expected_outputs.json` holds those of an earlier version.

python tests/house/test_same_numbers.py      write the file anew, after a change that is meant to alter numbers
"""

import json
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

import central_path as cp
from central_path import simulate

EXPECTED = Path(__file__).with_name("expected_outputs.json")
C, N = 3, 6
RELATIVE = 1e-9  # between programs that round differently; the solver's own tolerance is 1e-10
FLOWS = ("riemannian", "renormalized", "unnormalized")


def runs() -> dict:
    """First and last omega, horizon and error of every flow at every level."""
    found = {}
    for level in ("features", "means", "spectrum"):
        for name in FLOWS:
            run = cp.trajectory(C=C, N=N, flow=name, level=level)
            ends = {"omega_first": run.omega[0], "omega_last": run.omega[-1], "t_max": run.t[-1], "error": run.error}
            ends |= {f"last_{key}": values[-1] for key, values in run.observables.items() if key.startswith("loss")}
            found[f"{name} at {level}"] = ends
    return found


def ensemble() -> dict:
    """Times to collapse and the last omega of five starts."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = ["--C", str(C), "--N", str(N), "--ensemble", "5", "--flow", "all", "--level", "means"]
        assert simulate.main([*sizes, "--quiet", "--no-plots", "--output", folder]) == 0
        with np.load(Path(folder) / "ensemble.npz") as arrays:
            found = {f"{name} omega_last": arrays[f"{name}/omega"][:, -1] for name in FLOWS}
            keys = [f"{name}/time_to_collapse" for name in ("riemannian", "renormalized")]
            return found | {key: arrays[key] for key in keys}


def measured() -> dict:
    """The metrics of fixed features, balanced and not."""
    rng = np.random.default_rng(0)
    found = {}
    for kind, labels in (
        ("balanced", np.repeat(np.arange(4), 9)),
        ("unbalanced", np.repeat(np.arange(4), [5, 9, 7, 12])),
    ):
        features = np.eye(6)[labels] + 0.3 * rng.standard_normal((len(labels), 6))
        W, b = rng.standard_normal((4, 6)), rng.standard_normal(4)
        values = cp.measure(features, labels, W=W, b=b, lam=5e-3).to_dict()
        found[kind] = {key: value for key, value in values.items() if isinstance(value, int | float | np.ndarray)}
    return found


def laws() -> dict:
    """omega(t) from 0.3 and 7.0, of the three flows and of another exponent."""
    ts, omega0 = np.array([0.0, 1.0, 1e3, 1e6]), np.array([[0.3], [7.0]])
    found = {}
    for law in (*FLOWS, 0.5, -1.5):
        found[str(law)] = cp.law(law, C=10, N=50).growth(ts, omega0)
    return found


OUTPUTS = {"runs": runs, "ensemble": ensemble, "measured": measured, "laws": laws}


def plain(value):
    """The same in JSON's terms."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return np.asarray(value).tolist()


def compare(found, expected, where=""):
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for key, value in expected.items():
            compare(found[key], value, f"{where}, {key}")
    elif where.endswith("error"):
        np.testing.assert_allclose(found, expected, rtol=0, atol=RELATIVE, err_msg=where)
    else:
        np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=1e-12, err_msg=where)


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_same_numbers_come_out(name):
    expected = json.loads(EXPECTED.read_text())[name]
    found = plain(OUTPUTS[name]())
    compare(found, expected, name)
    with pytest.raises(AssertionError):  # planted: numbers that differ in the eighth digit
        compare(jax.tree.map(lambda value: np.multiply(value, 1 + 1e-7), found), expected, name)


if __name__ == "__main__":
    cp.enable_x64()
    EXPECTED.write_text(json.dumps({name: plain(make()) for name, make in OUTPUTS.items()}, indent=1) + "\n")
