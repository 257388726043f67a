"""Differences between two arms: paired by test group, with bootstrap intervals over groups and a corrected test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from training.benchmark.scoring import average_precisions

LEVEL = 0.95  # of the intervals

Values = Mapping[tuple[int, str], float]
"""A value of each (fold, group)."""


@dataclass(frozen=True)
class Difference:
    """One arm minus another.

    Attributes:
        mean: over groups.
        low: end of the 95 % interval.
        high: the other end.
        p: two-sided, Wilcoxon signed-rank over groups; None if it was not made.
        groups: that were compared.
        p_holm: corrected for the comparisons made together; None before that.
    """

    mean: float
    low: float
    high: float
    p: float | None
    groups: int
    p_holm: float | None = None


def group_values(
    runs: Sequence[Mapping[str, Any]], values_of: Callable[[Mapping[str, Any]], Mapping[str, float]]
) -> dict[int, Values]:
    """Return, for each seed, the value of every (fold, group).

    Args:
        runs: of one arm and fraction.
        values_of: gives a run's value of each of its test groups.
    """
    by_seed: dict[int, dict[tuple[int, str], float]] = defaultdict(dict)
    for run in runs:
        for group, value in values_of(run).items():
            by_seed[run["seed"]][run["fold"], group] = value
    return dict(by_seed)


def paired_differences(arm: Mapping[int, Values], base: Mapping[int, Values]) -> np.ndarray:
    """Return arm minus base for each (fold, group), averaged over the seeds that both have: (G,) float64."""
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    for seed in arm.keys() & base.keys():
        for key in arm[seed].keys() & base[seed].keys():
            found[key].append(arm[seed][key] - base[seed][key])
    return np.array([np.mean(found[key]) for key in sorted(found)])


def bootstrap_interval(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float]:
    """Return the percentile interval of the mean under resampling of groups (Efron 1979).

    Args:
        values: (G,), one a group.
        resamples: how many.
        seed: same seed, same interval.
    """
    chosen = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    means = values[chosen].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def signed_rank_p(values: np.ndarray) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test (1945) that differences are symmetric about 0.

    Zeros count for half in both directions' ranks (Pratt 1959). 1 where all differences are 0.
    """
    if not np.any(values):
        return 1.0
    method = "asymptotic" if len(values) > 50 or (values == 0).any() else "auto"
    return float(wilcoxon(values, zero_method="zsplit", method=method).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for being several (Holm 1979).

    Args:
        p_values: made together.

    Returns:
        Corrected p values in the same order, at most 1.
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, highest)
    return [float(p) for p in corrected]


def compare(arm: Mapping[int, Values], base: Mapping[int, Values], resamples: int) -> Difference | None:
    """Compare an arm with another; None if they have no group in common."""
    values = paired_differences(arm, base)
    if not len(values):
        return None
    low, high = bootstrap_interval(values, resamples)
    return Difference(float(values.mean()), low, high, signed_rank_p(values), len(values))


def compare_average_precision(
    arm: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]], resamples: int, seed: int = 0
) -> Difference | None:
    """Compare two arms by the average precision of finding the images with a defect, resampling groups of each fold.

    Args:
        arm: runs; those with the fold and seed of a run of `base` are used.
        base: runs.
        resamples: how many.
        seed: same seed, same interval.
    """
    partners = {(run["fold"], run["seed"]): run for run in base}
    pairs = [(run, partners[run["fold"], run["seed"]]) for run in arm if (run["fold"], run["seed"]) in partners]
    groups: dict[int, list[str]] = {}
    for run, _ in pairs:
        groups.setdefault(run["fold"], sorted({image["group"] for image in run["images"]}))
    rng = np.random.default_rng(seed)
    # How often each group is taken: once, and then as each resample has it.
    taken = {fold: np.ones((1 + resamples, len(names)), np.int64) for fold, names in groups.items()}
    for resample in range(1, 1 + resamples):
        for fold, names in groups.items():
            drawn = rng.integers(len(names), size=len(names))
            taken[fold][resample] = np.bincount(drawn, minlength=len(names))
    found = [
        np.subtract(*(_average_precisions(run, groups[run["fold"]], taken[run["fold"]]) for run in pair))
        for pair in pairs
    ]
    known = ~np.isnan(found).reshape(len(pairs), -1)
    counts = known.sum(axis=0)
    if not pairs or not counts[0]:
        return None
    means = np.where(known, found, 0).sum(axis=0)[counts > 0] / counts[counts > 0]
    low, high = np.quantile(means[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(means[0]), float(low), float(high), None, sum(len(names) for names in groups.values()))


def _average_precisions(run: Mapping[str, Any], groups: Sequence[str], taken: np.ndarray) -> np.ndarray:
    """Return a run's average precision with each group taken (R, G) times: (R,) float64, nan where not defined."""
    place = {name: index for index, name in enumerate(groups)}
    images = [image for image in run["images"] if image["group"] in place]
    return average_precisions(images, taken[:, [place[image["group"]] for image in images]])
