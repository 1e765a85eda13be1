import errno
import json
import math

import numpy as np
import pytest

from central_path.cli import records


def write(folder, names=("a.npz", "b.png", "summary.json"), text="new", fail=False):
    with records.staging(folder, last="summary.json", stale=("old.png",)) as stage:
        for name in names:
            (stage / name).write_text(text)
        if fail:
            raise OSError(errno.ENOSPC, "No space left on device")


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_appear_together_and_stale_ones_go(tmp_path):
    (tmp_path / "old.png").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    write(tmp_path)
    assert contents(tmp_path) == {"a.npz": "new", "b.png": "new", "summary.json": "new", "mine.txt": "mine"}


def test_what_is_replaced_or_removed_of_an_earlier_run_is_said_in_one_line(tmp_path, capsys):
    write(tmp_path)
    assert capsys.readouterr().err == ""
    (tmp_path / "old.png").write_text("old")
    write(tmp_path, names=("b.png", "c.png", "summary.json"))
    expected = f"{tmp_path}: replaced b.png, summary.json and removed old.png of an earlier run\n"
    assert capsys.readouterr().err == expected
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, fail=True)
    assert capsys.readouterr().err == ""


def test_a_failure_leaves_an_earlier_run_as_it_was(tmp_path):
    write(tmp_path, text="old")
    before = contents(tmp_path)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, fail=True)
    assert contents(tmp_path) == before


def test_a_failure_leaves_no_folder_that_was_not_there(tmp_path):
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a" / "b", fail=True)
    assert not list(tmp_path.iterdir())


def test_json_has_null_where_a_number_does_not_exist(tmp_path):
    value = {"a": math.nan, "b": np.array([1.0, math.inf]), "c": np.float64(2), "d": [np.int32(3), None, "x"]}
    records.write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [1.0, None], "c": 2.0, "d": [3, None, "x"]}


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_truncated_archive_is_refused(tmp_path, at, save):
    path = tmp_path / "x.npz"
    save(path, features=np.arange(300.0).reshape(100, 3), labels=np.arange(100))
    assert records.read_samples(path)[0].shape == (100, 3)
    data = path.read_bytes()
    path.write_bytes(data[: int(at * len(data))])
    with pytest.raises(ValueError, match=r"Need an \.npz archive"):
        records.read_samples(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_archive_is_refused_or_read_right(tmp_path, seed):
    path, rng = tmp_path / "x.npz", np.random.default_rng(seed)
    features = rng.standard_normal((50, 3))
    np.savez_compressed(path, features=features, labels=np.arange(50))
    data = bytearray(path.read_bytes())
    start = int(rng.integers(len(data) - 8))
    data[start : start + 8] = rng.bytes(8)
    path.write_bytes(data)
    try:
        read, _ = records.read_samples(path)
    except ValueError:  # and no other error
        return
    np.testing.assert_array_equal(read, features)


def test_destinations_that_cannot_be_folders_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    records.check_destination(tmp_path / "new" / "deeper", ("a",))
    for bad in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ValueError, match="--output"):
            records.check_destination(bad, ("a",))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"a in .* to be a file, got a folder"):
        records.check_destination(tmp_path, ("a",))
