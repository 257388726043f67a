"""Which images of a data set are shown: every class, large and small defects, a few clean images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from albu_gan.data import DefectDataset, Record

CLEAN_SHARE = 8  # one image in so many is a clean one


def choose(dataset: DefectDataset, count: int, classes: Sequence[int]) -> list[tuple[Record, int | None]]:
    """Return records and the class for which each is shown, None for a clean one; classes take turns.

    Args:
        dataset: opened.
        count: of images, at most.
        classes: indices to show.
    """
    clean = [record for record in dataset.records if not record.classes]
    defective = len({record.name for record in dataset.records if record.classes & set(classes)})
    num_clean = min(len(clean), max(count // CLEAN_SHARE, count - defective))
    queues = {index: _spread([r for r in dataset.records if index in r.classes], count) for index in classes}
    chosen: list[tuple[Record, int | None]] = []
    taken: set[str] = set()
    while len(chosen) < count - num_clean and any(queues.values()):
        for index, queue in queues.items():
            while queue and queue[0].name in taken:
                queue.pop(0)
            if queue and len(chosen) < count - num_clean:
                taken.add(queue[0].name)
                chosen.append((queue.pop(0), index))
    chosen.sort(key=lambda entry: (entry[1], entry[0].name))
    return chosen + [(record, None) for record in _spread(clean, num_clean)[:num_clean]]


def _spread(records: list[Record], count: int) -> list[Record]:
    """Return the records in another order: first `count` of them, evenly spread over the list, then the rest."""
    first = sorted({int(i) for i in np.linspace(0, len(records) - 1, min(count, len(records)))}) if records else []
    rest = sorted(set(range(len(records))) - set(first))
    return [records[i] for i in (*first, *rest)]


def window_of(mask: np.ndarray, number: int, cell: int, side_range: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of a square view of one defect, with some of its surroundings.

    Args:
        mask: (H, W), nonzero = defect.
        number: of the view: even ones show the largest patch of the mask, odd ones the smallest.
        cell: side of the picture, in pixels: a view that is smaller is one of its whole parts.
        side_range: shortest and longest side of the view, in pixels; a longer defect is shown in part.
    """
    height, width = mask.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask != 0).astype(np.uint8), connectivity=8)
    if count == 1:
        return slice(0, height), slice(0, width)
    areas = stats[1:, cv2.CC_STAT_AREA]
    patch = 1 + int(areas.argmax() if number % 2 == 0 else areas.argmin())
    left, top, w, h, _ = (int(v) for v in stats[patch])
    side = int(np.clip(1.5 * max(w, h) + 16, *side_range))
    if side < cell:
        side = cell // (cell // side)
    y, x = top + h // 2, left + w // 2
    if max(w, h) > side:  # about a pixel of its own, not the empty middle of its box
        rows, columns = np.nonzero(labels[top : top + h, left : left + w] == patch)
        nearest = int(np.argmin((rows - h // 2) ** 2 + (columns - w // 2) ** 2))
        y, x = top + int(rows[nearest]), left + int(columns[nearest])
    return _about(y, side, height), _about(x, side, width)


def _about(centre: int, side: int, limit: int) -> slice:
    side = min(side, limit)
    first = min(max(centre - side // 2, 0), limit - side)
    return slice(first, first + side)
