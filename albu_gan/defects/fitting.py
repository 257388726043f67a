"""Defects for an image, and places for a defect: what is painted lies where a donor could have been seen."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from albu_gan.defects.bank import DefectBank
from albu_gan.defects.clarity import seen_clearly
from albu_gan.defects.likeness import choose, describe, fitting_odds, place_like, probe_points
from albu_gan.defects.placement import Occupancy, free_places
from albu_gan.defects.shapes import Shape

PLACES = 10  # positions of which the one most like the donor's surroundings is preferred
MORE_PLACES = 32  # if none of those is like them
USUAL = 1.3  # see `unlikeness`: up to where a place passes for one where the class is seen
VIEWS = 12  # spots of an image that say which donors could have been seen in it
PROBE = probe_points(np.ones((16, 16), bool))  # for these, whatever the shape


def draw_fitting(
    bank: DefectBank,
    class_index: int,
    image: np.ndarray,
    strength: float,
    rng: np.random.Generator,
    painted: Collection[int] = (),
) -> int:
    """Draw a defect of a class that could have been seen on a surface as an image has.

    All that fit some spot of it are equally probable; the others the less, the less they do.

    Args:
        bank: with appearances.
        class_index: of the defect.
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1].
        strength: `place_like` of `DefectSampler`; 0 for any defect with the same probability.
        rng: the only source of randomness.
        painted: classes that a compound may hold; see `DefectBank.counts`.

    Returns:
        Its number in the bank.
    """
    members = bank.members(class_index, painted)
    if strength <= 0 or len(members) == 1:
        return members[int(rng.integers(len(members)))]
    height, width = image.shape[:2]
    spots = rng.integers((max(height - 15, 1), max(width - 15, 1)), size=(VIEWS, 2))
    seen, usual = bank.surroundings_of_class(class_index, painted)
    views = describe(image, PROBE, spots)
    least = bank.least_clarity_of_class(class_index)
    clear = seen_clearly(bank.clarities(members), seen[:, -1], views[:, -1], least)
    return members[choose(fitting_odds(views, seen, usual, USUAL, strength, clear), rng)]


def find_alike_place(
    bank: DefectBank,
    shape: Shape,
    taken: Occupancy,
    rng: np.random.Generator,
    image: np.ndarray,
    strength: float,
    max_shift: float = 1.0,
) -> tuple[tuple[int, int], float] | None:
    """Find a free place that is like the one that the shape's donor was seen in, and say how unlike it is.

    Of some random ones; of more if those are all less like it than is usual. None if the shape fits nowhere.

    Args:
        bank: with appearances.
        shape: of the bank.
        taken: what is blocked or taken in the image.
        rng: the only source of randomness.
        image: (H, W) or (H, W, C), uint8, or float32 in [0, 1].
        strength: `place_like` of `DefectSampler`.
        max_shift: see `albu_gan.defects.placement.starts`.
    """
    for count in (PLACES, MORE_PLACES):
        places = free_places(shape, taken, taken.image_hw, rng, max_shift, count)
        if not len(places):
            return None
        corner, unlike = most_alike(bank, shape, places, rng, image, strength)
        if unlike <= USUAL:
            break
    return corner, unlike


def most_alike(
    bank: DefectBank,
    shape: Shape,
    places: np.ndarray,
    rng: np.random.Generator,
    image: np.ndarray,
    strength: float,
) -> tuple[tuple[int, int], float]:
    """Choose one of (K, 2) places by likeness; return it, and how unlike it is; see `likeness.place_like`."""
    assert shape.donor is not None, "the shape is of the bank"
    seen, usual = bank.surroundings(shape.donor)
    number, unlike = place_like(image, shape.mask, places, seen, usual, strength, rng)
    return (int(places[number, 0]), int(places[number, 1])), unlike
