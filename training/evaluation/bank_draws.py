"""What is painted from a bank to measure it: one draw, at several variations and as copy-paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.defects import (
    USUAL,
    Occupancy,
    Shape,
    draw_fitting,
    dress,
    find_alike_place,
    jitter_and_cut,
    jitter_shape,
    wear,
)
from albu_gan.painting import Draw, contrast, edge_weight, paste
from training.evaluation.bank_sides import Sides, Surface

SCALE_RANGE, ROTATE_RANGE, PLACE_LIKE, MIN_CONTRAST = (0.8, 1.25), (-15.0, 15.0), 0.7, 8.0  # as the transform has them
SHAPE_TRIES = 3  # for one whose surroundings the surface has
WORN = ("worn", "worn_again")  # what `paint_worn` paints
TRIES = 12  # of shape and place; then of each variation


@dataclass(frozen=True)
class Placed:
    """A shape of the bank in its place, not yet dressed; everything that is painted from it shares both.

    Attributes:
        surface: that is painted into.
        shape: mirrored, scaled and turned.
        top: first row of its mask.
        left: first column.
        seed: of its variations.
    """

    surface: Surface
    shape: Shape
    top: int
    left: int
    seed: int


@dataclass(frozen=True)
class Painted:
    """An image with one painted defect.

    Attributes:
        image: (H, W, C) uint8.
        mask: (h, w) bool.
        top: first row of the mask.
        left: first column.
    """

    image: np.ndarray
    mask: np.ndarray
    top: int
    left: int


def draw_places(
    sides: Sides, class_index: int, count: int, variations: Sequence[float], seed: int
) -> Iterator[tuple[Placed, dict[str, Painted]]]:
    """Draw shapes and places as the transform does, and paint each at every variation, twice, and as copy-paste.

    What cannot be seen at some variation is drawn again, as the transform does; so all sets show the same draws.

    Yields:
        At most `count` times: the draw, and what is painted from it, keyed by `key_of` and "copy_paste".
    """
    rng = np.random.default_rng((seed, class_index))
    done = 0
    for _ in range(count * TRIES):
        if done == count:
            return
        placed = _placed(sides, class_index, rng)
        painted = None if placed is None else paint_all(sides, placed, variations)
        if placed is not None and painted is not None:
            done += 1
            yield placed, painted


def key_of(variation: float, again: bool = False) -> str:
    """Name of the set that is painted at a variation; `again`: with other random numbers."""
    return f"painted_{variation:g}{'_again' if again else ''}"


def paint_all(sides: Sides, placed: Placed, variations: Sequence[float]) -> dict[str, Painted] | None:
    """Paint one draw at every variation and in another defect's look, twice, and as copy-paste.

    None if one of them cannot be seen.
    """
    made = {}
    for again in (False, True):
        worn = paint_worn(sides, placed, again)
        if worn is None:
            return None
        made[WORN[again]] = worn
        for variation in variations:
            painted = paint(sides, placed, variation, again)
            if painted is None:
                return None
            made[key_of(variation, again)] = painted
    made["copy_paste"] = copy_paste(sides, placed)
    return made


def paint(sides: Sides, placed: Placed, variation: float, again: bool = False) -> Painted | None:
    """Dress a draw and paint it; None if it leaves the image, covers what is blocked, or cannot be seen."""
    rng = np.random.default_rng((placed.seed, int(again)))
    surface, (H, W) = placed.surface, placed.surface.image.shape[:2]
    for _ in range(TRIES):
        shape = dress(placed.shape, sides.painter.bank, variation, rng)
        (h, w), moved = shape.mask.shape, getattr(getattr(shape.look, "variation", None), "offset_yx", (0, 0))
        if h > H or w > W:
            continue
        top, left = (
            min(max(start + step, 0), limit)
            for start, step, limit in zip((placed.top, placed.left), moved, (H - h, W - w), strict=True)
        )
        rows, columns = slice(top, top + h), slice(left, left + w)
        if surface.blocked is not None and (surface.blocked[rows, columns] & shape.mask).any():
            continue
        image = surface.image.copy()
        draw = Draw(shape.mask, top, left, shape.class_index, np.empty(0, np.float32), None, shape.look)
        (patch,) = sides.painter.paint(surface.image, [draw])
        paste(image, patch)
        if (
            patch.clarity >= 1
            and contrast(surface.image[rows, columns], image[rows, columns], shape.mask) >= MIN_CONTRAST
        ):
            return Painted(image, shape.mask, top, left)
    return None


def paint_worn(sides: Sides, placed: Placed, again: bool = False) -> Painted | None:
    """Lay the look of another real defect of the class into the same shape and place; None if none can be seen.

    Two of these differ as two real defects do, but for shape, size, place and surface.
    """
    rng = np.random.default_rng((placed.seed, 2 + int(again)))
    bank, shape, surface = sides.painter.bank, placed.shape, placed.surface.image
    others = [index for index in bank.members(shape.class_index) if index != shape.donor] or [shape.donor]
    for _ in range(TRIES):
        other = others[int(rng.integers(len(others)))]
        look = wear(shape.mask, bank, shape.class_index, other, 0.0, rng)
        draw = Draw(shape.mask, placed.top, placed.left, shape.class_index, np.empty(0, np.float32), None, look)
        image = surface.copy()
        (patch,) = sides.painter.paint(surface, [draw])
        paste(image, patch)
        rows, columns = (
            slice(start, start + length)
            for start, length in zip((placed.top, placed.left), shape.mask.shape, strict=True)
        )
        if contrast(surface[rows, columns], image[rows, columns], shape.mask) >= MIN_CONTRAST:
            return Painted(image, shape.mask, placed.top, placed.left)
    return None


def copy_paste(sides: Sides, placed: Placed) -> Painted:
    """Lay the donor's pixels as they are into the same place, with the edge that painted defects have."""
    shape, surface = placed.shape, placed.surface.image
    assert shape.donor is not None and shape.origin is not None, "it is of the bank"
    appearance, (h, w) = sides.painter.bank.appearance(shape.donor), shape.mask.shape
    x, y = appearance.offset_xy
    forward = np.vstack([shape.origin.matrix, [0, 0, 1]]) @ np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]])
    method = cv2.INTER_NEAREST if np.array_equal(forward, np.rint(forward)) else cv2.INTER_LINEAR
    pixels = cv2.warpAffine(appearance.pixels, forward[:2], (w, h), flags=method, borderMode=cv2.BORDER_REPLICATE)
    pixels = pixels.reshape(h, w, -1).astype(np.float32)
    alpha = edge_weight(shape.mask, placed.top, placed.left, (surface.shape[0], surface.shape[1]))[:, :, None]
    image = surface.copy()
    place = image[placed.top : placed.top + h, placed.left : placed.left + w]
    place[:] = np.rint(place + alpha * (pixels - place)).astype(np.uint8)
    return Painted(image, shape.mask, placed.top, placed.left)


