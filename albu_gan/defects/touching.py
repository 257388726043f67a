"""Labels of different classes that touch, and are one defect together: a crack with the dark area beside it.

A label that others run along is cut by them: on its own it would end where they begin, as if with scissors. It is
joined with the neighbour that it meets the most, until nothing cuts what has been joined. A label that only ends at
another one, or is crossed by it, stays a defect of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.defects.surface import dilate
from albu_gan.painting import MAX_PARTS, Parts

MIN_AREA = 6  # pixels; what is smaller is a slip of the brush
LEAST_HOLE = 16  # pixels, likewise, between labels: of solar cells, smaller gaps look as the defect around them does
GAP = 4  # pixels that parts of one label may lie apart: a crack that the annotator lost for a moment
CUT_SHARE = 0.25  # of a mask's outline that may run along a neighbour

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Label:
    """A part of one class in an index mask that is connected but for gaps of up to `GAP` pixels.

    Attributes:
        class_index: of it.
        box: top, left, height, width.
        area: pixels.
    """

    class_index: int
    box: Box
    area: int


def find_labels(mask: np.ndarray) -> tuple[np.ndarray, list[Label]]:
    """Number the parts of each class of an index mask, from `MIN_AREA` pixels on; see `connected`.

    Args:
        mask: (H, W) integers, 0 clean, else class index + 1.

    Returns:
        (H, W) int32, number of the label from 1 on, -1 for what is too small to be one, 0 for clean; the labels, class
        by class.
    """
    numbers, labels = np.zeros(mask.shape, np.int32), []
    for value in np.unique(mask[mask > 0]):
        found = connected(mask == value)
        table = np.full(int(found.max()) + 1, -1, np.int32)
        table[0] = 0
        areas = np.bincount(found.ravel())
        for index, (top, left, height, width) in enumerate(_boxes(found), 1):
            if areas[index] >= MIN_AREA:
                labels.append(Label(int(value) - 1, (top, left, height, width), int(areas[index])))
                table[index] = len(labels)
        np.copyto(numbers, table[found], where=found > 0)
    return numbers, labels


def connected(mask: np.ndarray) -> np.ndarray:
    """Number the parts of an (H, W) bool mask that lie more than `GAP` pixels apart: (H, W) int32, 0 outside."""
    wide = cv2.dilate(mask.view(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP + 1, GAP + 1)))
    numbers = cv2.connectedComponents(wide, connectivity=8)[1]
    return np.where(mask, numbers, 0).astype(np.int32)


def _boxes(numbers: np.ndarray) -> list[Box]:
    """Return the box of every number from 1 on; each is there."""
    rows, columns = np.nonzero(numbers)
    found = numbers[rows, columns] - 1
    count = int(found.max()) + 1
    low, high = np.full((2, count), np.iinfo(np.int64).max), np.full((2, count), -1)
    for axis, at in enumerate((rows, columns)):
        np.minimum.at(low[axis], found, at)
        np.maximum.at(high[axis], found, at)
    return [(int(t), int(x), int(b - t + 1), int(r - x + 1)) for t, x, b, r in zip(*low, *high, strict=True)]


def outline_met(own: np.ndarray, labelled: np.ndarray) -> tuple[float, np.ndarray]:
    """Say how far other labels run along the outline of a mask.

    Args:
        own: (h, w) bool; no pixel at the border but where the image ends.
        labelled: (h, w), nonzero where any label is.

    Returns:
        The share of the outline that is labelled, and (h, w) bool where it is.
    """
    outline = dilate(own, 1) & ~own
    met = outline & (labelled != 0)
    return int(np.count_nonzero(met)) / max(int(np.count_nonzero(outline)), 1), met


def joined_labels(numbers: np.ndarray, labels: Sequence[Label]) -> list[list[int]]:
    """Join the labels that are cut by others with those.

    Args:
        numbers: of `find_labels`.
        labels: likewise.

    Returns:
        Groups of label numbers, ascending, ordered by their first; most have one member.
    """
    groups = {number: [number] for number in range(1, len(labels) + 1)}
    if len({label.class_index for label in labels}) > 1:
        group_of = np.arange(len(labels) + 1)
        met = {number: _most_met(numbers, labels, members, group_of)[0] for number, members in groups.items()}
        while met:
            first = max(met, key=lambda number: met[number])
            if met.pop(first) <= CUT_SHARE:
                break
            _, other = _most_met(numbers, labels, groups[first], group_of)
            if other == 0:  # nothing but slips of the brush
                continue
            groups[first] = sorted(groups[first] + groups.pop(other))
            group_of[groups[first]] = first
            met.pop(other, None)
            met[first], _ = _most_met(numbers, labels, groups[first], group_of)
    return sorted(groups.values())


def _most_met(
    numbers: np.ndarray, labels: Sequence[Label], members: Collection[int], group_of: np.ndarray
) -> tuple[float, int]:
    """Share of the outline of some labels that other labels run along, and the group met the most; 0 for none."""
    top, left, height, width = joined_box([labels[number - 1].box for number in members])
    around = numbers[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    own = np.zeros(len(labels) + 2, bool)  # -1 is the last entry
    own[list(members)] = True
    share, met = outline_met(own[around], around)
    beside = around[met]
    pixels = np.bincount(group_of[beside[beside > 0]], minlength=1)
    return share, int(pixels.argmax())


def joined_box(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes."""
    top, left = min(box[0] for box in boxes), min(box[1] for box in boxes)
    bottom, right = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return top, left, bottom - top, right - left


