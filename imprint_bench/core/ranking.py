"""What ranks the proxies of a query in float32, and by how much it may be wrong."""

import numpy as np

from imprint_bench.core.certainty import product_error
from imprint_bench.core.manhattan import is_compiled
from imprint_bench.core.normalization import inverse
from imprint_bench.core.operands import Proxies, Queries
from imprint_bench.core.setting import Setting

SAFE_NORMS = (1e-10, 1e10)  # lengths whose products neither overflow nor vanish in float32
EQUAL_NORMS = 2.0**-20  # lengths that differ relatively by less count as equal, with an error
SCREENED_METRICS = ("euclidean", "cosine")

Bounded = tuple[np.ndarray, np.ndarray]  # values and bounds on their errors, float64


class Ranking:
    """The order in which proxies are near to a query: what it is formed from, and its errors.

    An order is named by what ranks the proxies, the nearest largest: ``product`` (the
    inner product), ``angle`` (the product per length of the proxy), ``distance INF``
    (the product less half the square of the proxy's length, with queries after the norm
    INF) and ``manhattan POST INF``.
    """

    def __init__(self, queries: Queries, proxies: Proxies) -> None:
        self.norms = proxies.norms
        self.longest = np.maximum.reduceat(self.norms, proxies.starts)  # of every class
        # No length makes a difference: after an L2 norm, or because X was L2-normalized.
        self.flat = bool(np.ptp(self.norms) <= EQUAL_NORMS * self.norms.max())
        self._width = proxies.length
        self._rounding = product_error(proxies.length)
        lengths = self.norms[self.norms > 0]
        self._safe = bool(
            queries.norms.max(initial=0.0) < SAFE_NORMS[1]
            and (lengths > SAFE_NORMS[0]).all()
            and (lengths < SAFE_NORMS[1]).all()
        )

    @property
    def of_unit_length(self) -> bool:
        """Whether all proxies have length 1, as nearly as rounding allows."""
        return self.flat and bool(abs(self.norms.max() - 1) <= EQUAL_NORMS)

    @property
    def error(self) -> float:
        """A bound on the error of a product, relative to the lengths of its rows."""
        return self._rounding + 2 * EQUAL_NORMS * self.flat

    def can_predict(self, setting: Setting) -> bool:
        """Whether float32 can predict a setting; distances need proxies with a direction."""
        if not self._safe or setting.agg not in ("max", "mnn"):
            return False
        if setting.agg == "max":
            return True
        metric = setting.params.get("metric", "euclidean")
        if metric == "manhattan":
            return is_compiled()
        return metric in SCREENED_METRICS and bool(self.norms.min() > 0)

    def order(self, setting: Setting) -> str:
        """Return the order that a setting needs."""
        if setting.params.get("metric") == "manhattan":
            return f"manhattan {setting.norm_post} {setting.norm_inf}"
        norm_post = "l2" if setting.params.get("metric") == "cosine" else setting.norm_post
        if self.flat or (setting.agg == "max" and norm_post == "none"):
            return "product"
        return "angle" if norm_post == "l2" else f"distance {setting.norm_inf}"

    def of_maxima(self, order: str, norms: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return bounds on the errors of the largest values of classes, of shape (n, C)."""
        length = self.longest[classes] if order == "product" else np.ones(len(classes))
        return self.error * norms[:, None] * length

    def distances(
        self, setting: Setting, values: np.ndarray, norms: np.ndarray
    ) -> tuple[Bounded, np.ndarray]:
        """Return the distances that follow from what ranks proxies.

        Parameters
        ----------
        setting : Setting
            One with `mnn`.
        values : ndarray of shape (n, depth), float64
            In the order that the setting needs.
        norms : ndarray of shape (n,)
            Lengths of the queries.

        Returns
        -------
        distances : Bounded
            With bounds on their errors, of shape (n, depth).
        error : ndarray of shape (n, depth) or (n, 1)
            Bounds on the errors of `values`.
        """
        metric, order = setting.params.get("metric", "euclidean"), self.order(setting)
        scale = scale_of(norms, setting.norm_inf)
        lengths = norms * scale  # of the queries as they are compared
        if metric == "manhattan":
            longest = 1.0 if setting.norm_post == "l2" else self.norms.max()
            # Rounded rows: each number errs by a share of itself, all by one of sqrt(l) lengths;
            # a sum of one sign errs by little more than each of its terms.
            slack = product_error(4) * np.sqrt(self._width) * (lengths + longest)
            error = -values * self._rounding + slack[:, None]
            return (-values, error), error
        if order.startswith("distance"):
            longest = self.norms.max()
            rounding = product_error(4) * (longest**2 + longest * lengths)
            slack = self._rounding * longest * lengths + rounding
            return _roots(lengths[:, None] ** 2 - 2 * values, 2 * slack), slack[:, None]
        length = self.norms.max() if self.flat else 1.0  # by which products were not divided
        error = self.error * norms * length
        cosines = values * inverse(norms)[:, None] / length
        if metric == "cosine":
            return (np.clip(1 - cosines, 0, 2), np.full(values.shape, self.error)), error[:, None]
        length = 1.0 if setting.norm_post == "l2" else length
        slack = 2 * length * lengths * self.error + 2 * length**2 * EQUAL_NORMS * self.flat
        squared = lengths[:, None] ** 2 + length**2 - 2 * length * lengths[:, None] * cosines
        with np.errstate(divide="ignore"):  # of a query without a length nothing is known
            error = np.where(scale > 0, error + length**2 * EQUAL_NORMS * self.flat / scale, np.inf)
        return _roots(squared, slack), error[:, None]


def scale_of(norms: np.ndarray, norm_inf: str) -> np.ndarray:
    """Return by what `norm_inf` multiplies queries of these lengths."""
    return inverse(norms) if norm_inf == "l2" else np.ones(len(norms))


def _roots(squared: np.ndarray, slack: np.ndarray) -> Bounded:
    """Return square roots, with bounds on their errors from those of the squares."""
    roots = np.sqrt(np.maximum(squared, 0))
    error = np.divide(
        slack[:, None], roots, out=np.full(roots.shape, np.inf), where=squared > slack[:, None]
    )
    return roots, error
