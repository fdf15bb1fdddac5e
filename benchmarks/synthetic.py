"""Made-up embeddings that cluster as real ones do: non-negative, of low rank, with noise."""

from typing import NamedTuple

import numpy as np

from imprint_bench.data.embeddings.description import Description

CLUSTERS, RANK = 12, 24  # within a class
SPREAD, NOISE = 1.2, 0.3  # Lloyd then takes tens of iterations, as on real embeddings


class Sizes(NamedTuple):
    """How large made-up embeddings are; the rows are those of one class."""

    train: int
    test: int
    length: int
    classes: int = 10


class InMemory:
    """Embeddings and labels in memory, in place of a cache's memory maps."""

    def __init__(self, sizes: Sizes, *, seed: int = 0) -> None:
        n = {"train": sizes.train, "test": sizes.test}
        rng = np.random.default_rng(seed)
        parts = [
            class_rows(n["train"] + n["test"], sizes.length, rng=rng) for _ in range(sizes.classes)
        ]
        self._X = {
            "train": np.concatenate([part[: n["train"]] for part in parts]),
            "test": np.concatenate([part[n["train"] :] for part in parts]),
        }
        self._y = {split: np.repeat(np.arange(sizes.classes), rows) for split, rows in n.items()}

    def X(self, split: str) -> np.ndarray:  # noqa: N802 - as `Embeddings`
        """Return embeddings of shape (n, length), float32."""
        return self._X[split]

    def y(self, split: str) -> np.ndarray:
        """Return labels of shape (n,), int64."""
        return self._y[split]

    def describe(self) -> Description:
        """Return what planning must know."""
        return Description(
            fm="made_up",
            dataset="made_up",
            fingerprint="0" * 64,
            labels=self._y,
            length=self._X["train"].shape[1],
            weight_decay=1e-4,
            cached=True,
        )


def class_rows(n: int, length: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return `n` made-up embeddings of one class, float32 of shape (n, length)."""
    centers = rng.normal(size=(CLUSTERS, RANK)) + rng.normal(size=RANK)
    latent = centers[rng.integers(CLUSTERS, size=n)] + SPREAD * rng.normal(size=(n, RANK))
    rows = latent @ rng.normal(size=(RANK, length)) / RANK**0.5
    rows += NOISE * rng.normal(size=rows.shape)
    return np.maximum(rows, 0).astype(np.float32)
