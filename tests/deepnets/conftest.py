"""Both kinds of device; without torch the folder is skipped."""

import urllib.error
import urllib.request
from importlib.util import find_spec
from typing import Any

import pytest


def pytest_pycollect_makemodule() -> None:
    """Skip before a test file imports torch where there is none."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install central-path[deepnets]", allow_module_level=True)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Any:
    """The CPU, and a CUDA device where there is one."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads only wait for each other."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


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
