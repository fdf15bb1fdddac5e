"""How datasets are embedded: the keys of the section `embed` of YAML."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_type_hints

from imprint_bench.checks import check_keys
from imprint_bench.data.networks.computing import Autocast, Computing
from imprint_bench.errors import ConfigError
from imprint_bench.params import AtLeast, PositiveInt, check_value

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class EmbedSettings:
    """How datasets are embedded.

    Attributes
    ----------
    force : bool
        Embed even where the cache has the embeddings.
    verify : bool
        Compare checksums of cached embeddings, not only sizes.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps": where torch networks run.
    autocast : str
        "none", "bfloat16" or "float16": arithmetic of torch networks; part of the identity.
    channels_last : bool
        Memory layout of torch networks.
    batch_size : int
        Images per forward pass, and what a kill may lose.
    loaders : int or None
        Processes that read, decode and resize images for torch networks, which then run in one
        process; 0 does it in that process. None: as many as help an accelerator; on the CPU each
        of the `n_jobs` workers does everything.
    dtype : str
        "float32" or "float16": of the stored embeddings; part of the identity.
    on_error : str
        What becomes of an image that cannot be read: "fail", or "skip" it.
    download : bool
        Whether missing files that the network has are fetched before embedding.
    """

    force: bool = False
    verify: bool = False
    device: str = "auto"
    autocast: Autocast = "none"
    channels_last: bool = True
    batch_size: PositiveInt = 128
    loaders: Annotated[int, AtLeast(0)] | None = None
    dtype: Literal["float32", "float16"] = "float32"
    on_error: Literal["fail", "skip"] = "fail"
    download: bool = True

    def computing(self, device: str) -> Computing:
        """Return how networks are run on a device that `computing.resolved` gave."""
        return Computing(device, self.autocast, self.channels_last)


def read_embed_settings(raw: Mapping[str, Any]) -> EmbedSettings:
    """Check the section `embed` of a plain configuration; a key that is left out has its default.

    Raises
    ------
    ConfigError
        For the first wrong key or value.
    """
    hints = get_type_hints(EmbedSettings, include_extras=True)
    given = raw.get("embed") or {}
    check_keys(given, [field.name for field in fields(EmbedSettings)], at="embed")
    for key, value in given.items():
        check_value(value, hints[key], at=f"embed.{key}")
    settings = EmbedSettings(**given)
    if not DEVICE.fullmatch(settings.device):
        raise ConfigError(
            f"embed.device: unknown device {settings.device!r}; expected auto, cpu, cuda, cuda:N "
            "or mps."
        )
    return settings
