"""Real defects beside painted ones on the same background, and classifiers that try to tell which is which.

A classifier that sees real and painted defects on different images may tell the images apart. Here each unseen real
defect has a counterpart: its image with the defect filled in, and another one painted in its place. Both windows show
as much filled-in surface, so that this gives nothing away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from albu_gan.data import fill_defects
from albu_gan.data.filling import MARGIN
from albu_gan.painting import WindowShape, choose_window, contrast, extract, extract_mask
from training.evaluation.bank_draws import MIN_CONTRAST, Painted, Placed, at_centre, copy_paste, jittered, paint
from training.evaluation.bank_sides import RealDefect, Sides, Surface

FOLDS = 4
ALIKE = 6  # donors, those nearest in size to the real defect, that one is drawn from
TRIES = 6


@dataclass(frozen=True)
class Pair:
    """A real defect and a painted one in the same place.

    Attributes:
        real: (H, W, C) uint8.
        painted: (H, W, C) uint8, equal to `real` but for what either mask and the filling changed.
        mask: (H, W) bool, both defects' masks together: where to look, without saying which one is there.
        class_index: of both.
        fold: that the pair is tested in; no group of a background or a donor is in two folds.
        group: of the real defect and the background.
    """

    real: np.ndarray
    painted: np.ndarray
    mask: np.ndarray
    class_index: int
    fold: int
    group: str


def make_pairs(
    sides: Sides, count: int, variation: float, shapes: tuple[WindowShape, ...], seed: int
) -> dict[str, list[Pair]]:
    """Make pairs of unseen real defects with painted and with pasted ones; the same draws in both.

    Args:
        sides: to draw from.
        count: pairs at most, over all classes in turn.
        variation: of what is painted.
        shapes: of window.
        seed: same seed, same pairs.
    """
    rng = np.random.default_rng((seed, 7))
    folds = _folds([defect.group for defect in sides.unseen], rng)
    donor_folds = _folds([defect.group for defect in sides.donors], rng)
    pairs: dict[str, list[Pair]] = {"painted": [], "copy_paste": []}
    for defect in _class_by_class(sides, rng):
        if len(pairs["painted"]) == count:
            break
        fold = folds[defect.group]
        donors = _donors_for(defect, sides, donor_folds, fold)
        for _ in range(TRIES if donors else 0):
            made = _pair(sides, defect, donors[int(rng.integers(len(donors)))], variation, shapes, fold, rng)
            if made is not None:
                for name, pair in zip(pairs, made, strict=True):
                    pairs[name].append(pair)
                break
    return pairs


def _folds(groups: Sequence[str], rng: np.random.Generator) -> dict[str, int]:
    """Deal groups out to the folds, the largest first, each to the fold that has the fewest members."""
    names, counts = np.unique(groups, return_counts=True)
    order = sorted(range(len(names)), key=lambda i: (-counts[i], rng.random()))
    filled, folds = np.zeros(FOLDS), {}
    for index in order:
        fold = int(filled.argmin())
        folds[str(names[index])] = fold
        filled[fold] += counts[index]
    return folds


def _class_by_class(sides: Sides, rng: np.random.Generator) -> list[RealDefect]:
    """All unseen defects in random order, of one class after the other."""
    queues: dict[int, list[RealDefect]] = defaultdict(list)
    for index in rng.permutation(len(sides.unseen)):
        defect = sides.unseen[int(index)]
        if defect.class_index in sides.classes():
            queues[defect.class_index].append(defect)
    ordered = []
    while any(queues.values()):
        ordered += [queue.pop() for queue in queues.values() if queue]
    return ordered


def _donors_for(defect: RealDefect, sides: Sides, folds: dict[str, int], fold: int) -> list[int]:
    """Numbers of the donors of the fold and the class that are nearest in size."""
    size = np.log(defect.shape.mask.shape)
    own = [
        (float(np.abs(np.log(donor.shape.mask.shape) - size).sum()), index)
        for index, donor in enumerate(sides.donors)
        if donor.class_index == defect.class_index and folds[donor.group] == fold
    ]
    return [index for _, index in sorted(own)[:ALIKE]]


def _pair(
    sides: Sides,
    defect: RealDefect,
    donor: int,
    variation: float,
    shapes: tuple[WindowShape, ...],
    fold: int,
    rng: np.random.Generator,
) -> tuple[Pair, Pair] | None:
    """Paint and paste a donor in a real defect's place; None if it does not fit or cannot be seen."""
    h, w = defect.shape.mask.shape
    # Borders that cut the donor do not bind it: its place is the real defect's.
    shape = jittered(replace(sides.painter.bank[donor], edges=(False,) * 4), rng)
    surface = Surface(defect.image, None, defect.group, defect.name)
    placed = at_centre(shape, (defect.top + h / 2, defect.left + w / 2), surface, int(rng.integers(2**31)))
    trial = None if placed is None else paint(sides, placed, variation)  # says which mask the varied defect has
    if placed is None or trial is None:
        return None
    made = []
    for cut in (trial, Painted(defect.image, shape.mask, placed.top, placed.left)):
        theirs = _whole(cut.mask, (cut.top, cut.left), defect.labels.shape)
        filled = fill_defects(defect.image, (defect.labels > 0) | theirs)
        if filled is None:
            return None
        other: Placed = replace(placed, surface=replace(surface, image=filled))
        painted = paint(sides, other, variation) if cut is trial else copy_paste(sides, other)
        if painted is None or not np.array_equal(painted.mask, cut.mask):
            return None
        made.append(_windows(defect, painted, filled, shapes, fold))
    return (made[0], made[1]) if made[0] is not None and made[1] is not None else None


def _windows(
    defect: RealDefect, painted: Painted, filled: np.ndarray, shapes: tuple[WindowShape, ...], fold: int
) -> Pair | None:
    """Cut one window out of the image with the real defect and the image with the painted one."""
    own = _whole(defect.shape.mask, (defect.top, defect.left), defect.labels.shape)
    theirs = _whole(painted.mask, (painted.top, painted.left), defect.labels.shape)
    kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    kept = cv2.dilate(own.view(np.uint8), kernel) > 0
    real = np.where(kept[:, :, None], defect.image, filled)
    if min(contrast(filled, image, mask) for image, mask in ((real, own), (painted.image, theirs))) < MIN_CONTRAST:
        return None
    left, top, width, height = cv2.boundingRect((own | theirs).view(np.uint8))
    window = choose_window((top, left, height, width), (own.shape[0], own.shape[1]), shapes)
    mask = extract_mask(own | theirs, window) > 0
    cuts = [extract(image, window).reshape(*window.shape, -1) for image in (real, painted.image)]
    return Pair(cuts[0], cuts[1], mask, defect.class_index, fold, defect.group)


def _whole(mask: np.ndarray, corner: tuple[int, int], size_hw: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(size_hw, bool)
    whole[corner[0] : corner[0] + mask.shape[0], corner[1] : corner[1] + mask.shape[1]] = mask
    return whole


def summary(areas: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the area of each classifier, their mean, and that of the sharpest."""
    known = [area for area in areas.values() if area is not None]
    return {
        **areas,
        "mean": float(np.mean(known)) if known else None,
        "sharpest": float(np.max(known)) if known else None,
    }
