from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from training.benchmark.report import figures_table
from training.benchmark.scoring import average_precision, average_precisions
from training.benchmark.statistics import (
    bootstrap_interval,
    compare,
    compare_average_precision,
    group_values,
    holm,
    paired_differences,
    signed_rank_p,
)


def test_holm_is_its_closed_form() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 x 0.01; 2 x 0.03; no less than that
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02]) == [0.02]


def test_the_signed_rank_test_is_exact_for_few_groups() -> None:
    # All n differences positive: both tails of 2^n sign patterns.
    assert signed_rank_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 2**5)
    assert signed_rank_p(np.zeros(6)) == 1.0
    values = np.random.default_rng(0).normal(0.2, 1, 20)
    assert signed_rank_p(values) == pytest.approx(stats.wilcoxon(values).pvalue)
    assert signed_rank_p(-values) == pytest.approx(signed_rank_p(values))


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(1).normal(0.1, 0.3, 40)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=2).confidence_interval
    assert bootstrap_interval(values, 20000) == pytest.approx((expected.low, expected.high), abs=0.005)
    assert bootstrap_interval(np.full(5, 0.25), 100) == (0.25, 0.25)


def run(fold: int, seed: int, values: dict[str, float]) -> dict[str, Any]:
    return {"fold": fold, "seed": seed, "values": values}


def values_of(one: dict[str, Any]) -> dict[str, float]:
    return one["values"]


def test_a_fold_with_more_seeds_counts_no_more_than_another() -> None:
    summary = {"dice": {"pit": 0.0}, "mean_iou": 0.0, "average_precision": 0.0, "false_alarm_ppm": 0.0}
    runs = [
        {"fold": fold, "class_names": ["pit"], "images": [{}], "summary": {**summary, "mean_dice": dice}}
        for fold, dice in ((0, 0.2), (0, 0.4), (1, 0.6))
    ]
    (row,) = figures_table({0.25: {"gan": runs}}).splitlines()[2:]
    assert row == "| 25% | `gan` | 3 | 0.000 | 0.450 | 0.000 | 0.000 | 0 | - | - |"


def test_groups_are_paired_by_fold_and_averaged_over_the_seeds_that_both_have() -> None:
    arm = [run(0, 0, {"a": 0.5, "b": 0.5}), run(0, 1, {"a": 0.9, "b": 0.5}), run(1, 0, {"c": 1.0})]
    base = [run(0, 0, {"a": 0.4, "b": 0.5}), run(0, 1, {"a": 0.5}), run(1, 2, {"c": 0.0}), run(0, 3, {"b": 9.0})]
    sides = [group_values(runs, values_of) for runs in (arm, base)]
    # a: (0.1 + 0.4) / 2; b: seed 0 alone; c: no seed in common
    assert paired_differences(*sides) == pytest.approx([0.25, 0.0])
    found = compare(*sides, resamples=200)
    assert found is not None and found.mean == pytest.approx(0.125) and found.groups == 2
    assert found.low <= found.mean <= found.high
    assert compare(sides[0], {7: {(0, "a"): 1.0}}, 200) is None


def test_exposures_of_one_part_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(3)
    parts = {f"g{i}": float(v) for i, v in enumerate(rng.normal(0, 0.2, 8))}
    zero = dict.fromkeys(parts, 0.0)
    few = compare(group_values([run(0, 0, parts)], values_of), group_values([run(0, 0, zero)], values_of), 2000)
    many_seeds = [group_values([run(0, s, v) for s in range(10)], values_of) for v in (parts, zero)]
    many = compare(*many_seeds, 2000)
    assert few is not None and many is not None
    assert (many.low, many.high, many.p) == pytest.approx((few.low, few.high, few.p))


def test_average_precision_is_compared_by_whole_groups() -> None:
    def scored(shift: float) -> dict[str, Any]:
        images = [
            {"group": f"{kind}{g}", "classes": [0] if kind == "d" else [], "score": s + (shift if kind == "d" else 0)}
            for kind in "dc"
            for g in range(6)
            for s in (0.1 * g, 0.1 * g + 0.05)
        ]
        return {"fold": 0, "seed": 0, "images": images}

    better, worse = [scored(1.0)], [scored(0.0)]
    found = compare_average_precision(better, worse, 100)
    assert found is not None and found.groups == 12
    assert average_precision(better[0]["images"]) == 1.0
    assert found.mean == pytest.approx(1 - average_precision(worse[0]["images"]))
    assert 0 <= found.low <= found.mean <= found.high
    same = compare_average_precision(worse, worse, 100)
    assert same is not None and (same.mean, same.low, same.high) == (0, 0, 0)


def test_average_precision_of_draws_is_that_of_their_images() -> None:
    """Against torchmetrics, with images of equal score, drawn several times or not at all."""
    rng = np.random.default_rng(0)
    images = [{"classes": [0] * int(rng.random() < 0.4), "score": float(rng.integers(9)) / 8} for _ in range(30)]
    times = rng.integers(4, size=(40, 30))
    defective = np.array([bool(image["classes"]) for image in images])
    times[0, defective], times[1, ~defective], times[2] = 0, 0, 0
    found = average_precisions(images, times)
    for values, row in zip(found, times, strict=True):
        expected = average_precision([image for image, n in zip(images, row, strict=True) for _ in range(n)])
        assert np.isnan(values) if expected is None else values == pytest.approx(expected, abs=1e-6)
    assert np.isnan(found[:3]).all() and not np.isnan(found[3:]).any()
