"""Prototype sets: c unit vectors in d dimensions by name, each with its certificate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.core.geometry import Certificate, certify
from imprint_bench.params import check_params, takes, with_defaults
from imprint_bench.registry import Registry
from imprint_bench.seeding import stream

Function = Callable[..., np.ndarray]
Limit = Callable[[int, int], None]

PROTOTYPES: Registry[Function] = Registry("prototype set", "imprint_bench.fixed.core.prototypes")
LENGTH = 1e-6  # what the length of a row may be off 1
_LIMITS: dict[str, Limit] = {}
_VERSIONS: dict[str, int] = {}


class NoSuchSet(ValueError):  # noqa: N818 - says what was asked for
    """There is no prototype set of this name and size; the text says why, without a full stop."""


class SetFailed(ConfigError):  # noqa: N818
    """The function of a set raised what it should not have, for any values of its parameters."""


@dataclass(frozen=True)
class PrototypeSet:
    """Unit vectors to which classes are assigned, one each.

    Attributes
    ----------
    name : str
        The registered name.
    c, d : int
        Number of vectors, and their dimension.
    seed : int
        From which randomness was derived; without effect on sets that need none.
    params : Mapping[str, Any]
        Parameters of the registered function, those left out included.
    vectors : ndarray of shape (c, d), float64
        Rows of unit norm; read-only.
    certificate : Certificate
    """

    name: str
    c: int
    d: int
    seed: int
    params: Mapping[str, Any]
    vectors: np.ndarray = field(repr=False)
    certificate: Certificate


def prototype_set(
    name: str, *, limit: Limit | None = None, version: int = 1
) -> Callable[[Function], Function]:
    """Return a decorator that files a prototype set, unchanged.

    Parameters
    ----------
    name : str
        The name that YAML uses.
    limit : callable or None
        Called with (c, d); raises NoSuchSet where there is no such set.
    version : int
        Raise it when the vectors change: cached ones of an older version are then made anew.
    """

    def file(function: Function) -> Function:
        PROTOTYPES.add(name, function)
        _VERSIONS[name] = version
        if limit is not None:
            _LIMITS[name] = limit
        return function

    return file


def needs_two_dimensions(c: int, d: int) -> None:
    """Refuse a line, on which a descent cannot bring two vectors from one side to the other."""
    if d < 2:
        raise NoSuchSet(f"{c} classes need d >= 2, got d={d}")


def version_of(name: str) -> int:
    """Return the version of a registered prototype set."""
    PROTOTYPES.find(name, at="prototypes")
    return _VERSIONS[name]


def sets_for(c: int, d: int) -> list[str]:
    """Return the names of the prototype sets that exist for `c` classes in `d` dimensions.

    Examples
    --------
    >>> "simplex" in sets_for(10, 9), "simplex" in sets_for(10, 8)
    (True, False)
    """
    return [name for name in PROTOTYPES if _why_not(name, c, d) is None]


def check_prototypes(
    name: str,
    c: int,
    d: int,
    *,
    params: Mapping[str, Any] | None = None,
    at: str = "prototypes",
) -> None:
    """Raise ConfigError unless there is a set of this name for `c` classes in `d` dimensions.

    It costs nothing, so that a wrong size is refused long before it is needed. What depends on
    the values of a parameter, such as the length of word vectors, only `build_prototypes` sees.

    Parameters
    ----------
    name : str
        A registered name.
    c : int
        Number of classes.
    d : int
        Dimensions.
    params : Mapping[str, Any] or None
        Keyword-only parameters of the registered function; None checks only the size.
    at : str
        The place in the configuration, with which a message starts.

    Examples
    --------
    >>> check_prototypes("simplex", 100, 50)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    imprint_bench.errors.ConfigError: prototypes.simplex: 100 classes need d >= 99, got d=50; \
