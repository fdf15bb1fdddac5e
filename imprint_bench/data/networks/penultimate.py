"""The penultimate embedding of a classifier: its network with the final layer taken out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from imprint_bench.errors import DataError


def made_hollow(make: Callable[[], Any]) -> Any:
    """Return the module that `make` makes, with weights without memory or values.

    What a layer asks of ``torch.empty`` comes on torch's device "meta", so that
    nothing is allocated, drawn or overwritten; what is computed (an index, a mask) is
    real. Where a network needs such a value that no checkpoint holds, it is made as usual.
    The global random numbers are as before afterwards.

    Parameters
    ----------
    make : callable
        ``() -> torch.nn.Module``
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        with _empty_on_meta():
            module = make()
        stored = module.state_dict().keys()
        if any(b.is_meta for name, b in module.named_buffers() if name not in stored):
            module = make()
    return module


@contextmanager
def _empty_on_meta() -> Iterator[None]:
    import torch
    from torch.overrides import TorchFunctionMode

    class OnMeta(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
        ) -> Any:
            kwargs = dict(kwargs or {})
            if func is torch.empty:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    with OnMeta():
        yield


def take_out_final_layer(module: Any) -> tuple[str, int]:
    """Replace the last fully connected layer of `module` by the identity.

    A network without one is taken to end in a convolution with 1 x 1 pixels, as
    SqueezeNet does.

    Parameters
    ----------
    module : torch.nn.Module
        Is changed.

    Returns
    -------
    name : str
        Of the layer that was taken out.
    width : int
        Values of its input.
    """
    from torch import nn

    layers = [*module.named_modules()]
    linear = [(name, m, m.in_features) for name, m in layers if isinstance(m, nn.Linear)]
    pointwise = [
        (name, m, m.in_channels)
        for name, m in layers
        if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)
    ]
    if not linear and not pointwise:
        raise DataError("no final layer is found: no linear layer, no convolution of 1 x 1 pixels.")
    name, _, width = (linear or pointwise)[-1]
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return name, width


def output_shape(module: Any, size: int) -> tuple[int, ...]:
    """Return the shape of the module's output for two images, without computing any.

    Parameters
    ----------
    module : torch.nn.Module
        Is moved to torch's device "meta": its weights, if it has some, are gone.
    size : int
        Height and width of its input, in pixels.
    """
    import torch

    with torch.inference_mode():
        output = module.eval().to("meta")(torch.empty(2, 3, size, size, device="meta"))
    return tuple(output.shape) if isinstance(output, torch.Tensor) else ()
