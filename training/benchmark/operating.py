"""Figures at one rate of false alarms for all networks, whatever share of their training showed defects.

A network calls the more a defect, the more defects it was shown, and arms that paint show more than the others; Dice of
images with a defect rewards it for that where defects are large. So networks are also compared where a line would run
them: the odds of the background are multiplied by the least factor, 1 or more, that leaves at most `BUDGET` of clean
pixels called a defect. Clean images alone set it; of the defects that Dice is measured on it knows nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.benchmark.scoring import FACTORS

Run = Mapping[str, Any]
BUDGET = 0.001  # of clean pixels, that may be called a defect


def has_operating_points(run: Run) -> bool:
    """Whether the run says what its images, clean ones included, are at each of `FACTORS`; older ones do not."""
    if tuple(run.get("background_factors", FACTORS)) != FACTORS:
        return False
    return any("alarm_at" in image for image in run["images"]) and all("dice_at" in image for image in run["images"])


def alarm_share(run: Run) -> np.ndarray:
    """Return the share of clean pixels called a defect at each of `FACTORS`: (F,) float64, mean over groups."""
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for image in run["images"]:
        if not image["classes"]:
            found[image["group"]].append(np.array(image["alarm_at"]) / image["pixels"])
    return np.asarray(np.mean([np.mean(values, axis=0) for values in found.values()], axis=0))


def place_of_budget(run: Run) -> float:
    """Return where among `FACTORS`, from 1 on, the share of false alarms falls to `BUDGET`, linear between two of them.

    At 1 where it is below without, at the last where it never is.
    """
    share, one = alarm_share(run), FACTORS.index(1.0)
    below = np.flatnonzero(share[one:] <= BUDGET) + one
    if not len(below):
        return float(len(FACTORS) - 1)
    after = int(below[0])
    return float(one) if after == one else after - float((BUDGET - share[after]) / (share[after - 1] - share[after]))


def factor_of_budget(run: Run) -> float:
    """Return the factor there."""
    return float(np.exp(np.interp(place_of_budget(run), range(len(FACTORS)), np.log(FACTORS))))


def dice_at_budget(run: Run, class_index: int) -> dict[str, float]:
    """Return the Dice of a class there, by group: the mean over the group's images that show the class."""
    found: dict[str, list[Sequence[float]]] = defaultdict(list)
    for image in run["images"]:
        for index, values in zip(image["classes"], image["dice_at"], strict=True):
            if index == class_index:
                found[image["group"]].append(values)
    place, places = place_of_budget(run), range(len(FACTORS))
    return {group: float(np.interp(place, places, np.mean(values, axis=0))) for group, values in found.items()}
