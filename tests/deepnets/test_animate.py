"""The animation: what is drawn are the features of the records, and the flow integrated by other means; refusals."""

import json

import animate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from PIL import Image
from refusal import refused

from central_path import flows
from central_path.metrics import samples
from deepnet_runs.storage import records

N = 30


def drawn_classes(seed=0):
    H = samples.random_features(3, N, 7, seed=seed)
    return H.reshape(7, 3 * N).T, np.repeat(np.array([2, 5, 9]), N)


def by_procrustes(features, labels):
    """Means (2, 3) and points (2, 3, N) by other ways: a Cholesky factor, a basis by QR, SciPy's best rotation."""
    X = np.stack([features[labels == c].astype(float) for c in np.unique(labels)])  # (3, N, P)
    M = X.mean(axis=1)
    E = X - M[:, None]
    L = np.linalg.cholesky(np.einsum("cip,ciq->pq", E, E) / (E.size // E.shape[2]))  # Sigma_W = L L^T; any root will do
    X = np.linalg.solve(L, (X - M.mean(axis=0))[..., None])[..., 0]
    M = X.mean(axis=1)
    seen = X @ np.linalg.qr(M[:2].T)[0]
    rotation, _ = scipy.linalg.orthogonal_procrustes(seen.mean(axis=1), animate.TRIANGLE.T)
    seen = np.moveaxis(seen @ rotation, 2, 0)
    size = np.sqrt(2) / np.linalg.norm(seen.mean(axis=2))
    return size * seen.mean(axis=2), size * seen


def test_means_and_features_lie_where_whitening_and_the_best_rotation_put_them(seed):
    features, labels = drawn_classes(seed)
    found = animate.project(features, labels)
    means, points = by_procrustes(features, labels)
    np.testing.assert_allclose(found.means, means, atol=1e-9)
    np.testing.assert_allclose(found.points, points, atol=1e-9)
    other = animate.project(features, np.roll(labels, 1))  # planted: three labels are wrong
    assert np.abs(other.means - means).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(found.means), np.linalg.norm(animate.TRIANGLE))


def test_a_simplex_etf_lies_on_the_triangle_and_nothing_else_does():
    found = animate.project(*drawn_classes())
    np.testing.assert_allclose(found.at(np.array([4.0, 4.0])).means, animate.TRIANGLE, atol=1e-12)
    assert np.abs(found.at(np.array([4.1, 4.0])).means - animate.TRIANGLE).max() > 1e-3
    corners = animate.TRIANGLE.T
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, sides[0])
    np.testing.assert_allclose(animate.TRIANGLE @ animate.TRIANGLE.T, np.eye(2), atol=1e-15)


@pytest.mark.parametrize("flow", animate.FLOWS)
def test_the_flow_on_the_left_is_the_one_that_autodiff_and_runge_kutta_integrate_from_all_features(flow):
    features, labels = drawn_classes()
    begin = animate.project(features, labels)
    t, steps = 400.0, 100
    X = jnp.asarray(begin_features(features, labels))
    field = jax.jit(flows.FLOWS[flow].features_field)
    h = t / steps
    for _ in range(steps):
        a = field(X)
        b = field(X + h / 2 * a)
        c = field(X + h / 2 * b)
        X = X + h / 6 * (a + 2 * b + 2 * c + field(X + h * c))
    ended = np.moveaxis(np.asarray(X), 0, 2).reshape(3 * N, -1)
    integrated = animate.project(ended, labels)
    closed = begin.at(np.asarray(flows.FLOWS[flow].law(3, N).omega(t, begin.omega)))
    np.testing.assert_allclose(closed.points, integrated.points, atol=1e-6)
    assert np.abs(closed.omega / begin.omega - 1).max() > 0.02  # it has moved
    another = next(name for name in animate.FLOWS if name != flow)
    other = begin.at(np.asarray(flows.FLOWS[another].law(3, N).omega(t, begin.omega)))  # planted: the other flow's law
    assert np.abs(other.points - integrated.points).max() > 1e-4


def begin_features(features, labels):
    """The renormalized start (P, C, N)."""
    given = samples.check_samples(features, labels)
    H, _ = samples.stack(given)
    from central_path.simulation.starts import renormalize

    return renormalize(H, eps=given.eps).X


