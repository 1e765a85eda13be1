"""For folders whose tests need torch: without it they are skipped; both kinds of device, and one thread."""

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
