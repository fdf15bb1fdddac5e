"""Functions that are found by the name a YAML file uses."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from imprint_bench.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from registered names to methods, read-only to everybody but `add`.

    Parameters
    ----------
    noun : str
        What the entries are, for messages: ``"generator"``.
    package : str or None
        Package whose modules register the entries. They are imported on the
        first look-up, so a new method needs a module and nothing else.

    Examples
    --------
    >>> sizes = Registry[int]("size")
    >>> sizes.add("small", 1)
    1
    >>> sizes.find("smal", at="size")
    Traceback (most recent call last):
    imprint_bench.errors.ConfigError: size: unknown size 'smal'; known: small. Did you mean 'small'?
    """

    def __init__(self, noun: str, package: str | None = None) -> None:
        self.noun = noun
        self._package = package
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """File `entry` under `name` and return it; a second entry of one name is a bug."""
        if name in self._entries:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files a function under `name`, unchanged."""
        return lambda entry: self.add(name, entry)

    def find(self, name: str, *, at: str) -> T:
        """Return the entry called `name`.

        Raises
        ------
        ConfigError
            If there is none; the message starts with the place `at`.
        """
        self._load()
        if name in self._entries:
            return self._entries[name]
        known = sorted(self._entries)
        raise ConfigError(
            f"{at}: unknown {self.noun} {name!r}; known: {', '.join(known)}."
            + did_you_mean(name, known)
        )

    def _load(self) -> None:
        """Import every module of the package once."""
        if self._package is not None:
            name, self._package = self._package, None
            folder = importlib.import_module(name)
            for module in pkgutil.iter_modules(folder.__path__):
                importlib.import_module(f"{name}.{module.name}")

    def __getitem__(self, name: str) -> T:
        self._load()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._load()
        return len(self._entries)