def test_every_frame_shows_the_saved_features_of_its_epoch(run, tmp_path, capsys, monkeypatch):
    folder, _ = run
    painted = []
    paint = animate.paint

    def watched(axis, plane, title, moment, names):
        paint(axis, plane, title, moment, names)
        clouds = [np.array(line.get_data()) for line in axis.lines if line.get_markeredgewidth() == 0]
        painted.append((moment, np.stack(clouds, axis=1), axis.texts[0].get_text()))

    monkeypatch.setattr(animate, "paint", watched)
    out = tmp_path / "new" / "a.gif"
    assert animate.main([str(folder), "--classes", "8", "3", "5", "--output", str(out)]) == 0
    assert capsys.readouterr().out.startswith("3 frames, epochs 1 to 3")
    assert [path.name for path in out.parent.iterdir()] == ["a.gif"]
    with Image.open(out) as movie:
        assert (movie.n_frames, movie.width) == (3, animate.WIDTH)
    theory, network = painted[::2], painted[1::2]
    assert [moment for moment, _, _ in network] == ["epoch 1", "epoch 2", "epoch 3"]
    assert theory[0][0] == "t = 0"
    for epoch, (_, drawn, text) in enumerate(network, 1):
        with np.load(folder / "features" / f"epoch_{epoch:04d}.npz") as saved:
            kept = np.isin(saved["labels"], [3, 5, 8])
            features, labels = saved["features"][kept], saved["labels"][kept]
        _, points = by_procrustes(features, labels)
        np.testing.assert_allclose(drawn, points, atol=1e-5)  # float32 features
        assert text.startswith(f"epoch {epoch}\nNC1 = ")
    assert np.abs(network[0][1] - theory[0][1]).max() < 1e-12
    assert np.abs(network[0][1] - network[1][1]).max() > 1e-2  # planted: another epoch in its place would be seen


def test_few_frames_are_spread_evenly_with_both_ends(tmp_path):
    (tmp_path / "features").mkdir()
    for epoch in range(1, 44):
        (tmp_path / "features" / f"epoch_{epoch:04d}.npz").touch()
    assert [epoch for epoch, _ in animate.saved_epochs(tmp_path, 4)] == [1, 15, 29, 43]
    assert len(animate.saved_epochs(tmp_path, 60)) == 43


def planted_run(folder, features, labels, epochs=2):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"network": "resnet8", "dataset": "digits", "loss": "mse"}))
    (folder / "measurements.jsonl").write_text(json.dumps({"epoch": 1, "train_error": 0.5}) + "\n")
    for epoch in range(1, epochs + 1):
        records.write_features(folder, epoch, features, labels)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["run", "--classes", "2", "5", "7"], "Need classes among 2, 5, 9, got 7: give three of them to --classes"),
        (["run", "--classes", "2", "5", "5"], "need three different classes, got --classes 2 5 5"),
        (["run", "--output", "a.png"], "need a file name that ends in .gif, got --output a.png"),
        (
            ["one"],
            "Need a run with the features of two epochs or more, got 1 in one/features: train with --save-features",
        ),
        (["missing"], "Need a run of deepnet_runs.train, got missing"),
        (["lost"], "Need class means in the range of Sigma_W"),
        (["damaged"], "Need an .npz archive of plain arrays, got damaged/features/epoch_0002.npz"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, arguments, match):
    monkeypatch.chdir(tmp_path)
    features, labels = drawn_classes()
    planted_run(tmp_path / "run", features, labels)
    planted_run(tmp_path / "one", features, labels, epochs=1)
    planted_run(tmp_path / "lost", np.concatenate([features, (labels == 5)[:, None]], axis=1), labels)
    planted_run(tmp_path / "damaged", features, labels)
    (tmp_path / "damaged" / "features" / "epoch_0002.npz").write_bytes(b"PK")
    before = sorted(tmp_path.rglob("*"))
    options = [] if "--output" in arguments else ["--output", "out/a.gif"]
    options += [] if "--classes" in arguments else ["--classes", "2", "5", "9"]
    assert match in refused(capsys, animate.main, [*arguments, *options])
    assert sorted(tmp_path.rglob("*")) == before


def test_unbalanced_classes_are_subsampled_to_the_smallest():
    features, labels = drawn_classes()
    assert animate.project(features[1:], labels[1:]).points.shape == (2, 3, N - 1)
