"""How long embedding will take, from a timed batch."""

import time

from imprint_bench.data.dataset import ImageDataset
from imprint_bench.data.embeddings.material import Material
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.networks.computing import resolved


def seconds_per_image(material: Material, settings: EmbedSettings) -> float:
    """Return the seconds that one image takes one worker: reading, preparing, network.

    Embeds the first test images, as many as make a batch, after one to warm up.

    Parameters
    ----------
    material : Material
        Images and a foundation model; ready-made embeddings take no time.
    settings : EmbedSettings
    """
    if not isinstance(material.data, ImageDataset):
        return 0.0
    fm, data = material.fm, material.data
    device = resolved(settings.device) if fm.on_torch else "cpu"
    computing = settings.computing(device)
    fm.embed(data.images("test", 0, 1), computing)
    began = time.perf_counter()
    images = data.images("test", 0, min(settings.batch_size, data.size("test")))
    fm.embed(images, computing)
    return (time.perf_counter() - began) / len(images)
