"""How cost grows: with the side of the image and with the number of defects, beside a copy of the same image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.cases import copy, painting, seeded, surface
from benchmarks.settings import Settings
from benchmarks.timing import Summary, interleaved, less, ratio, summary

DEFECTS_SIDE = 1024  # of the image that gets many defects, pixels


def measure_growth(weights: str, settings: Settings) -> dict[str, Any]:
    """Time one defect in images of every size, and many defects in one image."""
    return {"sides": by_side(weights, settings), "defects": by_defects(weights, settings)}


def by_side(weights: str, settings: Settings) -> dict[str, Any]:
    """Time one defect in square images; all sizes and their copies take turns.

    Returns:
        Milliseconds of the transform, of a copy of image and mask, and of what is beyond it, by side. For every side
        also the ratio of what is beyond the copy to that of the largest side, within each round. Sides from 512 see the
        same shapes: the random numbers are the same and no shape is too large.
    """
    sides = settings.growth_sides
    transforms = {side: painting(weights, defects_range=(1, 1)) for side in sides}
    functions: dict[str, Callable[[], Any]] = {}
    for side in sides:
        image, mask = surface((side, side), 1, seed=3), np.zeros((side, side), np.uint8)
        mask[: side // 16, : side // 16] = 1  # a label that is to be avoided
        functions[f"{side}"] = partial(transforms[side], image=image, mask=mask)
        functions[f"copy {side}"] = partial(copy, image, mask)
    seconds = interleaved(functions, settings.rounds, lambda number: seeded(list(transforms.values()), number))
    beyond = {side: less(seconds[f"{side}"], seconds[f"copy {side}"]) for side in sides}
    return {
        f"{side}": {
            "transform_ms": summary(seconds[f"{side}"], 1000.0),
            "copy_ms": summary(seconds[f"copy {side}"], 1000.0),
            "beyond_copy_ms": summary(beyond[side], 1000.0),
            "largest_to_this": ratio(beyond[sides[-1]], beyond[side]),
        }
        for side in sides
    }


def by_defects(weights: str, settings: Settings) -> dict[str, Summary]:
    """Time a fixed number of defects in one image: milliseconds by number."""
    numbers = settings.growth_defects
    image, mask = surface((DEFECTS_SIDE,) * 2, 1, seed=4), np.zeros((DEFECTS_SIDE,) * 2, np.uint8)
    transforms = {number: painting(weights, defects_range=(number, number)) for number in numbers}
    functions: dict[str, Callable[[], Any]] = {
        f"{number}": partial(transform, image=image, mask=mask) for number, transform in transforms.items()
    }
    seconds = interleaved(functions, settings.rounds, lambda number: seeded(list(transforms.values()), number))
    return {name: summary(values, 1000.0) for name, values in seconds.items()}
