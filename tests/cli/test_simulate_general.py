"""The command on features that have no law, and at the level `moments`: two levels agree, or a law and one level."""

import json
from importlib.resources import files

import numpy as np
import pytest

from central_path import simulate
from central_path.cli import inputs

C = 3
CENTRES = np.random.default_rng(1).standard_normal((C, 4))


def save(path, sizes, *, change=lambda rows: rows):
    labels = np.repeat(np.arange(C), sizes)
    rows = CENTRES[labels] + np.random.default_rng(0).standard_normal((len(labels), 4))
    np.savez(path, features=change(rows), labels=labels)
    return str(path)


def run(tmp_path, *arguments):
    code = simulate.main([*arguments, "--saves", "20", "--no-plots", "--output", str(tmp_path / "out")])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    with np.load(tmp_path / "out" / "trajectory.npz") as archive:
        return code, summary, dict(archive)


def test_unbalanced_features_are_integrated_at_two_levels_that_agree(tmp_path, capsys):
    path = save(tmp_path / "unbalanced.npz", [4, 7, 15])
    code, summary, arrays = run(tmp_path, "--features", path, "--flow", "all", "--kernel", "0.4")
    assert code == 0
    assert (summary["N"], summary["class_sizes"], summary["P"]) == (None, [4, 7, 15], 4)
    assert "4 to 15 examples a class: no closed form" in capsys.readouterr().err
    for name, flow in summary["flows"].items():
        assert (flow["law"], flow["kernel"], flow["lam"], flow["compared_with"]) == (None, 0.4, 0.0, "features")
        assert flow["max_relative_error"] < 1e-7
        assert (flow["max_drift"] is not None) == (name == "unnormalized")
        apart = np.abs(arrays[f"{name}/omega"] / arrays[f"{name}/omega_features"] - 1)
        assert np.max(apart) <= flow["max_relative_error"]
        assert arrays[f"{name}/omega"].shape == (20, C - 1)


@pytest.mark.slow
def test_raw_features_of_a_network_of_any_class_sizes_agree_at_the_defaults(tmp_path):
    with np.load(str(files("central_path") / "data" / "digits_resnet8_epoch0040.npz")) as archive:
        labels = archive["labels"]
        kept = np.concatenate([np.flatnonzero(labels == c)[: 40 + 10 * c] for c in range(10)])
        np.savez(tmp_path / "raw.npz", features=archive["features"][kept], labels=labels[kept])
    code = simulate.main(["--features", str(tmp_path / "raw.npz"), "--no-plots", "--output", str(tmp_path / "out")])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (code, summary["N"]) == (0, None)
    for flow in summary["flows"].values():
        assert flow["compared_with"] == "features"
        assert flow["max_relative_error"] < 1e-8


def test_weight_decay_has_two_levels_that_agree_and_an_end(tmp_path, capsys):
    code, summary, arrays = run(tmp_path, "--C", "3", "--N", "6", "--lam", "0.01", "--flow", "unnormalized")
    assert code == 0
    assert "weight decay, lambda = 0.01" in capsys.readouterr().err
    assert summary["flows"]["unnormalized"]["lam"] == 0.01
    assert np.all(np.diff(arrays["unnormalized/loss"]) <= 1e-15)


def test_the_level_moments_is_compared_with_the_law_where_there_is_one(tmp_path, capsys):
    code, summary, arrays = run(tmp_path, "--C", "3", "--N", "6", "--level", "moments", "--flow", "all")
    assert code == 0
    assert not capsys.readouterr().err
    for name, flow in summary["flows"].items():
        assert flow["compared_with"] == "law"
        assert np.max(np.abs(arrays[f"{name}/omega"] / arrays[f"{name}/omega_law"] - 1)) < 1e-8


def test_where_features_have_no_room_their_moments_are_drawn_and_follow_the_law(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_FEATURES", 100)
    sizes = ("--C", "3", "--N", "6", "--P", "6", "--level", "moments")
    code, summary, arrays = run(tmp_path, *sizes, "--flow", "all", "--kernel", "0.4")
    assert code == 0
    assert "their moments are drawn instead" in capsys.readouterr().err
    assert (summary["start"], summary["P"], summary["N"], summary["class_sizes"]) == ("moments", 6, 6, [6, 6, 6])
    assert (arrays["means"].shape, arrays["root_within"].shape) == ((6, 3), (6, 6))
    for flow in summary["flows"].values():
        assert flow["compared_with"] == "law"
        assert flow["max_relative_error"] < 1e-8
    assert simulate.main([*sizes, "--lam", "0.1", "--output", str(tmp_path / "none")]) == 2
    assert "Need at most 100 entries of random features for lam > 0" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_directions_in_which_nothing_varies_are_left_out_unasked(tmp_path, capsys):
    path = save(tmp_path / "dead.npz", [9, 9, 9], change=lambda rows: np.hstack([rows, np.zeros((27, 2)), rows[:, :1]]))
    code, summary, _ = run(tmp_path, "--features", path, "--flow", "riemannian")
    assert (code, summary["P"], summary["P_input"], summary["signal_lost"] < 1e-12) == (0, 4, 7, True)
    assert "rank of Sigma_W: 4 of 7" in capsys.readouterr().err


def test_an_infinite_omega_is_reported_where_the_flow_exists_and_refused_where_it_does_not(tmp_path, capsys):
    def constant(rows):
        rows[:, 0] = np.repeat(CENTRES[:, 0], 9)
        return rows

    path = save(tmp_path / "constant.npz", [9, 9, 9], change=constant)
    code, summary, _ = run(tmp_path, "--features", path, "--flow", "unnormalized", "--lam", "0.01")
    assert code == 0
    assert summary["infinite_omega"] == 1
    assert 0 < summary["infinite_share"] < 1
    code = simulate.main(["--features", path, "--output", str(tmp_path / "none")])
    assert code == 2
    assert "--restrict-rank" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--C", "3", "--N", "5", "--lam", "-1"], "need a weight decay of at least 0, got -1"),
        (["--C", "3", "--N", "5", "--lam", "0.1", "--level", "means"], "no law holds for lam = 0.1"),
        (["--C", "3", "--N", "5", "--lam", "0.1", "--ensemble", "3"], "one start on one device"),
        (["--C", "3", "--N", "5", "--lam", "nan"], "need a weight decay of at least 0, got nan"),
        (["--C", "3", "--N", "5", "--lam", "0.1", "--level", "spectrum"], "no law holds for lam = 0.1"),
        (["--features", "x.npz", "--lam", "0.1", "--restrict-rank"], "leave out --restrict-rank"),
        (["--features", "x.npz", "--level", "moments", "--restrict-rank"], "leave out --restrict-rank"),
        (["--C", "3", "--N", "5", "--kernel", "-1"], "need a kernel from 0 to 1000"),
        (["--C", "3", "--N", "5", "--kernel", "nan"], "need a kernel from 0 to 1000"),
        (["--C", "3", "--N", "5", "--level", "moments", "--ensemble", "3"], "one start on one device"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        simulate.main([*options, "--output", str(tmp_path / "none")])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
