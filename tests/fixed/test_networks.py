import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.utils.flop_counter import FlopCounterMode

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.networks import NETWORKS, build_network

CIFAR, MNIST = (32, 32, 3), (28, 28, 1)


def size(network):
    return sum(p.numel() for p in network.parameters())


def macs(network, shape):
    """Return multiplications of one image, counted by torch."""
    height, width, channels = shape
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, channels, height, width))
    return counter.get_total_flops() / 2


# Parameters and multiplications of one image, as the specification measured them (section 4).
RESNETS = [
    (CIFAR, 50, {}, 0.49e6, 71.2e6),
    ((64, 64, 3), 50, {}, 0.49e6, 285e6),
    (CIFAR, 128, {"width": 32}, 1.96e6, 284e6),
    (CIFAR, 10, {"depth": 8}, None, 14.6e6),
    (CIFAR, 10, {"depth": 14, "width": 8}, None, 7.3e6),
    (MNIST, 10, {"depth": 8, "width": 8}, None, 2.8e6),
]


@pytest.mark.parametrize(("shape", "d", "params", "parameters", "multiplications"), RESNETS)
def test_a_resnet_is_as_large_as_specified(shape, d, params, parameters, multiplications):
    network = build_network("resnet", shape, d, params=params)
    assert macs(network, shape) == pytest.approx(multiplications, rel=0.015)
    if parameters:
        assert size(network) == pytest.approx(parameters, rel=0.002)


def test_option_a_is_the_published_network_of_he_et_al():
    # ResNet-32 for CIFAR-10 has 464,154 parameters, of which 650 are its last layer's.
    network = build_network(
        "resnet", CIFAR, 64, params={"shortcut": "option_a", "projection": False}
    )
    assert size(network) == 464_154 - 650


def test_option_a_passes_every_second_pixel_on_between_channels_of_zeros():
    network = build_network("resnet", CIFAR, 64, params={"depth": 8, "shortcut": "option_a"})
    block = next(
        m for m in network.modules() if getattr(m, "conv1", None) and m.conv1.stride == (2, 2)
    )
    for norm in (block.norm2,):  # without the inner part, only the shortcut is left
        nn.init.zeros_(norm.weight)
    x = torch.rand(2, 16, 8, 8)
    out = block.eval()(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize("shortcut", ["conv", "option_a"])
def test_only_a_block_that_halves_the_image_has_a_shortcut_of_its_own(shortcut):
    params = {"depth": 14, "shortcut": shortcut}
    blocks = [
        m for m in build_network("resnet", CIFAR, 8, params=params).modules() if hasattr(m, "conv2")
    ]
    own = [not isinstance(block.shortcut, nn.Identity) for block in blocks]
    assert own == [False, False, True, False, True, False]


def test_features_without_projection_and_with_a_norm_have_mean_0_and_deviation_1_in_a_batch():
    params = {"depth": 8, "width": 8, "projection": False, "feature_norm": True}
    network = build_network("resnet", CIFAR, 32, params=params)
    features = network.train()(torch.rand(16, 3, 32, 32))
    assert features.shape == (16, 32)
    assert features.mean(0).abs().max() < 1e-5
    assert features.std(0, unbiased=False).sub(1).abs().median() < 1e-2


def test_the_perceptron_is_its_layers():
    network = build_network(
        "mlp", (4, 6, 1), 3, params={"hidden": [5], "batch_norm": False}, seed=1
    )
    x = torch.rand(7, 1, 4, 6)
    w1, b1, w2, b2 = network.parameters()
    expected = F.linear(F.linear(x.flatten(1), w1, b1).relu(), w2, b2)
    assert torch.equal(network(x), expected)


def test_the_perceptron_of_digit_pairs_has_batch_norm_before_every_relu():
    kinds = [type(m).__name__ for m in build_network("mlp", (8, 16, 1), 99)]
    hidden = ["Linear", "BatchNorm1d", "ReLU"]
    assert kinds == ["Flatten", *hidden, *hidden, "Linear"]


def test_lenet_pp_has_six_convolutions_and_one_linear_layer():
    network = build_network("lenet_pp", MNIST, 2)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    channels = [(m.in_channels, m.out_channels, m.kernel_size) for m in convolutions]
    assert channels == [
        (a, b, (5, 5)) for a, b in [(1, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    ]
    assert sum(isinstance(m, nn.PReLU) for m in network.modules()) == 6
    assert network(torch.rand(3, 1, 28, 28)).shape == (3, 2)
    assert network[-1].in_features == 128 * 3 * 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("model", ["resnet18", "squeezenet1_1", "googlenet"])
def test_a_network_of_torchvision_gives_one_feature_vector_per_image_and_learns(model, channels):
    network = build_network("torchvision", (32, 32, channels), 5, params={"model": model})
    features = network.train()(torch.rand(4, channels, 32, 32))
    assert features.shape == (4, 5)
    features.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("kind", sorted(set(NETWORKS) - {"torchvision"}))
def test_every_network_is_drawn_from_its_seed_and_from_nothing_else(kind):
    shape = (16, 16, 3)
    before = torch.random.get_rng_state()
    first = build_network(kind, shape, 6, seed=3).state_dict()
    torch.rand(1)
    torch.random.set_rng_state(before)
    second = build_network(kind, shape, 6, seed=3).state_dict()
    other = build_network(kind, shape, 6, seed=4).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", sorted(set(NETWORKS) - {"torchvision"}))
def test_every_network_takes_images_that_are_not_square_in_grey_and_color(kind):
    for channels in (1, 3):
        network = build_network(kind, (8, 16, channels), 6)
        assert network(torch.zeros(2, channels, 8, 16)).shape == (2, 6)


def test_convolutions_start_with_the_variance_of_he():
    first = build_network("resnet", CIFAR, 8, params={"depth": 8, "width": 64})[0].weight
    assert float(first.detach().std()) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.05)


BAD = [
    ("resnet", {"depth": 33}, "network.resnet.depth: 33; expected 6 n + 2"),
    ("resnet", {"depth": 2}, "network.resnet.depth: 2; expected 6 n + 2"),
    ("resnet", {"projection": False}, "the features have 4 * width = 64 values, not d = 5"),
    ("resnet", {"shortcut": "convolution"}, "expected one of conv, option_a"),
    ("resnett", {}, "Did you mean 'resnet'?"),
    ("mlp", {"hidden": [0]}, "network.mlp.hidden: expected a list of int of at least 1, got"),
    ("lenet_pp", {}, "images of 4 x 32 pixels are halved 3 times until nothing is left"),
    ("torchvision", {"model": "resnet81"}, "Did you mean 'resnet18'?"),
    ("torchvision", {"model": "inception_v3"}, "does not take images of 4 x 32 pixels"),
]


@pytest.mark.parametrize(("kind", "params", "sentence"), BAD)
def test_what_cannot_be_built_is_refused_in_one_sentence(kind, params, sentence):
    with pytest.raises(ConfigError) as caught:
        build_network(kind, (4, 32, 3), 5, params=params)
    assert sentence in str(caught.value)


def test_features_of_length_0_are_refused():
    with pytest.raises(ConfigError, match="features of length 0; expected at least 1"):
        build_network("mlp", MNIST, 0)
