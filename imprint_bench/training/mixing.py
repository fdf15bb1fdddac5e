"""Shares of the parts of a dataset in every batch, for data of several sources."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imprint_bench.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Mixture:
    """A share of every batch for each part of a dataset; `mixture_of` checks and makes one.

    An epoch goes once through the first part, in full batches. The others are gone through
    again and again, shuffled anew each time, however large they are.

    Attributes
    ----------
    rows : Mapping[str, range]
        Rows of each part; together they are all rows.
    shares : Mapping[str, float]
        Of the same parts, positive; they sum to 1.
    where : str
        The place in the configuration, with which messages start.
    """

    rows: Mapping[str, range]
    shares: Mapping[str, float]
    where: str = "recipe.shares"

    def __repr__(self) -> str:
        return str({name: (self.rows[name], self.shares[name]) for name in self.rows})

    def counts(self, batch_size: int) -> list[int]:
        """Return the images of each part in a batch; the first gets what rounding leaves.

        Raises
        ------
        ConfigError
            If that is no image of a part, or more than the first part has.
        """
        first, *others = self.rows
        of_others = [round(self.shares[name] * batch_size) for name in others]
        counts = [batch_size - sum(of_others), *of_others]
        if min(counts) < 1 or counts[0] > len(self.rows[first]):
            told = ", ".join(f"{n} of {name}" for n, name in zip(counts, self.rows, strict=True))
            raise ConfigError(
                f"{self.where}: in a batch of {batch_size} they are {told}; expected at least one "
                f"image of each part, and at most the {len(self.rows[first])} of {first}."
            )
        return counts

    def steps(self, batch_size: int) -> int:
        """Return the number of batches of an epoch."""
        return len(next(iter(self.rows.values()))) // self.counts(batch_size)[0]

    def order(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the batches of an epoch, int64 of shape (steps, batch_size).

        Within a batch they are shuffled, so that its parts are mixed, too.
        """
        steps = self.steps(batch_size)
        parts = [
            rows.start + _cycled(len(rows), steps * count, rng).reshape(steps, count)
            for rows, count in zip(self.rows.values(), self.counts(batch_size), strict=True)
        ]
        return rng.permuted(np.concatenate(parts, axis=1), axis=1)


def mixture_of(
    rows: Mapping[str, range], shares: Mapping[str, float], *, dataset: str, at: str
) -> Mixture:
    """Return the mixture of a dataset's parts.

    Parameters
    ----------
    rows : Mapping[str, range]
        Rows of each part; empty where the dataset has no parts.
    shares : Mapping[str, float]
        One per part, positive, in any order; they sum to 1.
    dataset : str
        Its name.
    at : str
        The place in the configuration, with which messages start.

    Raises
    ------
    ConfigError
        If the dataset has no parts, or the shares are not one of each.
    """
    if not rows:
        raise ConfigError(
            f"{at}: {dataset} has no parts; expected a dataset that is a concatenation, or no "
            "shares."
        )
    for name in shares:
        if name not in rows:
            raise ConfigError(
                f"{at}.{name}: {dataset} has no such part; there are {', '.join(rows)}."
                f"{did_you_mean(name, rows)}"
            )
    if lacking := [name for name in rows if name not in shares]:
        raise ConfigError(
            f"{at}: no share of {', '.join(lacking)}; expected one of each part of {dataset}."
        )
    return Mixture(dict(rows), dict(shares), at)


def check_shares(shares: Mapping[str, float], *, at: str) -> None:
    """Raise ConfigError unless shares are positive and sum to 1."""
    if not all(share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"{at}: {dict(shares)}; expected positive numbers that sum to 1.")


def _cycled(n: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return `wanted` numbers below `n`: permutations, one after the other."""
    rounds = -(-wanted // n)
    return np.concatenate([rng.permutation(n) for _ in range(rounds)])[:wanted]
