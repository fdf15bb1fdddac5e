"""Progress bars."""

from typing import Any

from tqdm import tqdm


def progress_bar(**options: Any) -> tqdm:
    """Return a progress bar that is silent when nobody watches."""
    return tqdm(disable=None, dynamic_ncols=True, smoothing=0.1, leave=False, **options)
