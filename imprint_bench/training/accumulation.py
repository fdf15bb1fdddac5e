"""Gradients of a batch in parts: what the loss of a part counts, if parts add up at all."""

from math import isfinite

import torch
from torch import Tensor

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.core.losses import Loss, Scorer

TOLERANCE = 1e-3  # of a loss, relative


@torch.no_grad()
def weight_of_a_part(
    loss: Loss,
    head: Scorer,
    features: Tensor,
    labels: Tensor,
    *,
    parts: int,
    at: str = "recipe.accumulate",
    called: str = "a loss",
) -> float | None:
    """Return the factor of a part's loss: 1 if the loss is a sum over images, else 1 / `parts`.

    Whether it is, shows when the images are divided by their classes, unevenly: the losses of a
    sum add up, those of a mean do so weighted with the numbers of images. A loss that weighs an
    image by the other images of its batch does neither.

    Parameters
    ----------
    loss : callable
        ``(head, features, labels) -> loss``.
    head : Scorer
    features : Tensor of shape (n, d)
    labels : int64 Tensor of shape (n,)
    parts : int
        Of a batch.
    at : str
        The place in the configuration, with which messages start.
    called : str
        The loss, in messages.

    Returns
    -------
    weight : float or None
        None where the loss is 0, which tells nothing, or not finite.

    Raises
    ------
    ConfigError
        If the losses of parts do not add up to that of the batch.
    """
    x, y = torch.cat([features, features[:1]]), torch.cat([labels, labels[:1]])
    first = y == y[0]
    if first.all():
        first = torch.arange(len(y), device=y.device) == 0
    whole = float(loss(head, x, y))
    one, other = (float(loss(head, x[rows], y[rows])) for rows in (first, ~first))
    n_one = int(first.sum())
    mean = (n_one * one + (len(y) - n_one) * other) / len(y)
    if whole == 0 or not all(map(isfinite, (whole, one, other))):
        return None
    for weight, expected in ((1.0, one + other), (1 / parts, mean)):
        if abs(expected - whole) <= TOLERANCE * abs(whole):
            return weight
    raise ConfigError(
        f"{at}: {parts} parts do not add up to a batch, as {called} of {whole:.4g} is {one:.4g} "
        f"and {other:.4g} for two parts; expected a sum or a mean over images, which do not weigh "
        "each other, or accumulate: 1."
    )
