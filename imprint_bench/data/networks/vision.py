"""The one door to torchvision, which also opens where its compiled library does not load."""

import importlib
from functools import cache
from types import ModuleType
from typing import Any

MISSING_OPERATOR = "operator torchvision::nms does not exist"

# The detection operators that torchvision describes while it is imported. We never call them.
SCHEMAS = tuple(
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
)

_declared: list[Any] = []  # torch forgets a declaration when its library object dies


@cache
def torchvision() -> ModuleType:
    """Import torchvision and return it.

    With a torch that is built for CPU only, the compiled library in torchvision's
    wheel does not load, and the import fails on an operator that the library would
    have declared. Models, datasets and transforms do not need that library: once
    the schemas are declared, the import works. They are declared only after the
    plain import has failed in exactly this way.

    Raises
    ------
    RuntimeError
        If the import fails for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if MISSING_OPERATOR not in str(error):
            raise
    _declare_schemas()
    return importlib.import_module("torchvision")


def _declare_schemas() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _declared.append(library)
