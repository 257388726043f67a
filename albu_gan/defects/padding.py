"""The filling that `PadIfNeeded`, `Rotate` or `Affine` leave around an image: nothing is painted on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CORNER = 3  # side of the corners that are looked at
STEP = 8  # between the pixels that say whether the rest of an image has a texture
LEAST_REST = 1 / 16  # of an image that is padded, in which there must be texture
LEAST_TEXTURE = 0.1  # of the rest, whose pixels differ from their neighbours


@dataclass(frozen=True)
class Filling:
    """Areas of one exact value that reach into a corner of a textured image.

    No camera delivers them, but for clipping: black ones count, white ones do not, since what a backlight overexposes
    may be the very surface. A small or untextured rest is no sign of padding: the image may be a drawing.

    Attributes:
        image: (H, W) or (H, W, C).
        values: (K, C) of the image's dtype, one for each value of a filling.
    """

    image: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> Filling | None:
        """Look for a filling; None if there is none. Four corners are looked at, then at most every 64th pixel."""
        values = _corner_values(image)
        if not values:
            return None
        found = np.stack(values)
        return cls(image, found) if _rest_has_texture(image, found) else None

    def __call__(self, rows: slice, columns: slice) -> np.ndarray | None:
        """Return (h, w) bool of a part of the image, True where it is filling; None if none of it is."""
        top, left = max(rows.start - 2, 0), max(columns.start - 2, 0)  # what an opening by 3 x 3 pixels looks at
        part = self.image[top : rows.stop + 2, left : columns.stop + 2]
        solid: np.ndarray | None = None
        for value in self.values:
            equal = _equal(part, value)
            if not equal.any():
                continue
            opened = cv2.morphologyEx(equal.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).view(bool)
            solid = opened if solid is None else solid | opened
        if solid is None:
            return None
        y, x = rows.start - top, columns.start - left
        cut = solid[y : y + rows.stop - rows.start, x : x + columns.stop - columns.start]
        return cut if cut.any() else None


def _corner_values(image: np.ndarray) -> list[np.ndarray]:
    """The values of corners that have one value alone, unless it is white."""
    white = 255 if image.dtype == np.uint8 else 1.0
    values: list[np.ndarray] = []
    for rows in (slice(None, CORNER), slice(-CORNER, None)):
        for columns in (slice(None, CORNER), slice(-CORNER, None)):
            corner = image[rows, columns]
            value = corner[0, 0]
            if (corner == value).all() and not (value >= white).all() and not any((value == v).all() for v in values):
                values.append(np.atleast_1d(value))
    return values


def _rest_has_texture(image: np.ndarray, values: np.ndarray) -> bool:
    """Whether enough of an image is no filling, and most of that no flat area."""
    height, width = ((side - 1) // STEP * STEP for side in image.shape[:2])  # each pixel has both neighbours
    here = image[:height:STEP, :width:STEP]
    rest = ~np.logical_or.reduce([_equal(here, value) for value in values])
    count = int(np.count_nonzero(rest))
    if count < LEAST_REST * rest.size or not count:
        return False
    beside, below = image[:height:STEP, 1 : width + 1 : STEP], image[1 : height + 1 : STEP, :width:STEP]
    differs = ((here != beside) | (here != below)).reshape(*rest.shape, -1).any(axis=2)
    return int(np.count_nonzero(differs & rest)) > LEAST_TEXTURE * count


def _equal(part: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(h, w) bool: where every channel has a value."""
    if part.ndim == 2:
        return np.asarray(part == value)
    found = part[:, :, 0] == value[0]
    for channel in range(1, part.shape[2]):
        found &= part[:, :, channel] == value[channel]
    return np.asarray(found)