def parts_of(numbers: np.ndarray, labels: Sequence[Label], members: Sequence[int]) -> tuple[Parts, int] | None:
    """Return the parts that labels are of one compound, and the class that covers the most of it.

    Small gaps between the labels are of the nearest part: left out, the clean surface would shine through there.

    Args:
        numbers: (h, w) of `find_labels`, in the box of the compound.
        labels: of `find_labels`.
        members: numbers of the labels.

    Returns:
        None if there are more of them than a compound has.
    """
    if len(members) > MAX_PARTS:
        return None
    table = np.zeros(len(labels) + 2, np.uint8)  # -1 is the last entry
    table[list(members)] = np.arange(1, len(members) + 1)
    classes = tuple(labels[number - 1].class_index for number in members)
    areas = np.bincount(classes, [labels[number - 1].area for number in members])
    return Parts(_without_gaps(table[numbers], numbers > 0), classes), int(areas.argmax())


def _without_gaps(parts: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Fill the holes of fewer than `LEAST_HOLE` pixels, (h, w) uint8, that hold no other label."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats((parts == 0).view(np.uint8), connectivity=4)
    gap = stats[:, cv2.CC_STAT_AREA] < LEAST_HOLE
    gap[0] = False  # the parts themselves
    for taken in (holes[labelled & (parts == 0)], holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        gap[taken] = False
    return np.where(gap[holes], spread(parts), parts) if gap.any() else parts


def without_small_parts(numbers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give the pixels of parts that have become smaller than any label of a bank to their neighbours.

    Args:
        numbers: (h, w) uint8, above 0 in the mask.
        mask: (h, w) bool, not empty.

    Returns:
        (h, w) uint8, above 0 in the mask and 0 outside; at least `MIN_AREA` pixels of each number, unless there is one.
    """
    areas = np.bincount(numbers[mask], minlength=MAX_PARTS + 1)
    kept = areas >= MIN_AREA
    kept[int(areas.argmax())] = True
    kept[areas == 0] = True
    if not kept.all():
        numbers = spread(np.where(mask & kept[numbers], numbers, 0).astype(np.uint8))
    return np.where(mask, numbers, 0).astype(np.uint8)


def spread(numbers: np.ndarray) -> np.ndarray:
    """Give every pixel that has no number that of the nearest one that has.

    Args:
        numbers: (h, w) uint8, not all 0.
    """
    _, nearest = cv2.distanceTransformWithLabels(
        (numbers == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(nearest.max()) + 1, np.uint8)
    numbered = numbers != 0
    table[nearest[numbered]] = numbers[numbered]
    return table[nearest]
