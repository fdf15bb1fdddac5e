"""Images that do not fit into memory: read, cropped and resized while the network trains."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import exp, log

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from imprint_bench.data.dataset import ImageDataset
from imprint_bench.data.networks.cropping import Cropped, as_tensor
from imprint_bench.errors import DataError
from imprint_bench.fixed.networks.network import Shape
from imprint_bench.params import PositiveInt
from imprint_bench.training.mixing import Mixture
from imprint_bench.training.training_data import order_of

AHEAD = 4  # batches that are read before they are asked for
TRIES = 10  # to find a window inside an image
ASPECT = 4 / 3  # widest window, as a ratio of its sides; 3/4 is the narrowest
RESIZED = 256 / 224  # shorter side, relative to the center that is tested


@dataclass(frozen=True, eq=False)
class StreamedData:
    """A split of a dataset whose images are read when their batch comes, by several threads.

    For training, a random window of each image is resized to `size` x `size`; for testing,
    the image is resized and its center taken. Grey is repeated to three channels. What is
    drawn depends on the seed and the row: not on the number of threads, nor on the batch.

    Attributes
    ----------
    dataset : ImageDataset
    split : str
    size : int
        Height and width of the images, in pixels.
    area : float
        Smallest window, as a share of the image's area.
    workers : int
        Threads that read.
    mixture : Mixture or None
        Of several sources in every batch; None shuffles all rows as one.

    References
    ----------
    C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6: windows of 8 to
    100 % of the area and a ratio of sides between 3/4 and 4/3.
    """

    dataset: ImageDataset
    split: str
    size: PositiveInt
    area: float = 0.08
    workers: PositiveInt = 4
    mixture: Mixture | None = None

    @property
    def where(self) -> str:
        """What it is, for messages."""
        return f"{self.dataset.where}, {self.split}"

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of the split, int64 of shape (n,)."""
        return self.dataset.labels(self.split)

    @property
    def shape(self) -> Shape:
        """Height, width and channels of what is trained on."""
        return self.size, self.size, 3

    @property
    def fingerprint(self) -> str:
        """What the content and the preparation are identified by."""
        mixed = "" if self.mixture is None else f" {self.mixture!r}"
        return f"{self.dataset.fingerprint} {self.split} {self.size} {self.area}{mixed}"

    def order(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the batches of an epoch; the last are left out if they fill none."""
        return order_of(len(self.labels), self.mixture, batch_size, rng)

    def batches(
        self, order: Sequence[np.ndarray] | np.ndarray, *, device: torch.device, draw: int | None
    ) -> Iterator[Tensor]:
        """Yield the images of each batch, read ahead by threads."""
        waiting: deque[list[Future[np.ndarray]]] = deque()
        left = iter(order)
        pool = ThreadPoolExecutor(self.workers)
        try:
            while True:
                while len(waiting) < AHEAD and (rows := next(left, None)) is not None:
                    waiting.append([pool.submit(self._read, int(row), draw) for row in rows])
                if not waiting:
                    return
                images = [future.result() for future in waiting.popleft()]
                stacked = np.stack(images) if images else np.empty((0, *self.shape), np.uint8)
                planes = as_tensor(stacked).permute(0, 3, 1, 2).contiguous()
                if device.type == "cuda":
                    planes = planes.pin_memory()
                yield planes.to(device, non_blocking=True)
        finally:  # also when whoever asks stops asking
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, row: int, draw: int | None) -> np.ndarray:
        """Return the prepared image of a row, uint8 of shape (size, size, 3)."""
        image = self.dataset.images(self.split, row, row + 1)[0]
        if draw is None:
            return Cropped(round(self.size * RESIZED), self.size, "bilinear")([image])[0]
        rng = np.random.default_rng([draw, row])
        top, left, height, width = window(image.shape[0], image.shape[1], self.area, rng)
        part = np.ascontiguousarray(image[top : top + height, left : left + width])
        part = np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part
        planes = as_tensor(part).permute(2, 0, 1)[None]
        resized = interpolate(planes, size=(self.size, self.size), mode="bilinear", antialias=True)
        return resized[0].permute(1, 2, 0).numpy()


def window(
    height: int, width: int, area: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw a window of an image: share of the area uniform, ratio of the sides log-uniform.

    Parameters
    ----------
    height, width : int
        Of the image, in pixels.
    area : float
        Smallest share of the image's area, in (0, 1].
    rng : numpy.random.Generator

    Returns
    -------
    top, left, height, width : int
        Inside the image; its largest center with a ratio of sides in [3/4, 4/3] where ten
        draws fit nowhere.
    """
    if not 0 < area <= 1:
        raise DataError(f"smallest window: {area} of the image; expected a share in (0, 1].")
    for _ in range(TRIES):
        pixels = height * width * rng.uniform(area, 1)
        ratio = exp(rng.uniform(-log(ASPECT), log(ASPECT)))
        w, h = round((pixels * ratio) ** 0.5), round((pixels / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    w, h = min(width, round(height * ASPECT)), min(height, round(width * ASPECT))
    return (height - h) // 2, (width - w) // 2, h, w
