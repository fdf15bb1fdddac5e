"""Set the last layer of a frozen network from data, without training it."""

__version__ = "0.1.0"
__all__ = ["FixedPrototypeHead", "__version__"]

TYPE_CHECKING = False  # as in `typing`, without importing it
if TYPE_CHECKING:
    from imprint_bench.fixed.heads.fixed import FixedPrototypeHead

# What the package offers, and the module it comes from, which is imported on first use:
# importing the package must not cost the seconds of torch.
_LAZY = {"FixedPrototypeHead": "imprint_bench.fixed.heads.fixed"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