there are cross_polytope, equidistributed, gaussian_potential, hpn, orthogonal_simplices, random, \
word_vectors.
    """
    function = PROTOTYPES.find(name, at=at)
    if params is not None:
        check_params(function, params, at=f"{at}.{name}")
    _check_size(name, c, d, at=at)


def build_prototypes(
    name: str,
    c: int,
    d: int,
    *,
    seed: int = 0,
    params: Mapping[str, Any] = MappingProxyType({}),
    at: str = "prototypes",
) -> PrototypeSet:
    """Return the prototype set of this name, the same one for the same arguments.

    Parameters
    ----------
    name, c, d, params, at
        As in `check_prototypes`.
    seed : int
        The random numbers are those of ``stream(seed, "prototypes", name, c, d)``.

    Raises
    ------
    ConfigError
        If there is no such set, or a parameter is wrong.

    Examples
    --------
    >>> made = build_prototypes("equidistributed", 100, 50)
    >>> made.certificate.max_cosine, made.certificate.min_cosine
    (0.0, -1.0)
    """
    check_prototypes(name, c, d, params=params, at=at)
    function = PROTOTYPES[name]
    full = with_defaults(function, params)
    given = dict(full)
    if takes(function, "rng"):
        given["rng"] = stream(seed, "prototypes", name, c, d)
    try:
        vectors = function(c, d, **given)
    except NoSuchSet as error:
        raise ConfigError(f"{at}.{name}: {error}.") from error
    except Exception as error:  # a set of the user's may raise anything
        raise SetFailed(
            f"{at}.{name}: fails for c={c}, d={d} ({type(error).__name__}: {error})."
        ) from error
    _check_vectors(vectors, c, d, at=f"{at}.{name}")
    return with_certificate(name, vectors, seed=seed, params=full)


def _check_vectors(vectors: np.ndarray, c: int, d: int, *, at: str) -> None:
    """Raise SetFailed unless a function gave c rows of d values and length 1."""
    given = np.asarray(vectors)
    if given.shape != (c, d) or given.dtype.kind != "f":
        raise SetFailed(
            f"{at}: gave {given.dtype} of shape {given.shape}; expected float64 of ({c}, {d})."
        )
    lengths = np.linalg.norm(given, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH))
    if len(wrong):
        raise SetFailed(
            f"{at}: row {wrong[0]} has length {lengths[wrong[0]]:.6g}; expected rows of length 1."
        )


def with_certificate(
    name: str, vectors: np.ndarray, *, seed: int, params: Mapping[str, Any]
) -> PrototypeSet:
    """Return unit vectors as a prototype set with its certificate; they become read-only.

    Parameters
    ----------
    name : str
    vectors : ndarray of shape (c, d)
    seed : int
    params : Mapping[str, Any]
    """
    kept = np.array(vectors, dtype=np.float64, order="C")
    kept.flags.writeable = False
    return PrototypeSet(
        name=name,
        c=len(kept),
        d=kept.shape[1],
        seed=seed,
        params=dict(params),
        vectors=kept,
        certificate=certify(kept),
    )


def _check_size(name: str, c: int, d: int, *, at: str) -> None:
    if c < 2:
        raise ConfigError(f"{at}.{name}: c={c} classes; expected at least 2.")
    if d < 1:
        raise ConfigError(f"{at}.{name}: d={d} dimensions; expected at least 1.")
    if d == 1 and c > 2:
        raise ConfigError(
            f"{at}.{name}: c={c} classes in d=1, where there are two directions only; "
            "expected d >= 2."
        )
    reason = _why_not(name, c, d)
    if reason is not None:
        raise ConfigError(f"{at}.{name}: {reason}; there are {', '.join(sets_for(c, d))}.")


def _why_not(name: str, c: int, d: int) -> str | None:
    """Return why there is no such set, or None if there is one."""
    try:
        _LIMITS.get(name, _no_limit)(c, d)
    except NoSuchSet as error:
        return str(error)
    return None


def _no_limit(c: int, d: int) -> None:
    """Refuse nothing."""
