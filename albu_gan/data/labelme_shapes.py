"""The shapes of a labelme file: checked, and drawn as labelme draws them."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from albu_gan.data.errors import DataError
from albu_gan.data.json_file import read_json

LINE_WIDTH = 10  # pixels; labelme draws every line so
POINT_RADIUS = 5  # pixels; and every point
MANY = range(3, 1_000_000)
POINTS: dict[str, tuple[Sequence[int], str]] = {
    "polygon": (MANY, "at least three points"),
    "rectangle": ((2, 4), "two opposite corners"),
    "oriented_rectangle": ((4,), "four corners"),
    "rotation": ((4,), "four corners"),  # X-AnyLabeling's word for the one before
    "quadrilateral": ((4,), "four corners"),
    "circle": ((2,), "its centre and one point of its line"),
    "line": ((2,), "two ends"),
    "linestrip": (range(2, 1_000_000), "at least two points"),
    "point": ((1,), "one point"),
    "mask": ((2,), "two corners of its box"),
}


def read_labelme(path: Path) -> dict[str, Any]:
    """Read one labelme file, checking what is used of it.

    Raises:
        DataError: if it is not labelme JSON; the message names the file and the place.
    """
    content = read_json(path)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(shapes, list):
        raise DataError(f"{path}: no list 'shapes'; this is not a labelme file")
    for number, shape in enumerate(shapes):
        if not isinstance(shape, dict) or kind_of(shape) not in POINTS:
            kind = kind_of(shape) if isinstance(shape, dict) else type(shape).__name__
            raise DataError(
                f"{path}: shape {number} is {kind!r}; those that can become masks are {', '.join(POINTS)}; draw "
                "it as one of them, or remove it"
            )
        counts, wanted = POINTS[kind_of(shape)]
        label = shape.get("label")
        if not isinstance(label, str) or not label.strip() or not _are_points(shape.get("points"), counts):
            raise DataError(
                f"{path}: shape {number}, a {kind_of(shape)}, needs a label and {wanted}, each two numbers; correct it "
                "in labelme"
            )
        if kind_of(shape) == "mask":
            try:
                _mask_pixels(shape)
            except ValueError as err:
                raise DataError(f"{path}: shape {number}: {err}") from err
    return content


def kind_of(shape: dict[str, Any]) -> str:
    """Return the `shape_type`; old files leave it out or have null for polygons."""
    kind = shape.get("shape_type")
    return "polygon" if kind is None else str(kind)


def class_of(shape: dict[str, Any]) -> str:
    """Return the name of the class: the label in lower case."""
    return str(shape["label"]).strip().lower()


def count_defects(shapes: Sequence[dict[str, Any]]) -> Counter[str]:
    """Count the defects of each class: shapes of one class that share a `group_id` are one, as labelme has it."""
    groups = enumerate(shape.get("group_id") for shape in shapes)
    single = [("shape", str(number)) if group is None else ("group", str(group)) for number, group in groups]
    return Counter(name for name, _ in {(class_of(shape), one) for shape, one in zip(shapes, single, strict=True)})


def draw_shapes(shapes: Sequence[dict[str, Any]], values: Sequence[int], size_hw: tuple[int, int]) -> np.ndarray:
    """Draw checked shapes, later ones over earlier ones, pixel for pixel as labelme 7.9 does.

    Args:
        shapes: of a labelme file.
        values: what each is drawn with, 1 to 255.
        size_hw: of the image.

    Returns:
        (H, W) uint8, 0 where there is none.

    Raises:
        ValueError: naming the shape that has no pixel in the image.

    References:
        Wada, labelme, `shapes_to_label` of version 7.9.1, https://github.com/wkentaro/labelme: Pillow's `ImageDraw`,
        which cuts coordinates to whole pixels and draws the outline, too.
    """
    canvas = Image.new("L", (size_hw[1], size_hw[0]))
    for number, (shape, value) in enumerate(zip(shapes, values, strict=True)):
        if not _reaches_image(shape, size_hw):
            raise ValueError(f"shape {number}, a {kind_of(shape)}, has no pixel in the image; move or remove it")
        _draw(canvas, shape, value)
    return np.array(canvas)


def _draw(canvas: Image.Image, shape: dict[str, Any], value: int) -> None:
    draw = ImageDraw.Draw(canvas)
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = kind_of(shape)
    if kind == "mask":
        pixels, (left, top) = _mask_pixels(shape)
        canvas.paste(value, (left, top), Image.fromarray(pixels.astype(np.uint8) * 255))
    elif kind in ("circle", "point"):
        x, y = points[0]
        radius = POINT_RADIUS if kind == "point" else float(np.hypot(points[1][0] - x, points[1][1] - y))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=value, outline=value)
    elif kind == "rectangle" and len(points) == 2:
        (left_x, right_x), (top_y, bottom_y) = (sorted(side) for side in zip(*points, strict=True))
        draw.rectangle((left_x, top_y, right_x, bottom_y), fill=value, outline=value)
    elif kind in ("line", "linestrip"):
        draw.line(points, fill=value, width=LINE_WIDTH, joint="curve" if kind == "linestrip" else None)
    else:
        draw.polygon(points, fill=value, outline=value)


def _reaches_image(shape: dict[str, Any], size_hw: tuple[int, int]) -> bool:
    """Whether the shape by itself has a pixel in the image; near the border it is drawn to be sure."""
    points = np.asarray(shape["points"], np.float64)
    inside = (points >= 0).all(axis=1) & (points < (size_hw[1], size_hw[0])).all(axis=1)
    if inside.any() and kind_of(shape) != "mask":
        return True
    alone = Image.new("1", (size_hw[1], size_hw[0]))
    _draw(alone, shape, 1)
    return alone.getbbox() is not None


def _mask_pixels(shape: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the (h, w) bool pixels of a mask, and the x and y where they begin.

    Raises:
        ValueError: if there are none.
    """
    text = shape.get("mask")
    if not isinstance(text, str):
        raise ValueError("a mask needs its pixels, a PNG in base64; save it again in labelme")
    try:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) != 0
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as err:
        raise ValueError("the pixels of the mask are no PNG in base64; save it again in labelme") from err
    if pixels.ndim != 2:
        raise ValueError("the pixels of the mask have colours; a gray PNG is needed")
    points = np.asarray(shape["points"], np.float64)
    (left, top), (right, bottom) = np.rint(points).astype(int)
    box = (bottom - top + 1, right - left + 1)
    if pixels.shape != box and (points == np.trunc(points)).all():  # of fractions, the size of the pixels counts
        raise ValueError(
            f"the mask has {pixels.shape[0]} x {pixels.shape[1]} pixels, but its box {box[0]} x {box[1]}, both ends "
            "counted; save it again in labelme"
        )
    return pixels, (int(left), int(top))


def _are_points(points: object, counts: Sequence[int]) -> bool:
    """Whether these are as many pairs of numbers that may be pixels."""
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        return False
    return array.ndim == 2 and len(array) in counts and array.shape[1] == 2 and bool((np.abs(array) < 1e6).all())
