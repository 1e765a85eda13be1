"""`watch` finds the classifier of networks of the libraries, sees what it sees, and leaves no trace."""

import pytest
import torch
import torchvision
from torch import nn

from central_path.torch import watch
from central_path.torch.watching import find_head, unwrapped

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def hooks(model):
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


def checked(model, inputs, head, outputs_of=lambda found: found):
    """What the tap saw is what the classifier makes the model's outputs of."""
    model.eval()
    before = hooks(model)
    with torch.no_grad(), watch(model) as tap:
        outputs = outputs_of(model(**inputs) if isinstance(inputs, dict) else model(inputs))
        features = tap.features
    assert tap.head is head
    torch.testing.assert_close(torch.nn.functional.linear(features, tap.weight, tap.bias), outputs)
    assert hooks(model) == before
    return tap


TORCHVISION = {
    "resnet18": lambda model: model.fc,
    "mobilenet_v3_small": lambda model: model.classifier[3],
    "shufflenet_v2_x0_5": lambda model: model.fc,
    "densenet121": lambda model: model.classifier,
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision(name):
    model = torchvision.models.get_model(name, num_classes=7)
    checked(model, IMAGES, TORCHVISION[name](model))


def test_the_last_of_several_linear_layers_of_a_named_classifier_counts():
    with torch.device("meta"):  # without the memory of its 57 million parameters
        model = torchvision.models.AlexNet(num_classes=7)
    assert find_head(model) is model.classifier[6]
    assert find_head(torchvision.models.VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=7)).out_features == 7


class Small(nn.Module):
    """A network whose classifier has a name of its own, and no bias."""

    def __init__(self, width=6, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, width), nn.ReLU())
        self.decide = nn.Linear(width, classes, bias=False)

    def forward(self, x):
        return self.decide(self.body(x))


def test_the_one_linear_layer_with_as_many_outputs_as_the_last_counts_and_layers_are_seen():
    model = Small()
    with watch(model, layers=["body", "body.0"]) as tap:
        x = torch.randn(4, 5)
        model(x).sum().backward()
        assert not tap.features.requires_grad
        torch.testing.assert_close(tap.features, model.body(x).detach())
        assert torch.equal(tap.layers["body"], tap.features)
        assert torch.equal(tap.layers["body.0"].relu(), tap.features)
        assert tap.bias is None
    assert hooks(model) == 0


def test_hooks_are_gone_after_an_error():
    model = Small()

    def fail():
        with watch(model):
            raise RuntimeError("in the block")

    with pytest.raises(RuntimeError, match="in the block"):
        fail()
    assert hooks(model) == 0


def test_wrappers_are_looked_through_and_autocast_is_noted():
    model = Small()
    assert unwrapped(nn.DataParallel(torch.compile(model))) is model
    with watch(nn.DataParallel(model)) as tap, torch.autocast("cpu", torch.bfloat16):
        model(torch.randn(4, 5))
        assert tap.features.dtype == torch.bfloat16
        assert tap.precision == "bfloat16"
    with watch(model.double()) as tap:
        model(torch.randn(4, 5).double())
        assert tap.precision == "float64"


class Twice(Small):
    """Its classifier is used twice."""

    def forward(self, x):
        return super().forward(x) + super().forward(-x)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: watch(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))),
            "Need one linear layer with 4 outputs, got 2 (0, 1)",
        ),
        (lambda: watch(nn.Conv2d(3, 4, 1)), "Need a network with a linear layer, got Conv2d without one"),
        (lambda: watch(Small(), num_classes=5), "Need a linear layer with num_classes = 5 outputs, got body.0 with 6"),
        (lambda: watch(Small(), head="decid"), "got 'decid': did you mean decide"),
        (lambda: watch(Small(), layers=["bodi"]), "got 'bodi': did you mean body"),
        (lambda: watch(Small(), head="body"), "Need a linear layer as the classifier, got Sequential"),
        (
            lambda: watch(torchvision.models.SqueezeNet(num_classes=3)),
            "Need a linear classifier, got Sequential for classifier",
        ),
        (lambda: watch(Small()).features, "Need one use of the classifier in a forward pass, got 0: call the model"),
    ],
)
def test_what_is_not_clear_is_one_sentence(make, sentence):
    with pytest.raises(ValueError, match="Need") as refused:
        make()
    assert sentence in str(refused.value)


def test_a_classifier_that_is_used_twice_is_not_guessed():
    model = Twice()
    with watch(model) as tap:
        model(torch.randn(2, 5))
        with pytest.raises(ValueError, match="got 2: the network uses it more than once"):
            _ = tap.features


def test_networks_of_timm():
    timm = pytest.importorskip("timm", reason="timm is optional: pip install timm")
    for name in ("resnet18", "vit_tiny_patch16_224"):
        size = {"img_size": 32} if name.startswith("vit") else {}
        model = timm.create_model(name, num_classes=7, **size)
        checked(model, IMAGES, model.get_classifier())
    with pytest.raises(ValueError, match="Need one classifier, got 2 from get_classifier"):
        watch(timm.create_model("deit_tiny_distilled_patch16_224", num_classes=7))


def test_networks_of_hugging_face():
    transformers = pytest.importorskip("transformers", reason="transformers is optional: pip install transformers")
    tokens = torch.arange(10).reshape(2, 5)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    bert = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=50, num_labels=3, **small))
    checked(bert, {"input_ids": tokens}, bert.classifier, lambda found: found.logits)
    roberta = transformers.RobertaForSequenceClassification(
        transformers.RobertaConfig(vocab_size=50, num_labels=3, **small)
    )
    checked(roberta, {"input_ids": tokens + 2}, roberta.classifier.out_proj, lambda found: found.logits)
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=50, **small))
    tap = checked(llama, {"input_ids": tokens}, llama.lm_head, lambda found: found.logits)
    assert tap.features.shape == (2, 5, 16)
    assert tap.bias is None
