"""How well a mask lies on what it labels: is anything seen there, and would it be seen better a few pixels away?"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MIN_AREA = 6  # pixels; what is smaller is not counted by the bank, either
LONG_SIDE = 1024  # larger images are reduced
REACH = 16  # pixels in which a better place is looked for
RING = 6  # pixels around a component that it is compared with
LEAST = 3.0  # levels of 255 in which the mean must differ to be seen
GRAIN = 0.5  # or this share of the surface's standard deviation, if that is more
ROUGHNESS = 0.3  # or: the share by which fine texture must differ
MOST_COMPONENTS = 40  # of an image, the largest ones


@dataclass(frozen=True)
class LabelFit:
    """What a mask labels.

    Attributes:
        components: number of connected parts that were looked at.
        invisible: how many of them differ from their surroundings in nothing.
        visibility: mean over the parts of how much they differ, 1 being just enough to be seen.
        shift_yx: where the mask would have to be moved to label the most, in pixels, at most `REACH` of the reduced
            image.
        best: the visibility there.
    """

    components: int
    invisible: int
    visibility: float
    shift_yx: tuple[float, float]
    best: float


def measure_fit(image: np.ndarray, mask: np.ndarray) -> LabelFit | None:
    """Compare each part of a mask with the ring around it, in place and moved.

    What is compared is the mean of each channel and of the local standard deviation.

    Args:
        image: (H, W, C) uint8.
        mask: (H, W) uint8, 0 where there is no label.

    Returns:
        None if there is no part of `MIN_AREA` pixels, or all are too large to have surroundings.
    """
    image, mask, factor = reduce_both(image, mask)
    labelled = (mask > 0).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(labelled, connectivity=8)
    order = [int(i) for i in np.argsort(-stats[1:, cv2.CC_STAT_AREA]) + 1][:MOST_COMPONENTS]
    order = [i for i in order if MIN_AREA <= stats[i, cv2.CC_STAT_AREA] <= mask.size / 4]
    if count < 2 or not order:
        return None
    planes = _planes(image)
    scores = []
    for index in order:
        left, top, width, height = (int(v) for v in stats[index][:4])
        part = (labels[top : top + height, left : left + width] == index).astype(np.uint8)
        scores.append(_scores(planes, labelled, part, (top, left)))
    mean = np.mean(scores, axis=0)
    y, x = np.unravel_index(int(np.argmax(mean)), mean.shape)
    own = [float(score[REACH, REACH]) for score in scores]
    return LabelFit(
        len(order),
        sum(score < 1 for score in own),
        float(np.mean(own)),
        (float(y - REACH) * factor, float(x - REACH) * factor),
        float(mean[y, x]),
    )


def reduce_both(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Make a large image and its mask smaller, and say how many pixels became one."""
    factor = max(1.0, max(mask.shape) / LONG_SIDE)
    if factor > 1:
        size = (round(mask.shape[1] / factor), round(mask.shape[0] / factor))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return image, mask, factor


def _planes(image: np.ndarray) -> list[np.ndarray]:
    """Return the channels, and last the local standard deviation of their mean, as (H, W) float32."""
    channels = [np.ascontiguousarray(image[:, :, c], np.float32) for c in range(image.shape[2])]
    gray = np.mean(channels, axis=0, dtype=np.float32)
    square = cv2.blur(gray * gray, (5, 5)) - cv2.blur(gray, (5, 5)) ** 2
    return [*channels, np.sqrt(np.maximum(square, 0))]


def _scores(planes: list[np.ndarray], labelled: np.ndarray, part: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Return how much the pixels below a part differ from those in its ring, for each shift of up to `REACH` pixels.

    Args:
        planes: of the image.
        labelled: (H, W) uint8.
        part: (h, w) uint8, a connected part of it.
        corner: row and column of its box.

    Returns:
        (2 REACH + 1, 2 REACH + 1) float32; 1 is just enough to be seen.
    """
    inside = np.pad(part, RING)
    ring = cv2.dilate(inside, np.ones((2 * RING - 1, 2 * RING - 1), np.uint8)) - cv2.dilate(
        inside, np.ones((3, 3), np.uint8)
    )
    kernel = inside.astype(np.float32) / int(inside.sum()) - ring.astype(np.float32) / max(int(ring.sum()), 1)
    margin = RING + REACH
    rows = slice(corner[0], corner[0] + part.shape[0] + 2 * margin)
    columns = slice(corner[1], corner[1] + part.shape[1] + 2 * margin)
    others = np.pad(labelled, margin)[rows, columns].copy()
    others[margin:-margin, margin:-margin] -= part
    best = np.zeros((2 * REACH + 1, 2 * REACH + 1), np.float32)
    here = (slice(REACH, -REACH), slice(REACH, -REACH))
    for number, plane in enumerate(planes):
        window = _crop(plane, corner, part.shape, margin)
        surface = window[here][(ring > 0) & (others[here] == 0)]
        if surface.size < MIN_AREA:
            continue
        window[others > 0] = np.median(surface)  # other labels must not attract this one
        difference = np.abs(cv2.matchTemplate(window, kernel, cv2.TM_CCORR))
        if number < len(planes) - 1:
            needed = max(LEAST, GRAIN * float(surface.std()))
        else:
            needed = max(1.0, ROUGHNESS * float(surface.mean()))
        best = np.maximum(best, difference / needed)
    return best


def _crop(plane: np.ndarray, corner: tuple[int, int], size_hw: tuple[int, ...], margin: int) -> np.ndarray:
    """Return a copy of a box with a margin; beyond the border the image is mirrored."""
    rows = _mirrored(np.arange(corner[0] - margin, corner[0] + size_hw[0] + margin), plane.shape[0])
    columns = _mirrored(np.arange(corner[1] - margin, corner[1] + size_hw[1] + margin), plane.shape[1])
    return np.ascontiguousarray(plane[np.ix_(rows, columns)])


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Fold indices beyond 0 and length - 1 back inside."""
    period = max(1, 2 * length - 2)
    index = np.abs(index) % period
    return np.minimum(index, period - index)
