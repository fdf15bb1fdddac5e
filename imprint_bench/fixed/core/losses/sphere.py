"""Rows divided by their length: themselves, their products, and how evenly they are spread."""

from math import log
from typing import Any

import torch
from torch import Tensor

LOW = (torch.float16, torch.bfloat16)


def unit_rows(rows: Tensor, *, length: float | Tensor = 1.0) -> Tensor:
    """Return every row divided by its length, and times another one, at least in float32.

    A row of zeros stays one, and has the gradient of a row of length 1, not an infinite one.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
    length : float or Tensor without dimensions
        Of the rows that are returned.
    """
    rows = full_precision(rows)
    lengths = _lengths(rows, keepdim=True)
    plain = isinstance(length, float) and length == 1.0
    return rows / (lengths if plain else lengths / length)


def unit_products(rows: Tensor, others: Tensor) -> Tensor:
    """Return the inner product of every row, divided by its length, with another one.

    For the row h = |h| z, the other one w and q = w'z the gradient is ``(w - q z) / |h|``.
    A row of zeros has the product 0 and the gradient w.

    Parameters
    ----------
    rows, others : Tensor of shape (n, d)
        The `others` are not divided by theirs.

    Returns
    -------
    products : Tensor of shape (n,)
        At least float32.
    """
    rows = full_precision(rows)
    return (rows * others).sum(1) / _lengths(rows)


def unit_squares(
    rows: Tensor, others: Tensor, weights: Tensor | None = None, *, factor: float = 1.0
) -> Tensor:
    """Return ``factor`` times the sum of ``(q - 1)^2``, with the products q of `unit_products`.

    The gradient is made together with the value. That is a dozen operations less than autograd
    takes for it, 3 % of a step of a small network; second derivatives are left to autograd.

    Parameters
    ----------
    rows, others : Tensor of shape (n, d)
        The `others` are not divided by their length.
    weights : Tensor of shape (n,) or None
        Of the squares; 1 without them. No gradient flows through them.
    factor : float

    Returns
    -------
    sum : Tensor without dimensions
        At least float32.
    """
    rows, others = full_precision(rows), full_precision(others)
    try:
        made: Tensor = _UnitSquares.apply(rows, others, weights, factor)
    except RuntimeError:  # torch.func has no such functions; what is wrong otherwise comes again
        squares = (unit_products(rows, others) - 1).square()
        made = factor * (squares if weights is None else squares * weights).sum()
    return made


def uniformity_of(vectors: Tensor, *, t: float = 2.0) -> Tensor:
    """Return the logarithm of the mean of ``exp(-t |u_i - u_j|^2)`` over pairs i < j.

    Parameters
    ----------
    vectors : Tensor of shape (c, d)
        c >= 2; u is a row divided by its length.
    t : float
        Inverse width of the Gaussian.

    References
    ----------
    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", ICML 2020; Saadabadi et al., "Hyperspherical Classification
    with Dynamic Label-to-Prototype Assignment", CVPR 2024, equation 5, over distinct pairs.
    """
    u = unit_rows(vectors)
    c = len(u)
    itself = torch.eye(c, dtype=torch.bool, device=u.device)
    exponents = (2 * t * (u @ u.T - 1)).masked_fill(itself, float("-inf"))
    return exponents.flatten().logsumexp(0) - log(c * (c - 1))


def full_precision(values: Tensor) -> Tensor:
    """Return half precision numbers as float32, others as they are."""
    return values.float() if values.dtype in LOW else values


def _lengths(rows: Tensor, *, keepdim: bool = False) -> Tensor:
    """Return the length of every row, 1 for a row of zeros."""
    return torch.threshold(torch.linalg.vector_norm(rows, dim=1, keepdim=keepdim), 0.0, 1.0)


class _UnitSquares(torch.autograd.Function):
    """The sum of weighted squares, and the gradients that were made with it."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, others: Tensor, weights: Tensor | None, factor: float
    ) -> Tensor:
        lengths = _lengths(rows, keepdim=True)
        z = rows / lengths
        q = (z * others).sum(1, keepdim=True)
        errors = q - 1
        slopes = factor * errors if weights is None else factor * errors * weights.unsqueeze(1)
        of_rows = of_others = None
        if ctx.needs_input_grad[0]:
            of_rows = torch.addcmul(others, z, q, value=-1).mul_(slopes / lengths)
        if ctx.needs_input_grad[1]:
            of_others = z * slopes
        ctx.save_for_backward(rows, others, weights, of_rows, of_others)
        ctx.factor = factor
        return errors.view(-1).dot(slopes.view(-1))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        rows, others, weights, of_rows, of_others = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():  # for a derivative of these, autograd has to see them made
            of_rows, of_others = _gradients(rows, others, weights, ctx.factor)
        twice = 2 * slope
        return (
            of_rows * twice if wanted[0] else None,
            of_others * twice if wanted[1] else None,
            None,
            None,
        )


def _gradients(
    rows: Tensor, others: Tensor, weights: Tensor | None, factor: float
) -> tuple[Tensor, Tensor]:
    """Return half the gradients of `unit_squares`, in operations that autograd can follow."""
    of_zeros = (rows == 0).all(1, keepdim=True)  # whose length has no second derivative
    lengths = torch.linalg.vector_norm(torch.where(of_zeros, 1, rows), dim=1, keepdim=True)
    lengths = torch.where(of_zeros, 1, lengths)
    z = rows / lengths
    q = (z * others).sum(1, keepdim=True)
    slopes = factor * (q - 1) if weights is None else factor * (q - 1) * weights.unsqueeze(1)
    return (others - q * z) * (slopes / lengths), z * slopes
