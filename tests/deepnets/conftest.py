"""Both kinds of device; without torch the folder is skipped."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install central-path[deepnets]")


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest):
    """The CPU, and a CUDA device where there is one."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)