def at_centre(shape: Shape, centre: tuple[float, float], surface: Surface, seed: int) -> Placed | None:
    """Place a shape with its middle at a row and column, as far as the image allows; None if it does not fit."""
    limits = [side - length for side, length in zip(surface.image.shape[:2], shape.mask.shape, strict=True)]
    if min(limits) < 0:
        return None
    top, left = (
        min(max(round(middle - length / 2), 0), limit)
        for middle, length, limit in zip(centre, shape.mask.shape, limits, strict=True)
    )
    return Placed(surface, shape, top, left, seed)


def jittered(shape: Shape, rng: np.random.Generator) -> Shape:
    """Mirror, scale and turn a shape as the transform does."""
    return jitter_shape(shape, SCALE_RANGE, ROTATE_RANGE, rng)


def _placed(sides: Sides, class_index: int, rng: np.random.Generator) -> Placed | None:
    bank = sides.painter.bank
    surface = sides.surfaces[int(rng.integers(len(sides.surfaces)))]
    taken = Occupancy((surface.image.shape[0], surface.image.shape[1]), surface.blocked)
    found = []
    for _ in range(SHAPE_TRIES):  # as `DefectSampler.draw_one` does
        donor = bank[draw_fitting(bank, class_index, surface.image, PLACE_LIKE, rng)]
        shape = jitter_and_cut(donor, taken.image_hw, SCALE_RANGE, ROTATE_RANGE, rng)
        place = find_alike_place(bank, shape, taken, rng, surface.image, PLACE_LIKE)
        if place is not None:
            corner, unlike = place
            found.append((unlike, Placed(surface, shape, *corner, int(rng.integers(2**31)))))
            if unlike <= USUAL:
                break
    return min(found, key=lambda entry: entry[0])[1] if found else None
