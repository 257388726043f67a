"""The contact sheet of `albu-gan look`."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from albu_gan.data import DataError, DefectDataset, Record
from albu_gan.look.choose import choose, window_of
from albu_gan.pictures import to_rgb

CELL = 320  # pixels, height and width of a picture
CAPTION = 34  # pixels, for two lines of text under it
GAP = 8
COLUMNS = 6
LEGEND_ROW = 24
BACKGROUND, TEXT, FAINT, ALARM = (24, 24, 24), (235, 235, 235), (160, 160, 160), (255, 90, 90)
LARGEST_ZOOM = 6
SMALLEST_VIEW = CELL // LARGEST_ZOOM  # pixels of the image
#: Told apart on gray metal as on colours, and by most of the colour-blind (Okabe and Ito, 2008, made lighter).
COLOURS = (
    (255, 64, 48),
    (64, 190, 255),
    (255, 215, 40),
    (60, 220, 120),
    (255, 120, 220),
    (255, 150, 40),
    (120, 130, 255),
    (190, 255, 90),
)


def look_sheet(dataset: DefectDataset, count: int, classes: Sequence[str] | None = None) -> np.ndarray:
    """Show images of a data set with the outlines of their masks.

    An image that fits a cell is shown whole, enlarged by a whole number where there is room; a larger one by a window
    about one of its defects, one pixel of the image to one or more of the sheet where the defect is not too long for
    that. Outlines lie around the masks, not on them.

    Args:
        dataset: opened.
        count: of images, at most.
        classes: names of those to show; None shows all.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: if none of the images can be read.
    """
    wanted = [i for i, name in enumerate(dataset.class_names) if classes is None or name in classes]
    cells, problem = [], None
    for number, (record, index) in enumerate(choose(dataset, count, wanted)):
        try:
            cells.append(_cell(dataset, record, index, number))
        except DataError as err:
            problem = err
            cells.append(_captioned(np.zeros((CELL, CELL, 3), np.uint8), record.name, "cannot be read", ALARM))
    if problem is not None and all(not cell[:CELL].any() for cell in cells):
        raise problem
    columns = min(COLUMNS, len(cells))
    width = max(columns * (CELL + GAP) + GAP, 2 * CELL)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    legend = _legend([(dataset.class_names[i], colour_of(i)) for i in wanted], width)
    height = legend.shape[0] + len(rows) * (CELL + CAPTION + GAP)
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    sheet[: legend.shape[0]] = legend
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            top, left = legend.shape[0] + y * (CELL + CAPTION + GAP), GAP + x * (CELL + GAP)
            sheet[top : top + cell.shape[0], left : left + CELL] = cell
    return sheet


def colour_of(index: int) -> tuple[int, int, int]:
    """Return the RGB of a class; they repeat, and the captions name the classes."""
    return COLOURS[index % len(COLOURS)]


def outlined(image: np.ndarray, mask: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Scale an image and draw a line around each class of its mask.

    Args:
        image: (H, W, C) uint8.
        mask: (H, W) uint8: class index + 1, 0 = clean.
        size_hw: to which both are scaled; a mask that is made smaller keeps its thin lines.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    height, width = size_hw
    smaller = height < image.shape[0]
    scaled = cv2.resize(to_rgb(image), (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)
    inside = np.zeros(size_hw, bool)
    regions = []
    for value in np.unique(mask[mask > 0]):
        share = (mask == value).astype(np.float32)
        method = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
        region = cv2.resize(share, (width, height), interpolation=method) > (0.1 if smaller else 0.5)
        regions.append((int(value), region))
        inside |= region
    for value, region in regions:
        around = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        scaled[around & ~region] = colour_of(value - 1)
    return scaled


def _cell(dataset: DefectDataset, record: Record, index: int | None, number: int) -> np.ndarray:
    """Return the picture of an image and two lines of text under it."""
    image, mask = dataset.read(record)
    height, width = mask.shape
    rows, columns = slice(0, height), slice(0, width)
    if index is not None and (max(height, width) > CELL or min(height, width) > 2 * CELL):
        shown = mask == index + 1 if (mask == index + 1).any() else mask != 0
        rows, columns = window_of(shown, number, CELL, (SMALLEST_VIEW, 2 * CELL))
    part, labels = image[rows, columns], mask[rows, columns]
    size_hw, zoom = _fitted(labels.shape)
    picture = np.full((CELL, CELL, 3), BACKGROUND, np.uint8)
    top, left = (CELL - size_hw[0]) // 2, (CELL - size_hw[1]) // 2
    picture[top : top + size_hw[0], left : left + size_hw[1]] = outlined(part, labels, size_hw)
    names = [dataset.class_names[value - 1] for value in np.unique(labels[labels > 0])]
    where = (
        "whole image" if part.shape == image.shape else f"at x {columns.start}, y {rows.start} of {width} x {height}"
    )
    if record.classes and not mask.any():
        return _captioned(picture, record.name, "LABEL WITHOUT A PIXEL", ALARM)
    what = ", ".join(names) or "clean"
    return _captioned(picture, record.name, f"{what}; {where}; {zoom}", FAINT)


def _fitted(size_hw: tuple[int, ...]) -> tuple[tuple[int, int], str]:
    """Return the size at which a view is shown, and how to say it."""
    factor = CELL / max(size_hw)
    if factor >= 1:
        whole = min(int(factor), LARGEST_ZOOM)
        return (size_hw[0] * whole, size_hw[1] * whole), f"{whole}:1"
    return (max(1, round(size_hw[0] * factor)), max(1, round(size_hw[1] * factor))), f"1:{1 / factor:.1f}"


def _captioned(picture: np.ndarray, name: str, text: str, colour: tuple[int, int, int]) -> np.ndarray:
    """Return a picture with its name and a text below."""
    cell = np.full((CELL + CAPTION, CELL, 3), BACKGROUND, np.uint8)
    cell[:CELL] = picture
    _write(cell, name, (2, CELL + 13), TEXT, from_end=True)
    _write(cell, text, (2, CELL + 28), colour)
    return cell


def _legend(classes: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> np.ndarray:
    """Return a strip with the name of each class beside its colour."""
    places, x, y = [], GAP, 0
    for name, colour in classes:
        needed = 26 + _width(name) + 18
        if x + needed > width and x > GAP:
            x, y = GAP, y + LEGEND_ROW
        places.append((name, colour, x, y))
        x += needed
    strip = np.full((y + LEGEND_ROW + GAP, width, 3), BACKGROUND, np.uint8)
    for name, colour, left, top in places:
        cv2.rectangle(strip, (left, top + 7), (left + 18, top + 19), colour, thickness=-1)
        _write(strip, name, (left + 26, top + 18), TEXT)
    return strip


def _write(
    picture: np.ndarray,
    text: str,
    corner_xy: tuple[int, int],
    colour: tuple[int, int, int],
    from_end: bool = False,
) -> None:
    """Write a line of text, cut to the width of the picture; letters that the font lacks become question marks."""
    plain = text.encode("ascii", "replace").decode("ascii")
    room = picture.shape[1] - corner_xy[0]
    cut = plain
    while len(cut) > 4 and _width(cut) > room:
        plain = plain[1:] if from_end else plain[:-1]
        cut = f"...{plain}" if from_end else f"{plain}..."
    cv2.putText(picture, cut, corner_xy, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    plain = text.encode("ascii", "replace").decode("ascii")
    return int(cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0])
