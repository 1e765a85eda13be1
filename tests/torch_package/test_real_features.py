"""Features of networks of torchvision, timm and Hugging Face: one, two and four processes give what the whole gives."""

from importlib import import_module
from importlib.util import find_spec

import processes
import pytest
import torch

import central_path as cp
from central_path.torch import watch
from central_path.torch.quantities import NAMES

pytestmark = pytest.mark.slow
C, n = 3, 60
KINDS = ("torchvision", "timm", "transformers")


def network(kind):
    """A network with random weights, and its inputs."""
    library = import_module(kind)
    torch.manual_seed(0)
    images = torch.randn(n, 3, 32, 32) + (torch.arange(n) % C)[:, None, None, None]
    if kind == "torchvision":
        return library.models.resnet18(num_classes=C), images
    if kind == "timm":
        return library.create_model("vit_tiny_patch16_224", num_classes=C, img_size=32), images
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = library.BertConfig(vocab_size=50, num_labels=C, **small)
    return library.BertForSequenceClassification(config), torch.randint(50, (n, 5))


@torch.no_grad()
def features(kind, dtype):
    model, inputs = network(kind)
    with watch(model.to(dtype).eval()) as tap:
        model(inputs.to(dtype) if inputs.is_floating_point() else inputs)
        return tap.features, torch.arange(n) % C, tap.weight.detach(), tap.bias.detach()


@pytest.fixture(scope="module")
def cases():
    kinds = [kind for kind in KINDS if find_spec(kind)]
    return {(kind, str(dtype)): features(kind, dtype) for kind in kinds for dtype in (torch.float32, torch.bfloat16)}


@pytest.fixture(scope="module")
def found(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(cases, folder / "features.pt")
    return processes.of_four(folder, processes.shared)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shares_of_real_features_give_what_float64_gives_of_all(kind, dtype, cases, found):
    pytest.importorskip(kind, reason=f"{kind} is optional: pip install {kind}")
    h, y, W, b = cases[kind, str(dtype)]
    assert h.dtype == dtype
    expected = cp.measure(h.double().numpy(), y.numpy(), W=W.double().numpy(), b=b.double().numpy(), lam=0.01)
    for rank in range(4):
        for size in (size for size in processes.SIZES if rank < size):
            numbers = found[rank][size][kind, str(dtype)]
            for name in ("nc1", "equinorm", "equiangularity", "max_angle", "self_duality", "loss", "loss_ls_perp"):
                assert numbers[NAMES[name]] == pytest.approx(expected[name], rel=1e-10), (name, size)
