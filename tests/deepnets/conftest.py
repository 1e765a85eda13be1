"""Both kinds of device; without torch the folder is skipped."""

import urllib.error
import urllib.request
from typing import Any

import pytest
from torch_fixtures import device as device
from torch_fixtures import one_thread as one_thread
from torch_fixtures import pytest_pycollect_makemodule as pytest_pycollect_makemodule


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of three epochs with its features: folder and rows."""
    from short_runs import short

    folder = tmp_path_factory.mktemp("run")
    code, rows = short(folder, "--save-features", "--seed", "3", epochs=3)
    assert code == 0
    return folder, rows


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
