"""Residual networks for small images, with 6n + 2 layers."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.networks.network import NETWORKS, Shape
from imprint_bench.params import PositiveInt

Shortcut = Literal["conv", "option_a"]


@NETWORKS.register("resnet")
def resnet(
    shape: Shape,
    d: int,
    *,
    depth: PositiveInt = 32,
    width: PositiveInt = 16,
    shortcut: Shortcut = "conv",
    projection: bool = True,
    feature_norm: bool = False,
) -> nn.Module:
    """Return the residual network of 6n + 2 layers that is usual for CIFAR.

    Three stages of n blocks with `width`, 2 and 4 times `width` channels; the second and
    the third halve height and width. The mean over the pixels has 4 * width values.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the images.
    d : int
        Length of the features.
    depth : int
        Layers: 8, 14, 20, 32, 44, 56, 110, ...
    width : int
        Channels of the first stage.
    shortcut : str
        How a block that halves the image passes its input on: "conv" by a 3 x 3 convolution
        of stride 2 with batch normalization (networks of HPN and of DL2PA's balanced runs),
        "option_a" by every second pixel and channels of zeros (He et al.; the long-tail nets).
    projection : bool
        End with a linear layer from 4 * width to `d`. Without, `d` must be 4 * width.
    feature_norm : bool
        Normalize each feature over the batch at the end, as the long-tail runs do.

    Raises
    ------
    ConfigError
        If the depth is not 6n + 2, or the features cannot have length `d`.

    References
    ----------
    K. He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """
    at = "network.resnet"
    if depth < 8 or (depth - 2) % 6:
        raise ConfigError(f"{at}.depth: {depth}; expected 6 n + 2: 8, 14, 20, 26, 32, 44, 56, 110.")
    if not projection and d != 4 * width:
        raise ConfigError(
            f"{at}.projection: without it the features have 4 * width = {4 * width} values, not "
            f"d = {d}; choose projection: true, d: {4 * width}, or another width."
        )
    last: list[nn.Module] = [nn.Linear(4 * width, d)] if projection else []
    if feature_norm:
        last.append(nn.BatchNorm1d(d))
    widths = [width, 2 * width, 4 * width]
    network = nn.Sequential(
        nn.Conv2d(shape[2], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        *_stages(widths, (depth - 2) // 6, shortcut),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *last,
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


def _stages(widths: list[int], n: int, shortcut: Shortcut) -> list[nn.Module]:
    """Return three stages of `n` blocks; the first block of the later two halves the image."""
    stages: list[nn.Module] = []
    inputs = widths[0]
    for width in widths:
        blocks = [_Block(inputs, width, shortcut), *(_Block(width, width) for _ in range(n - 1))]
        stages.append(nn.Sequential(*blocks))
        inputs = width
    return stages


class _Block(nn.Module):
    """Two 3 x 3 convolutions whose output is added to the input."""

    def __init__(self, inputs: int, outputs: int, shortcut: Shortcut = "conv") -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2 and shortcut == "option_a":
            self.shortcut = _EverySecondPixel(outputs - inputs)
        elif stride == 2:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, outputs, h', w')."""
        inner = F.relu(self.norm1(self.conv1(x)), inplace=True)
        inner = self.norm2(self.conv2(inner))
        return F.relu(inner + self.shortcut(x), inplace=True)


class _EverySecondPixel(nn.Module):
    """Every second row and column, between channels of zeros: no weights."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.before, self.after = extra // 2, extra - extra // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, before + c + after, ceil(h / 2), ceil(w / 2))."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))
