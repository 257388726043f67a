"""A sheet on which somebody who does not know tells real defects from painted ones; the key lies elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from albu_gan.painting import Window, extract
from albu_gan.pictures import to_rgb, write_png
from training.atomic import write_json
from training.evaluation.bank_draws import draw_places, key_of
from training.evaluation.bank_sides import RealDefect, Sides

CELL = 160  # pixels
SMALL = 40  # pixels of the longer side of a defect, up to which it is shown at twice its size
LARGE = 130  # pixels, beyond which a cell does not hold a defect: taken only where there are too few others
COLUMNS = 8
GAP, TITLE = 6, 18
AGAIN = 0.4  # of a logarithm of size: what a surface that was shown before counts against a painted defect
CANDIDATES = 4  # painted defects for each that is shown, so that sizes can be chosen alike


@dataclass(frozen=True)
class Entry:
    """One cell of a sheet.

    Attributes:
        cell: (CELL, CELL, 3) uint8.
        side: pixels of the longer side of the defect.
        class_index: of it.
        painted: whether it is not real.
        said: where it is from, for the key.
    """

    cell: np.ndarray
    side: int
    class_index: int
    painted: bool
    said: dict[str, Any]


def blind_sheet(sides: Sides, count: int, variation: float, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Lay out real and painted defects of held-out groups in random order.

    Args:
        sides: real defects, and what to paint on which surfaces.
        count: of each kind; fewer if there are not that many real defects, or donors: none is shown twice.
        variation: of the painted ones.
        seed: same seed, same sheet.

    Returns:
        (H, W, 3) uint8, and the key: what each number is.
    """
    rng = np.random.default_rng((seed, 11))
    real = [_of_real(defect) for defect in _chosen(sides, count, rng)]
    painted = _alike(real, _candidates(sides, real, variation, seed))
    entries = [*real[: len(painted)], *painted]
    order = [entries[int(index)] for index in rng.permutation(len(entries))]
    key = {str(number): {"painted": entry.painted, **entry.said} for number, entry in enumerate(order, 1)}
    return _laid_out([entry.cell for entry in order]), {"variation": variation, "seed": seed, "windows": key}


def write_blind(sides: Sides, count: int, variation: float, seed: int, sheet: Path, key: Path) -> None:
    """Write sheet and key; see `blind_sheet`."""
    image, said = blind_sheet(sides, count, variation, seed)
    for path in (sheet, key):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_png(sheet, image)
    write_json(key, said)


def cell_of(image: np.ndarray, mask: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Cut the square around a defect: its own scale, or twice that for a small one. Real and painted ones alike."""
    side = CELL // 2 if max(mask.shape) <= SMALL else CELL
    start = []
    for first, length, limit in zip(corner, mask.shape, image.shape[:2], strict=True):
        centred = first + length // 2 - side // 2
        start.append(min(max(centred, 0), limit - side) if limit >= side else (limit - side) // 2)
    cut = to_rgb(extract(image, Window(start[0], start[1], side, side, (side, side))))
    return cut if side == CELL else np.asarray(cv2.resize(cut, (CELL, CELL), interpolation=cv2.INTER_CUBIC))


def _chosen(sides: Sides, count: int, rng: np.random.Generator) -> list[RealDefect]:
    """Choose real defects at random, those that a cell holds first, no image twice while there are others."""
    order = [sides.unseen[int(index)] for index in rng.permutation(len(sides.unseen))]
    order = [defect for defect in order if defect.class_index in sides.classes()]
    seen: dict[str, int] = {}
    ranked = []
    for rank, defect in enumerate(order):
        large = max(defect.shape.mask.shape) > LARGE
        ranked.append((large, seen.get(defect.name, 0), rank))
        if not large:
            seen[defect.name] = seen.get(defect.name, 0) + 1
    return [order[rank] for _, _, rank in sorted(ranked)[:count]]


def _of_real(defect: RealDefect) -> Entry:
    cell = cell_of(defect.image, defect.shape.mask, (defect.top, defect.left))
    said = {"image": defect.name, "group": defect.group, "row": defect.top, "column": defect.left}
    return Entry(cell, max(defect.shape.mask.shape), defect.class_index, False, said)


def _candidates(sides: Sides, real: Sequence[Entry], variation: float, seed: int) -> list[Entry]:
    """Paint some defects of each class, more than are shown."""
    entries = []
    for class_index in sorted({entry.class_index for entry in real}):
        wanted = CANDIDATES * sum(entry.class_index == class_index for entry in real)
        for placed, made in draw_places(sides, class_index, wanted, (variation,), seed + 101):
            painted = made[key_of(variation)]
            cell = cell_of(painted.image, painted.mask, (painted.top, painted.left))
            said = {"image": placed.surface.name, "row": painted.top, "column": painted.left}
            entries.append(
                Entry(cell, max(painted.mask.shape), class_index, True, said | {"donor": placed.shape.donor})
            )
    return entries


def _alike(real: Sequence[Entry], candidates: list[Entry]) -> list[Entry]:
    """Choose for each real defect the painted one of its class that is nearest in size; no donor twice."""
    left, chosen = list(candidates), []
    used: Counter[str] = Counter()
    donors: set[int] = set()
    for entry in real:
        own = [e for e in left if e.class_index == entry.class_index and e.said["donor"] not in donors]
        if own:  # a donor or a surface that comes again and again would be known for painted
            apart = [abs(np.log(other.side / entry.side)) + AGAIN * used[other.said["image"]] for other in own]
            best = own[int(np.argmin(apart))]
            left = [other for other in left if other is not best]
            donors.add(best.said["donor"])
            chosen.append(best)
            used[best.said["image"]] += 1
    return chosen


def _laid_out(cells: Sequence[np.ndarray]) -> np.ndarray:
    rows = -(-len(cells) // COLUMNS)
    height, width = CELL + TITLE + GAP, CELL + GAP
    sheet = np.full((rows * height + GAP, COLUMNS * width + GAP, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = GAP + index // COLUMNS * height, GAP + index % COLUMNS * width
        place = (left, top + TITLE - 5)
        cv2.putText(sheet, str(index + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        sheet[top + TITLE : top + TITLE + CELL, left : left + CELL] = cell
    return sheet
