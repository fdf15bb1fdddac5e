"""How far the embeddings of a network have collapsed onto their class means."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imprint_bench.errors import DataError

Array = NDArray[Any]


class ClassMeans(NamedTuple):
    """Class means around their own mean, and the rows around theirs; all float64.

    `centered` (C, l) are h_c - h_G, `center` (l,) is h_G, `residuals` (n, l) are h - h_c,
    and `weights` (n,) are such that every class weighs 1/C.
    """

    centered: Array
    center: Array
    residuals: Array
    weights: Array


class EquiAngular(NamedTuple):
    """How far class means are from a simplex: both are 0 at full collapse (NC2)."""

    equinorm: float
    equiangle: float


def nc1(X: Array, y: Array) -> float:
    """Return the within-class variability relative to the spread of the class means.

    NC1 = trace(Sigma_W Sigma_B^+) / C, where Sigma_W is the mean of (h - h_c)(h - h_c)^T
    over rows and Sigma_B the mean of (h_c - h_G)(h_c - h_G)^T over classes; 0 at full
    collapse. The definition is for balanced classes: here h_G is the mean of the class
    means, and every class has the same weight in Sigma_W. Translations do not change it.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings; the paper normalizes them to length 1 first, this function does not.
    y : ndarray of shape (n,)
        Class of each row, at least two classes.

    Returns
    -------
    nc1 : float
        Infinite if all class means coincide.

    Raises
    ------
    DataError
        If there is only one class.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, equation 1.
    V. Papyan, X. Y. Han and D. L. Donoho, "Prevalence of neural collapse during the
    terminal phase of deep learning training", PNAS 117, 2020.

    Examples
    --------
    >>> X = np.array([[0.0], [2.0], [4.0], [6.0]])
    >>> round(nc1(X, np.array([0, 0, 1, 1])), 6)
    0.125
    """
    means = class_means(X, y)
    variances, axes = _between(means)
    if not len(variances):
        return float("inf")
    spread = means.weights @ (means.residuals @ axes.T) ** 2
    return float((spread / variances).sum() / len(means.centered))


def nc1_as_published(X: Array, y: Array) -> float:
    """Return NC1 as the published code computes it, for comparison with its figures.

    It centers every row on h_c - h_G instead of h_c, which adds h_G h_G^T to Sigma_W:
    the value is larger than `nc1` and changes under translation.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings, normalized to length 1.
    y : ndarray of shape (n,)
        Class of each row, at least two classes.

    Raises
    ------
    DataError
        If there is only one class.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figures 11a and 12.
    """
    means = class_means(X, y)
    variances, axes = _between(means)
    if not len(variances):
        return float("inf")
    extra = ((axes @ means.center) ** 2 / variances).sum() / len(means.centered)
    return nc1(X, y) + float(extra)


def nc2(X: Array, y: Array) -> EquiAngular:
    """Return how far the centered class means are from equal lengths and angles.

    `equinorm` is the standard deviation of their lengths over the mean length;
    `equiangle` the mean over pairs of |cos + 1/(C-1)|, the distance of their cosine
    from that of a simplex. Both are NaN if all class means coincide.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings.
    y : ndarray of shape (n,)
        Class of each row, at least two classes.

    Raises
    ------
    DataError
        If there is only one class.

    References
    ----------
    Papyan, Han and Donoho, PNAS 117, 2020, figures 2 and 4.
    """
    centered = class_means(X, y).centered
    norms = np.linalg.norm(centered, axis=1)
    if not norms.any():
        return EquiAngular(float("nan"), float("nan"))
    units = centered / np.where(norms > 0, norms, 1)[:, None]
    n_classes = len(centered)
    cosines = (units @ units.T)[np.triu_indices(n_classes, 1)]
    angle = np.abs(cosines + 1 / (n_classes - 1)).mean()
    return EquiAngular(float(norms.std() / norms.mean()), float(angle))


def nc3(X: Array, y: Array, weights: Array) -> float:
    """Return how far the head is from the centered class means, both scaled to length 1.

    It is the squared Frobenius norm of the difference: 0 if they are proportional,
    2 if they are orthogonal, 4 if they are opposite.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings.
    y : ndarray of shape (n,)
        Class of each row, at least two classes.
    weights : ndarray of shape (C, l)
        Rows of the head, in ascending order of their classes. At least one is not zero.

    Raises
    ------
    DataError
        If there is only one class, or another number of weights than of classes.

    References
    ----------
    Papyan, Han and Donoho, PNAS 117, 2020, figure 5.
    """
    centered = class_means(X, y).centered
    _check_head(weights, centered)
    weights = weights.astype(np.float64)
    difference = weights / np.linalg.norm(weights) - centered / np.linalg.norm(centered)
    return float((difference**2).sum())


def nc4(X: Array, y: Array, weights: Array, bias: Array | None = None) -> float:
    """Return the fraction of rows for which the head chooses the class with the nearest mean.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings.
    y : ndarray of shape (n,)
        Class of each row, at least two classes.
    weights : ndarray of shape (C, l)
        Rows of the head, in ascending order of their classes.
    bias : ndarray of shape (C,), optional
        Bias of the head.

    Returns
    -------
    agreement : float
        In [0, 1]; 1 at full collapse.

    Raises
    ------
    DataError
        If there is only one class, or another number of weights than of classes.

    References
    ----------
    Papyan, Han and Donoho, PNAS 117, 2020, figure 7 (which shows 1 - agreement).
    """
    means = class_means(X, y)
    _check_head(weights, means.centered)
    scores = X @ weights.T if bias is None else X @ weights.T + bias
    rows = X - means.center
    halves = (means.centered**2).sum(axis=1) / 2
    nearest = (rows @ means.centered.T - halves).argmax(axis=1)
    return float((scores.argmax(axis=1) == nearest).mean())


def vci(X: Array, y: Array) -> float:
    """Return the variability collapse index, 1 - trace(Sigma_B Sigma_T^+) / rank(Sigma_B).

    Sigma_T = Sigma_W + Sigma_B is the total covariance; classes weigh equally. The index
    is 0 at full collapse and 1 without any, and no invertible linear map changes it.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings.
    y : ndarray of shape (n,)
        Class of each row, at least two classes.

    Returns
    -------
    vci : float
        1 if all class means coincide.

    Raises
    ------
    DataError
        If there is only one class.

    References
    ----------
    J. Xu and H. Liu, "Quantifying the variability collapse of neural networks", ICML 2023.
    """
    means = class_means(X, y)
    variances, axes = _between(means)
    if not len(variances):
        return 1.0
    within = (means.residuals * means.weights[:, None]).T @ means.residuals
    between = means.centered.T @ means.centered / len(means.centered)
    values, vectors = np.linalg.eigh(within + between)
    kept = values > values[-1] * max(X.shape) * np.finfo(np.float64).eps
    shared = (axes @ vectors[:, kept]) ** 2 / values[kept]
    return float(1 - (variances @ shared).sum() / len(variances))


def class_means(X: Array, y: Array) -> ClassMeans:
    """Return the class means and what lies around them, in float64.

    Raises
    ------
    DataError
        If there is only one class.
    """
    classes, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise DataError(
            f"neural collapse: {len(classes)} class among {len(y)} rows; needs at least 2 classes."
        )
    origin = X.mean(axis=0, dtype=np.float64)  # large offsets must not cost digits
    rows = X - origin
    means = np.stack([rows[index == c].mean(axis=0) for c in range(len(classes))])
    center = means.mean(axis=0)
    weights = 1 / (len(classes) * counts[index])
    return ClassMeans(means - center, origin + center, rows - means[index], weights)


def _between(means: ClassMeans) -> tuple[Array, Array]:
    """Return the positive eigenvalues of Sigma_B and their axes (rows), without forming it."""
    _, singular, axes = np.linalg.svd(means.centered, full_matrices=False)
    singular, axes = singular[: len(means.centered) - 1], axes[: len(means.centered) - 1]
    size = np.sqrt(means.weights @ (means.residuals**2).sum(axis=1)) + singular.max(initial=0.0)
    kept = singular > size * max(means.centered.shape) * np.finfo(np.float64).eps
    return singular[kept] ** 2 / len(means.centered), axes[kept]


def _check_head(weights: Array, centered: Array) -> None:
    if weights.shape != centered.shape:
        raise DataError(
            f"neural collapse: the head has weights of shape {weights.shape}; "
            f"the class means have shape {centered.shape}."
        )
