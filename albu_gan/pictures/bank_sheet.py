"""A sheet of real defects beside what is painted from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from albu_gan.defects import (
    USUAL,
    DefectInpainter,
    Occupancy,
    Shape,
    draw_fitting,
    dress,
    find_alike_place,
    jitter_shape,
    scale_shape,
)
from albu_gan.painting import Draw, contrast, paste
from albu_gan.pictures.sheet import grid, outline, to_rgb

CELL_HW = (200, 200)
TITLES = ("real defect", "place", "relit", "varied", "varied again", "varied most")
STRENGTHS = (0.5, 0.5, 1.0)  # of the variations
MIN_CONTRAST = 8.0
PLACE_LIKE = 0.9  # as of `DefectSampler`
MIN_ROWS, MAX_ROWS = 6, 14
TRIES = 12
CONTEXT = 0.6  # of the longer side of a defect, that is shown around it
LEAST_CONTEXT = 20  # pixels

Surface = tuple[np.ndarray, "np.ndarray | None"]


def bank_sheet(
    painter: DefectInpainter,
    surfaces: Sequence[Surface],
    seed: int = 0,
    of_class: Mapping[int, Sequence[Surface]] | None = None,
) -> np.ndarray:
    """Paint some defects of each class of a bank into some images.

    Args:
        painter: with appearances.
        surfaces: (H, W) or (H, W, C) uint8 images, each with (H, W) bool, True where nothing may be painted, or None.
        seed: same seed, same sheet.
        of_class: surfaces for a class index, in place of `surfaces`; a class without any is not shown.

    Returns:
        (H, W, 3) uint8 RGB, one row a defect: the real one, the place with the mask, relit, and three variations.
    """
    rng = np.random.default_rng(seed)
    every = range(len(painter.class_names))
    classes = [index for index, count in enumerate(painter.bank.counts(every)) if count]
    if of_class is not None:
        classes = [index for index in classes if of_class.get(index)]
    count = min(max(MIN_ROWS, len(classes)), MAX_ROWS)
    rows = []
    for number in range(count):
        class_index = classes[number % len(classes)]
        own = surfaces if of_class is None else of_class[class_index]
        row = _row(painter, class_index, own, number, rng)
        if row is not None:
            rows.append(row)
    return grid(rows or [[np.zeros((*CELL_HW, 3), np.uint8)]], CELL_HW, TITLES)


def _row(
    painter: DefectInpainter, class_index: int, surfaces: Sequence[Surface], number: int, rng: np.random.Generator
) -> list[np.ndarray] | None:
    """Return the cells of one defect; None if it fits nowhere."""
    every = range(len(painter.class_names))
    for attempt in range(TRIES):  # until it fits somewhere and can be seen there
        image, blocked = surfaces[(number + attempt) % len(surfaces)]
        donor = draw_fitting(painter.bank, class_index, image, PLACE_LIKE, rng, every)
        shape = jitter_shape(painter.bank[donor], (0.9, 1.1), (-10, 10), rng)
        fits = 0.7 * min(side / length for side, length in zip(image.shape[:2], shape.mask.shape, strict=True))
        if fits < 1:
            shape = scale_shape(shape, fits)
        occupied = Occupancy((image.shape[0], image.shape[1]), blocked)
        placed = find_alike_place(painter.bank, shape, occupied, rng, image, PLACE_LIKE)
        if placed is None or (placed[1] > USUAL and attempt < TRIES // 2):
            continue
        corner = placed[0]
        mask = np.zeros(image.shape[:2], np.uint8)
        height, width = shape.mask.shape
        mask[corner[0] : corner[0] + height, corner[1] : corner[1] + width] = shape.mask
        plain = dress(shape, painter.bank, 0.0, rng)
        assert plain.look is not None, "the bank has appearances"
        if plain.look.paint(image, *corner)[1] < 1:
            continue
        relit = _painted(painter, plain, image, corner)
        # Smoothed: in coarse grain a faint defect changes many pixels, and is not seen.
        if contrast(cv2.blur(image, (5, 5)), cv2.blur(relit, (5, 5)), mask) >= MIN_CONTRAST:
            break
    else:
        return None
    assert shape.donor is not None, "it is of the bank"
    seeds = rng.integers(2**31, size=len(STRENGTHS))
    dressed = [
        dress(shape, painter.bank, strength, np.random.default_rng(int(own)))
        for strength, own in zip(STRENGTHS, seeds, strict=True)
    ]
    rows, columns = _view(shape, corner, image.shape)
    place = outline(np.ascontiguousarray(image[rows, columns]), mask[rows, columns])
    painted = [relit[rows, columns]]
    painted += [_painted(painter, entry, image, corner)[rows, columns] for entry in dressed]
    names = [painter.class_names[index] for index in painter.bank.classes_of(shape.donor)]
    return [_captioned(_real(painter, shape.donor), " + ".join(names)), place, *painted]


def _painted(painter: DefectInpainter, shape: Shape, image: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Paint a dressed shape about where the undressed one would lie; a warped one may be a little larger."""
    (H, W), (h, w) = image.shape[:2], shape.mask.shape
    if h > H or w > W:
        shape = replace(shape, mask=shape.mask[:H, :W])
    top, left = min(corner[0], max(0, H - h)), min(corner[1], max(0, W - w))
    out = np.array(image, order="C")
    draw = Draw(shape.mask, top, left, shape.class_index, np.empty(0, np.float32), None, shape.look)
    for patch in painter.paint(image, [draw]):
        paste(out, patch)
    return out


def _real(painter: DefectInpainter, donor: int) -> np.ndarray:
    """The pixels that the bank keeps of a defect."""
    return painter.bank.appearance(donor).pixels


def _view(shape: Shape, corner: tuple[int, int], limits: tuple[int, ...]) -> tuple[slice, slice]:
    """A square around a mask, inside the image where it fits."""
    side = max(shape.mask.shape)
    side += 2 * max(LEAST_CONTEXT, round(CONTEXT * side))
    slices = []
    for start, length, limit in zip(corner, shape.mask.shape, limits[:2], strict=True):
        want = min(side, limit)
        first = min(max(start + length // 2 - want // 2, 0), limit - want)
        slices.append(slice(first, first + want))
    return slices[0], slices[1]


def _captioned(image: np.ndarray, text: str) -> np.ndarray:
    """A cell with the image in it and its class below, in gray letters."""
    height = CELL_HW[0] - 22
    factor = min(height / image.shape[0], CELL_HW[1] / image.shape[1])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    cell = np.full((*CELL_HW, 3), 24, np.uint8)
    fitted = cv2.resize(to_rgb(image), size, interpolation=method)
    y, x = (height - size[1]) // 2, (CELL_HW[1] - size[0]) // 2
    cell[y : y + size[1], x : x + size[0]] = fitted
    shown = text if text.isascii() else text.encode("ascii", "replace").decode()
    cv2.putText(cell, shown[:28], (4, CELL_HW[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
    return cell
