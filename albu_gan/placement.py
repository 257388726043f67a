"""Where a defect may go: inside a region, off existing defects, at a border if it belongs there."""

from __future__ import annotations

import cv2
import numpy as np

from albu_gan.masks import Shape

RANDOM_TRIES = 12  # of each of two kinds


def place(
    shape: Shape, blocked: np.ndarray | None, image_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Draw a position at which a shape lies inside the image and covers no blocked pixel.

    Random positions are tried first; if all fail, every position is examined, so None means that there is none.

    Args:
        shape: to place. If it touches a border of its own image it is placed at that border.
        blocked: (H, W) bool, True where nothing may be painted; None if nothing is blocked.
        image_hw: height and width of the image.
        rng: the only source of randomness.

    Returns:
        Row and column of the shape's upper left corner, or None if it fits nowhere.
    """
    (H, W), (h, w) = image_hw, shape.mask.shape
    if h > H or w > W:
        return None
    rows, columns = _span(H - h, shape.edges[0], shape.edges[2]), _span(W - w, shape.edges[1], shape.edges[3])
    if blocked is None:
        return _draw(rows, rng), _draw(columns, rng)
    if blocked.size - np.count_nonzero(blocked) < np.count_nonzero(shape.mask):
        return None
    free: np.ndarray = np.empty(0, np.int64)
    inside: np.ndarray = free
    for attempt in range(2 * RANDOM_TRIES):
        if attempt < RANDOM_TRIES:  # every free position with the same probability
            top, left = _draw(rows, rng), _draw(columns, rng)
        else:  # a free pixel under a random pixel of the shape: finds small regions
            if not free.size:  # listed when it must be: half a second where hundreds are placed in a large image
                free, inside = np.flatnonzero(~blocked.ravel()), np.argwhere(shape.mask)
            anchor = np.array(divmod(int(free[rng.integers(free.size)]), W)) - inside[rng.integers(len(inside))]
            top, left = int(np.clip(anchor[0], *rows)), int(np.clip(anchor[1], *columns))
        if not blocked[top : top + h, left : left + w][shape.mask].any():
            return top, left
    area = blocked[rows[0] : rows[1] + h, columns[0] : columns[1] + w].astype(np.float32)
    overlap = cv2.matchTemplate(area, shape.mask.astype(np.float32), cv2.TM_CCORR)
    # The correlation is a Fourier transform's: 0 up to rounding, so what is near 0 is checked exactly.
    candidates = np.argwhere(overlap < 0.5)
    for index in rng.permutation(len(candidates))[:64]:
        top, left = int(candidates[index][0]) + rows[0], int(candidates[index][1]) + columns[0]
        if not blocked[top : top + h, left : left + w][shape.mask].any():
            return top, left
    return None


def _span(room: int, at_start: bool, at_end: bool) -> tuple[int, int]:
    """First and last allowed start of an interval with `room` to move."""
    if at_start and not at_end:
        return 0, 0
    if at_end and not at_start:
        return room, room
    return 0, room


def _draw(span: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(span[0], span[1] + 1))
