"""Images of a listing of files, in color: what datasets of photo files have in common."""

import numpy as np

from imprint_bench.data.dataset import Images, Shape
from imprint_bench.data.reading.decoding import decoded_all, shape_of_first
from imprint_bench.data.reading.image_files import Listing


def images_of(found: Listing, start: int, stop: int, *, shape: Shape) -> Images:
    """Read and decode rows `start` to `stop` (excluded), in as many channels as `shape` has.

    Returns
    -------
    images : uint8 ndarray of shape (n, h, w, c), or list of ndarrays (h_i, w_i, c)

    Raises
    ------
    ImageError
        If a file cannot be read.
    """
    rows = range(start, min(stop, len(found.names)))
    images = decoded_all(
        map(found.read, rows), channels=shape[2], at=lambda i: _place(found, rows[i])
    )
    return images if len(images) else np.empty((0, *shape), dtype=np.uint8)


def shape_of_listing(found: Listing) -> Shape:
    """Return the shape of the first image that can be read, in color."""
    blobs = ((found.read(row), _place(found, row)) for row in range(len(found.names)))
    return shape_of_first(blobs, channels=3)


def _place(found: Listing, row: int) -> str:
    return str(found.path(row).absolute())
