"""What a reader must know to read the accuracies that the page compares."""

from collections.abc import Iterator

from imprint_bench.analysis.labels import listed
from imprint_bench.report.ranking import Ranking


def count(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "trial"), count(2000, "trial")
    ('1 trial', '2,000 trials')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def sentences(ranked: Ranking) -> list[str]:
    """Return which configuration stands for each generator, and what its accuracies are."""
    noun = str(ranked.best["noun"].iloc[0])
    follow = "a model, dataset or task" if noun == "generator" else "a dataset"
    return [
        *(_choice(ranked) if noun == "generator" else ()),
        "Accuracy: median over seeds, in percent.",
        *_seeds(ranked),
        f"Tables with {follow} in each row follow the choice, too.",
    ]


def _choice(ranked: Ranking) -> Iterator[str]:
    main = ranked.instances["main"]
    settings = ranked.instances.loc[main, "setting"].unique()
    places = f"all {count(int(main.sum()), 'instance')}"
    if ranked.instances["setting"].nunique() > len(settings):
        places += f" with the richest choice ({listed(sorted(settings))})"
    first = ranked.best[ranked.best["everywhere"]]
    own = "that of its most widespread configurations with the lowest average rank on its instances"
    if first.empty:
        yield f"No generator has a configuration on {places}: each stands for {own}."
        return
    yield (
        "Every generator stands for one configuration, whatever is chosen below: of those on "
        f"{places}, the one with the lowest average rank there."
    )
    n_ranked = int(first["n_instances"].min())  # the same of all
    if n_ranked < main.sum():
        yield f"Because results are missing, this rank is over {n_ranked:,} of them."
    n = len(ranked.best) - len(first)
    if n:
        have = "has no such configuration: it" if n == 1 else "have no such configuration: each"
        yield f"{count(n, 'generator')} {have} stands for {own}, and comes last."


def _seeds(ranked: Ranking) -> Iterator[str]:
    if ranked.n_reduced or ranked.n_own:
        yield "The seeds of an instance are those that most of its configurations have."
    if ranked.n_reduced:
        cells = count(ranked.n_reduced, "cell")
        yield f"Where there are further seeds ({cells}), they are left out."
    if ranked.n_own:
        cells = count(ranked.n_own, "cell")
        yield f"Where some of these lack ({cells}), the median is over the seeds that are there."
