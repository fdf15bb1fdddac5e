"""What must be known to read a critical-difference diagram, in plain sentences."""

from collections.abc import Mapping

from imprint_bench.core.comparison import Comparison, Procedure
from imprint_bench.core.paired_tests import least_p

_WILCOXON = "two-sided Wilcoxon signed-rank tests with Holm's correction"
TESTS: Mapping[Procedure, str] = {
    "wilcoxon_holm": _WILCOXON,
    "nemenyi": "Nemenyi test",
    "paper_compat": f"paper_compat: {_WILCOXON}, identical methods counted as different",
}
_BARS: Mapping[Procedure, str] = {
    "wilcoxon_holm": f"No two methods under one bar differ significantly in {_WILCOXON}",
    "nemenyi": "No two methods under one bar differ significantly in the Nemenyi test",
    "paper_compat": "For comparison with published numbers (paper_compat): ranks are dense, and "
    "identical methods count as significantly different; no two methods under one bar differ "
    f"significantly in {_WILCOXON}",
}


def caption(comparison: Comparison) -> str:
    """Return what must be known to read the diagram of `comparison`, in plain sentences.

    It names the tests and their results, the numbers of instances and of pairs,
    pairs that the diagram cannot show, and instances that were left out.
    """
    test = comparison.friedman
    sentences = [
        f"Average ranks of {len(comparison.names)} methods on {comparison.n_instances} instances, "
        "best on the left.",
        f"{_BARS[comparison.procedure]} (alpha = {comparison.alpha:g}).",
        f"Friedman test: chi-squared = {test.chi2:.2f}, {_p(test.p)}; "
        f"Iman-Davenport F = {test.iman_davenport_f:.2f}, {_p(test.iman_davenport_p)}.",
    ]
    if len(comparison.groups) == 1:
        sentences.append("All methods have the same scores.")
    elif len(comparison.names) > 2 and not comparison.rejected:
        sentences.append("Its chi-squared finds no difference, so one bar joins all methods.")
    if comparison.critical_difference is not None:
        sentences.append(f"The critical difference is {comparison.critical_difference:.2f}.")
    sentences.append(_pairs_sentence(comparison))
    if cannot_differ(comparison):
        sentences.append(
            "With so few instances the test gives no p-value below "
            f"{least_p(comparison.n_instances):.2g}, too large for Holm's correction of "
            f"{_count(len(comparison.pairs), 'pair')}."
        )
    if comparison.dropped:
        left_out = f"{_count(len(comparison.dropped), 'instance')} left out, for lack of a score"
        sentences.append(f"{left_out}: {', '.join(comparison.dropped)}.")
    return " ".join(sentences)


def cannot_differ(comparison: Comparison) -> bool:
    """Tell whether there are too few instances for any pair to differ significantly."""
    least = least_p(comparison.n_instances) * len(comparison.pairs)
    return comparison.procedure == "wilcoxon_holm" and least > comparison.alpha


def _pairs_sentence(comparison: Comparison) -> str:
    """Count the pairs: all, significant, and those that only the table shows."""
    differing = sum(pair.significant for pair in comparison.pairs)
    if len(comparison.pairs) == 1:
        p = _p(comparison.pairs[0].adjusted_p)
        return f"The two methods {'differ' if differing else 'do not differ'} significantly ({p})."
    text = (
        f"Of {len(comparison.pairs)} pairs {differing or 'none'} "
        f"{'differ' if differing > 1 else 'differs'} significantly"
    )
    if not comparison.hidden:
        return f"{text}."
    return (
        f"{text}; {len(comparison.hidden)} of the others cannot be joined by a bar, because a pair "
        "within the run of methods that it would cover differs: the table of pairs marks them."
    )


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
