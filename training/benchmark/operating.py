"""Figures at the operating point that suits each network, whatever share of its training showed defects.

A network calls the more a defect, the more defects it was shown; arms that paint show more than the others. So the odds
of the background are multiplied by a factor before a pixel is called anything. The factor for a test group is the one
that does best on all other test groups: a group never takes part in the choice that it is measured by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.benchmark.scoring import FACTORS

Run = Mapping[str, Any]


def has_operating_points(run: Run) -> bool:
    """Whether the run's images say what they are at other factors than 1; those of older runs do not."""
    return all("dice_at" in image for image in run["images"])


def dice_at(run: Run) -> dict[int, dict[str, np.ndarray]]:
    """Return, by class index and group, the mean Dice of the group's images at each of `FACTORS`: (F,) float64."""
    found: dict[int, dict[str, list[Sequence[float]]]] = defaultdict(lambda: defaultdict(list))
    for image in run["images"]:
        for index, values in zip(image["classes"], image["dice_at"], strict=True):
            found[index][image["group"]].append(values)
    return {index: {group: np.mean(v, axis=0) for group, v in groups.items()} for index, groups in found.items()}


def chosen_factors(run: Run) -> dict[str, int]:
    """Return, for each test group, which of `FACTORS` has the highest mean Dice over the other groups' classes.

    Of several, the nearest to 1. A group without a defect has the choice of all that show one.
    """
    of_group: dict[str, list[np.ndarray]] = defaultdict(list)
    for groups in dice_at(run).values():
        for group, values in groups.items():
            of_group[group].append(values)
    means = {group: np.mean(values, axis=0) for group, values in of_group.items()}
    order = np.argsort(np.abs(np.log(FACTORS)), kind="stable")
    chosen = {}
    for group in {image["group"] for image in run["images"]}:
        others = [values for name, values in means.items() if name != group]
        total = np.sum(others, axis=0) if others else np.zeros(len(FACTORS))
        chosen[group] = int(order[np.argmax(np.round(total[order], 9))])
    return chosen


def operating_dice(run: Run, class_index: int) -> dict[str, float]:
    """Return the Dice of a class in each group that shows it, at the factor chosen for that group."""
    chosen = chosen_factors(run)
    return {group: float(values[chosen[group]]) for group, values in dice_at(run).get(class_index, {}).items()}


def operating_alarms(run: Run) -> dict[str, float]:
    """Return the mean of false-positive pixels of each group's clean images there, per million pixels."""
    chosen = chosen_factors(run)
    values: dict[str, list[float]] = defaultdict(list)
    for image in run["images"]:
        if not image["classes"]:
            values[image["group"]].append(1e6 * image["alarm_at"][chosen[image["group"]]] / image["pixels"])
    return {group: float(np.mean(v)) for group, v in values.items()}
