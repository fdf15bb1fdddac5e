"""How much of a page each of many things may take."""

from collections.abc import Sequence


def shares(sizes: Sequence[int], budget: int) -> list[int]:
    """Return how much each of several things may take, so that all together keep to a budget.

    What is small gets all it asks for; the rest is shared equally among the large.

    Parameters
    ----------
    sizes : sequence of int
        What each asks for, >= 0.
    budget : int
        For all of them, in the same unit, >= 0.

    Examples
    --------
    >>> shares([10, 100, 60], 100)
    [10, 45, 45]
    >>> shares([10, 20], 100)
    [10, 20]
    """
    given = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for place, i in enumerate(order):
        given[i] = min(sizes[i], budget // (len(order) - place))
        budget -= given[i]
    return given
