"""The two sides of a bank's evaluation: real defects of either half of the groups, the bank, and clean surfaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from albu_gan.data import DataError, DefectDataset, Record
from albu_gan.defects import Annotated, Collected, DefectInpainter, Shape
from albu_gan.painting import WindowShape, choose_window, extract, extract_mask

AWAY = 12  # pixels that a painted defect stays off a labelled one, where images without a defect are lacking


@dataclass(frozen=True)
class View:
    """A window around one defect, real or painted; all are cut alike.

    Attributes:
        image: (H, W, C) uint8.
        mask: (H, W) bool, of this one defect.
        class_index: of it.
        group: that the defect is from.
        background: group that the surface around it is from.
    """

    image: np.ndarray
    mask: np.ndarray
    class_index: int
    group: str
    background: str


@dataclass(frozen=True)
class RealDefect:
    """A real defect in its image, one that a bank would take.

    Attributes:
        image: (H, W, C) uint8, shared by the defects of an image.
        labels: (H, W) uint8, of all of them.
        shape: of this one.
        top: first row of its mask.
        left: first column.
        group: of the image.
        name: of the image.
    """

    image: np.ndarray
    labels: np.ndarray
    shape: Shape
    top: int
    left: int
    group: str
    name: str

    @property
    def class_index(self) -> int:
        """Class of the defect."""
        return self.shape.class_index

    def view(self, shapes: tuple[WindowShape, ...]) -> View:
        """Cut the window."""
        return cut_view(self.image, self.shape.mask, (self.top, self.left), shapes, self.class_index, self.group)


@dataclass(frozen=True)
class Surface:
    """An image that is painted into.

    Attributes:
        image: (H, W, C) uint8.
        blocked: (H, W) bool, True where nothing may be painted; None if nothing is blocked.
        group: of the image.
        name: of the image.
    """

    image: np.ndarray
    blocked: np.ndarray | None
    group: str
    name: str


def cut_view(
    image: np.ndarray,
    mask: np.ndarray,
    corner: tuple[int, int],
    shapes: tuple[WindowShape, ...],
    class_index: int,
    group: str,
    background: str | None = None,
) -> View:
    """Cut the window around a defect: the smallest of `shapes` that shows it with context.

    Args:
        image: (H, W, C) uint8.
        mask: (h, w) bool, the defect.
        corner: row and column of the mask's first pixel.
        shapes: of window, by rising area; see `choose_window`.
        class_index: of the defect.
        group: that the defect is from.
        background: that the image is from; None for the same.
    """
    box = (*corner, mask.shape[0], mask.shape[1])
    window = choose_window(box, (image.shape[0], image.shape[1]), shapes)
    whole = np.zeros(image.shape[:2], np.uint8)
    whole[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = mask
    cut = extract(image, window).reshape(*window.shape, -1)
    return View(cut, extract_mask(whole, window) > 0, class_index, group, background or group)


def read_defects(dataset: DefectDataset, records: Sequence[Record]) -> tuple[Collected, list[RealDefect]]:
    """Read the defects of annotated images: what a bank takes of them, and the same in their images, in one order.

    Of one class each, as the figures are: labels that touch are judged by themselves.
    """
    found, defects = Collected(compounds=False), []
    for record in tqdm([r for r in records if r.classes], desc="defects", unit="image", leave=False, disable=None):
        image, labels = dataset.read(record)
        first = len(found.shapes)
        found.add(Annotated(record.name, image, labels, record.group))
        for shape in found.shapes[first:]:
            assert shape.centre_yx is not None, "it was just cut out of its image"
            top, left = (
                round(centre * side - length / 2)
                for centre, side, length in zip(shape.centre_yx, labels.shape, shape.mask.shape, strict=True)
            )
            defects.append(RealDefect(image, labels, shape, top, left, record.group, record.name))
    return found, defects


def read_surfaces(dataset: DefectDataset, records: Sequence[Record], most: int, seed: int) -> list[Surface]:
    """Read images to paint into: those without a defect, or if there are none the clean parts of the others.

    Raises:
        DataError: if there is none.
    """
    clean = dataset.clean_records(list(records)) or list(records)
    surfaces = []
    for record in in_turns(clean, most, seed):
        image, labels = dataset.read(record)
        region = dataset.background_region(image)
        blocked = np.zeros(labels.shape, bool) if region is None else ~region
        if labels.any():
            kernel = np.ones((2 * AWAY + 1, 2 * AWAY + 1), np.uint8)
            blocked |= cv2.dilate((labels > 0).astype(np.uint8), kernel) > 0
        if not blocked.all():
            surfaces.append(Surface(image, blocked if blocked.any() else None, record.group, record.name))
    if not surfaces:
        raise DataError("no held-out image has a part without a defect that could be painted; add clean images")
    return surfaces


def in_turns(records: Sequence[Record], most: int, seed: int) -> list[Record]:
    """Choose at most so many records at random, one of each group in turn."""
    rng = np.random.default_rng(seed)
    of_group: dict[str, list[Record]] = defaultdict(list)
    for index in rng.permutation(len(records)):
        of_group[records[int(index)].group].append(records[int(index)])
    queues = [of_group[group] for group in rng.permutation(sorted(of_group))]
    chosen: list[Record] = []
    while any(queues) and len(chosen) < most:
        chosen += [queue.pop() for queue in queues if queue]
    return chosen[:most]


@dataclass(frozen=True)
class Sides:
    """All that a bank is measured with.

    Attributes:
        painter: paints from the bank of the training half.
        donors: of the bank, in its order.
        unseen: real defects of the held-out half.
        surfaces: of the held-out half.
        left_out: defects of either half that no bank takes.
    """

    painter: DefectInpainter
    donors: list[RealDefect]
    unseen: list[RealDefect]
    surfaces: list[Surface]
    left_out: dict[str, int]

    def classes(self) -> list[int]:
        """Return the classes that have donors and at least two unseen defects."""
        counts = self.painter.bank.counts()
        unseen = [defect.class_index for defect in self.unseen]
        return [index for index, count in enumerate(counts) if count > 1 and unseen.count(index) > 1]


def read_sides(
    dataset: DefectDataset,
    train: Sequence[Record],
    held_out: Sequence[Record],
    most_images: int,
    most_surfaces: int,
    seed: int,
) -> Sides:
    """Read both halves and make the bank of the first.

    Raises:
        DataError: if a half has no defect that can be used.
    """
    annotated = [[record for record in records if record.classes] for records in (train, held_out)]
    found, donors = read_defects(dataset, in_turns(annotated[0], most_images, seed))
    others, unseen = read_defects(dataset, in_turns(annotated[1], most_images, seed + 1))
    if not unseen:
        raise DataError("no held-out defect can be used; nothing can be compared")
    try:
        bank = found.bank(dataset.class_names)
    except ValueError as err:
        raise DataError(f"training half: {err}") from err
    painter = DefectInpainter.from_bank(bank, dataset.class_names)
    surfaces = read_surfaces(dataset, held_out, most_surfaces, seed + 2)
    left_out = {"train": len(found.left_out), "held_out": len(others.left_out)}
    return Sides(painter, donors, unseen, surfaces, left_out)
