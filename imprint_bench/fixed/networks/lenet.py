"""LeNet++, the small convolutional network of feature plots."""

from torch import nn

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.networks.network import NETWORKS, Shape
from imprint_bench.params import PositiveInt

STAGES = 3


@NETWORKS.register("lenet_pp")
def lenet_pp(shape: Shape, d: int, *, width: PositiveInt = 32) -> nn.Module:
    """Return LeNet++: three stages of two 5 x 5 convolutions, and a linear layer to `d`.

    Every convolution is followed by PReLU, every stage ends with 2 x 2 max pooling.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the images; at least 8 x 8 pixels.
    d : int
        Length of the features; 2 or 3 can be drawn.
    width : int
        Channels of the first stage; the second has 2, the third 4 times as many.

    Raises
    ------
    ConfigError
        If the images are smaller than 8 x 8.

    References
    ----------
    Y. Wen et al., "A discriminative feature learning approach for deep face recognition",
    ECCV 2016, table 1.
    """
    height, wide = (side >> STAGES for side in shape[:2])
    if not height * wide:
        raise ConfigError(
            f"network.lenet_pp: images of {shape[0]} x {shape[1]} pixels are halved {STAGES} times "
            "until nothing is left; expected at least 8 x 8, or choose network: mlp."
        )
    layers: list[nn.Module] = []
    inputs = shape[2]
    for outputs in (width, 2 * width, 4 * width):
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 5, padding=2), nn.PReLU()]
        layers.append(nn.MaxPool2d(2))
        inputs = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * height * wide, d))
