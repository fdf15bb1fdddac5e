"""The stage `embed`: files are provided, pairs described, and embeddings found or created."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from imprint_bench.config import Config
from imprint_bench.data.dataset import build_dataset
from imprint_bench.data.embeddings.cache import Embeddings, describe, find
from imprint_bench.data.embeddings.creation import create_all
from imprint_bench.data.embeddings.description import Description
from imprint_bench.data.embeddings.filling import Speed
from imprint_bench.data.fetching.downloads import Download, MissingFilesError, fetch
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.networks.computing import Computing, resolved
from imprint_bench.durable import remove_unfinished
from imprint_bench.params import Source
from imprint_bench.sweep.executor import strict, workers
from imprint_bench.sweep.progress import progress_bar

log = logging.getLogger(__name__)

Pair = tuple[str, str]


def pairs(config: Config) -> list[tuple[Source, Source]]:
    """Return every pair of foundation model and dataset, in the order of the configuration."""
    return [(fm, dataset) for dataset in config.datasets for fm in config.fms]


def provide(config: Config) -> None:
    """Download the files of datasets and foundation models that are missing, if that is wanted.

    Raises
    ------
    DataError
        If a file is missing that cannot be had: no network, a wrong checksum, or a file
        that the network does not have.
    """
    if not config.embed.download or "embed" not in config.stages:
        return
    fetch_missing(
        [
            *(partial(build_dataset, source) for source in config.datasets),
            *(partial(build_foundation_model, source) for source in config.fms),
        ]
    )


def fetch_missing(builders: Sequence[Callable[[], object]]) -> None:
    """Download the files that building datasets and foundation models finds missing.

    Raises
    ------
    DataError
        As in `provide`.
    """
    wanted: dict[Download, None] = {}
    for build in builders:
        try:
            build()
        except MissingFilesError as error:
            wanted |= dict.fromkeys(error.downloads)
    if wanted:
        with progress_bar(unit="B", unit_scale=True, desc="download") as bar:
            fetch(list(wanted), progress=bar.update)


def described(config: Config) -> list[Description]:
    """Return what planning must know of every pair, without embedding anything.

    Raises
    ------
    DataError
        If a dataset or a network's file is missing.
    """
    root, settings = config.paths.embeddings, config.embed
    return [describe(root, fm, dataset, settings) for fm, dataset in pairs(config)]


def check_networks(config: Config, descriptions: Sequence[Description]) -> None:
    """Load every network of torch once that will embed; its weights are then known to fit.

    Raises
    ------
    DataError
        If a file is no network, or its weights are those of another one.
    ConfigError
        If the device is not there.
    """
    if "embed" not in config.stages:
        return
    wanted = {d.fm for d in descriptions if config.embed.force or not d.cached}
    for source in config.fms:
        fm = build_foundation_model(source)
        if source.name in wanted and fm.on_torch:
            resolved(config.embed.device)
            fm.load(Computing())


def embed(
    config: Config, known: Mapping[Pair, Embeddings] = MappingProxyType({})
) -> dict[Pair, Embeddings]:
    """Return the embeddings of every pair: known already, from the cache, or computed now."""
    root, settings = config.paths.embeddings, config.embed
    remove_unfinished(root)
    made: dict[Pair, Embeddings] = {}
    for fm, dataset in pairs(config):  # all before the first is computed: one may be refused
        if (fm.name, dataset.name) in known:
            made[fm.name, dataset.name] = known[fm.name, dataset.name]
            continue
        found = None if settings.force else find(root, fm, dataset, settings)
        if found is not None:
            made[fm.name, dataset.name] = found
            for phrase in found.left_out:
                log.warning("%s/%s: without %s.", dataset.name, fm.name, phrase)
    for dataset in config.datasets:
        lacking = [fm for fm in config.fms if (fm.name, dataset.name) not in made]
        if len(lacking) < len(config.fms) and "run" not in config.stages:
            there = [fm.name for fm in config.fms if fm not in lacking]
            log.info("embeddings of %s by %s are in the cache.", dataset.name, ", ".join(there))
        if lacking:
            made |= _embedded(config, lacking, dataset)
    return made


def left_out(config: Config) -> dict[str, str]:
    """Return what is missing of cached embeddings because images could not be read, by pair."""
    gaps = {}
    for fm, dataset in pairs(config) if config.embed.on_error == "skip" else ():
        entry = find(config.paths.embeddings, fm, dataset, config.embed)
        if entry is not None and entry.left_out:
            gaps[f"{dataset.name}/{fm.name}"] = "; ".join(entry.left_out)
    return gaps


def _embedded(config: Config, fms: Sequence[Source], dataset: Source) -> dict[Pair, Embeddings]:
    """Embed a dataset with some foundation models, and log how fast each was."""
    if dataset.kind != "precomputed" and (built := build_dataset(dataset)).remark is not None:
        remark = built.remark()
        if remark:
            log.warning("%s: %s", dataset.name, remark)
    started = time.monotonic()
    with progress_bar(unit="embedding", desc=f"embed {dataset.name}") as bar:
        made, speeds = create_all(
            config.paths.embeddings,
            fms,
            dataset,
            config.embed,
            each=strict(config.n_jobs),
            progress=bar.update,
        )
    seconds, n_workers = time.monotonic() - started, workers(config.n_jobs)
    if speeds:
        images = max(speed.images for speed in speeds.values())
        log.info("embedded %s: %d images in %.1f s.", dataset.name, images, seconds)
    for name, speed in speeds.items():
        log.info("  %s: %s", name, _pace(speed, n_workers))
    return {(name, dataset.name): entry for name, entry in made.items()}


def _pace(speed: Speed, n_workers: int) -> str:
    """Say how many images per second a foundation model embedded, and where the time went."""
    spent = speed.forward + speed.other
    if not speed.forward:
        return f"{speed.images} rows taken over."
    per_second = speed.images / spent * (1 if speed.alone else n_workers)
    rest = speed.other / speed.forward
    pace = f"{per_second:,.0f} images per second"
    if rest > 10:  # there is next to no network
        return f"{pace}."
    return f"{pace}; all but the network took {rest:.1%} of its time."
