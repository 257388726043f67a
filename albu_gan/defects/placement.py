"""Where a defect may go: inside a region, off existing defects, at a border if it belongs there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from albu_gan.defects.shapes import Shape

RANDOM_TRIES = 12  # of each of two kinds
STRIP_PIXELS = 1 << 16  # that are looked at together where pixels are counted

Lookup = Callable[[slice, slice], "np.ndarray | None"]
"""From rows and columns of an image to (h, w) bool, True where nothing may be painted there; None if nothing is."""


class Occupancy:
    """The pixels of an image that are blocked or taken, looked up where a shape is tried.

    No map of the image is made: what a defect costs must not grow with the image that it goes into.

    Args:
        image_hw: height and width of the image.
        blocked: (H, W) bool, True where nothing may be painted, or a function that looks such a part up; None if
            nothing is blocked. Never written to.
    """

    def __init__(self, image_hw: tuple[int, int], blocked: np.ndarray | Lookup | None = None) -> None:
        self.image_hw = image_hw
        self._blocked = _lookup(blocked)
        self._drawn: list[tuple[int, int, np.ndarray]] = []

    def cover(self, mask: np.ndarray, top: int, left: int) -> None:
        """Take the pixels of an (h, w) bool mask, none of which is blocked or taken."""
        self._drawn.append((top, left, mask))

    def uncover(self, mask: np.ndarray, top: int, left: int) -> None:
        """Give the pixels of a mask that was covered back."""
        index = next(i for i, (y, x, m) in enumerate(self._drawn) if m is mask and (y, x) == (top, left))
        del self._drawn[index]

    def part(self, rows: slice, columns: slice) -> np.ndarray | None:
        """Return (h, w) bool of rows and columns with a start and a stop; None if all of it is free."""
        found = self._blocked(rows, columns)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        copied = False
        for top, left, mask in self._drawn:
            y, x = top - rows.start, left - columns.start
            if y >= height or x >= width or y + mask.shape[0] <= 0 or x + mask.shape[1] <= 0:
                continue
            if not copied:  # what was looked up may be a view of the caller's array
                found, copied = np.zeros((height, width), bool) if found is None else found.copy(), True
            assert found is not None
            inside = mask[max(-y, 0) : height - y, max(-x, 0) : width - x]
            found[max(y, 0) : y + mask.shape[0], max(x, 0) : x + mask.shape[1]] |= inside
        return found

    def meets(self, mask: np.ndarray, top: int, left: int) -> bool:
        """Whether an (h, w) bool mask inside the image would cover a pixel that is not free."""
        found = self.part(slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
        return found is not None and bool(found[mask].any())

    def has_free(self, pixels: int) -> bool:
        """Whether at least so many pixels are free; looks no further than it takes to know."""
        for rows, found in self._strips():
            blocked = 0 if found is None else int(np.count_nonzero(found))
            pixels -= (rows.stop - rows.start) * self.image_hw[1] - blocked
            if pixels <= 0:
                return True
        return False

    def free_by_row(self) -> np.ndarray:
        """Count the free pixels of every row: (H,) int64."""
        counts = np.full(self.image_hw[0], self.image_hw[1], np.int64)
        for rows, found in self._strips():
            if found is not None:
                counts[rows] -= np.count_nonzero(found, axis=1)
        return counts

    def free_columns(self, row: int) -> np.ndarray:
        """Return the columns of a row that are free, ascending."""
        found = self.part(slice(row, row + 1), slice(0, self.image_hw[1]))
        return np.arange(self.image_hw[1]) if found is None else np.flatnonzero(~found[0])

    def _strips(self) -> Iterator[tuple[slice, np.ndarray | None]]:
        height, width = self.image_hw
        step = max(1, STRIP_PIXELS // width)
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            yield rows, self.part(rows, slice(0, width))


def _lookup(blocked: np.ndarray | Lookup | None) -> Lookup:
    if blocked is None:
        return lambda rows, columns: None
    if isinstance(blocked, np.ndarray):
        array = blocked
        return lambda rows, columns: array[rows, columns]
    return blocked


def place(
    shape: Shape,
    blocked: Occupancy | np.ndarray | None,
    image_hw: tuple[int, int],
    rng: np.random.Generator,
    max_shift: float = 1.0,
) -> tuple[int, int] | None:
    """Draw a position at which a shape lies inside the image and covers no blocked pixel.

    Random positions are tried first; if all fail, every position is examined, so None means that there is none.

    Args:
        shape: to place. If it touches a border of its own image it is placed at that border.
        blocked: (H, W) bool, True where nothing may be painted, or what is known of it; None if nothing is blocked.
        image_hw: height and width of the image.
        rng: the only source of randomness.
        max_shift: how far from where it was seen the shape may lie; see `starts`.

    Returns:
        Row and column of the shape's upper left corner, or None if it fits nowhere.
    """
    (H, W), (h, w) = image_hw, shape.mask.shape
    if h > H or w > W:
        return None
    rows, columns = starts(shape, image_hw, max_shift)
    taken = blocked if isinstance(blocked, Occupancy) else Occupancy(image_hw, blocked)
    if not taken.has_free(int(np.count_nonzero(shape.mask))):
        return None
    for _ in range(RANDOM_TRIES):  # every free position with the same probability
        top, left = _draw(rows, rng), _draw(columns, rng)
        if not taken.meets(shape.mask, top, left):
            return top, left
    free, inside = np.cumsum(taken.free_by_row()), np.argwhere(shape.mask)
    for _ in range(RANDOM_TRIES):  # a free pixel under a random pixel of the shape: finds small regions
        number = int(rng.integers(free[-1]))
        row = int(np.searchsorted(free, number, side="right"))
        column = taken.free_columns(row)[number - (free[row - 1] if row else 0)]
        anchor = np.array([row, column]) - inside[rng.integers(len(inside))]
        top, left = int(np.clip(anchor[0], *rows)), int(np.clip(anchor[1], *columns))
        if not taken.meets(shape.mask, top, left):
            return top, left
    area = taken.part(slice(rows[0], rows[1] + h), slice(columns[0], columns[1] + w))
    assert area is not None, "something was met"
    overlap = cv2.matchTemplate(area.astype(np.float32), shape.mask.astype(np.float32), cv2.TM_CCORR)
    # The correlation is a Fourier transform's: 0 up to rounding, so what is near 0 is checked exactly.
    candidates = np.argwhere(overlap < 0.5)
    for index in rng.permutation(len(candidates))[:64]:
        top, left = int(candidates[index][0]) + rows[0], int(candidates[index][1]) + columns[0]
        if not taken.meets(shape.mask, top, left):
            return top, left
    return None


def starts(shape: Shape, image_hw: tuple[int, int], max_shift: float = 1.0) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, and first and last column, at which a shape that fits into the image may start.

    Args:
        shape: to place.
        image_hw: height and width of the image.
        max_shift: heights and widths of the image that the middle of the shape may lie off the place at which it was
            seen, up or down and to either side; 1 for anywhere. A shape that belongs at a border is placed there, and
            one that does not fit where it was seen as near to it as it fits.
    """
    spans = []
    for axis, (side, length) in enumerate(zip(image_hw, shape.mask.shape, strict=True)):
        first, last = _span(side - length, shape.edges[axis], shape.edges[axis + 2])
        if max_shift < 1 and shape.centre_yx is not None:
            near, far = (shape.centre_yx[axis] * side - length / 2 + sign * max_shift * side for sign in (-1, 1))
            low, high = (min(max(round(end), first), last) for end in (near, far))
            first, last = low, high
        spans.append((first, last))
    return spans[0], spans[1]


def _span(room: int, at_start: bool, at_end: bool) -> tuple[int, int]:
    """First and last allowed start of an interval with `room` to move."""
    if at_start and not at_end:
        return 0, 0
    if at_end and not at_start:
        return room, room
    return 0, room


def _draw(span: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(span[0], span[1] + 1))
