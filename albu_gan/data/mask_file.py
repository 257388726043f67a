"""Mask files: pixels of values or of colours, to the values of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from albu_gan.data.class_table import BLACK, EXAMPLE, VOID, ClassTable, Colour
from albu_gan.data.errors import DataError

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
LOSSY = ("JPEG", "MPO", "WEBP")
MANY = 8  # values or colours without a class, from which edges are taken to be smoothed
Code = int | Colour  # what stands for the only class


def read_class_mask(path: Path, table: ClassTable, *, void: bool = False) -> tuple[np.ndarray, Code | None]:
    """Read a mask.

    Args:
        path: a lossless image: gray or palette indices, gray levels, or colours.
        table: what they mean.
        void: whether the index 255 means neither a class nor clean, as in Pascal VOC.

    Returns:
        (H, W) uint8: 0 clean, 1, 2, ... the classes, and `VOID` where `void` or the table says so. And what stood for
        the only class of a table without colours: 1, 255 or a colour; None if nothing did.

    Raises:
        DataError: naming the file, and the first pixel that has no class.
    """
    pixels, colours = _read_pixels(path)
    if table.colours is not None:
        if colours is None and not _has_only(pixels, [c[0] for c in table.colours if len(set(c)) == 1]):
            return _from_values(path, pixels, table, void), None  # a gray image that is not of these colours
        colours = np.repeat(pixels[:, :, None], 3, axis=2) if colours is None else colours
        ignored = pixels == VOID if void and pixels.ndim == 2 else np.zeros(pixels.shape[:2], bool)
        return _from_colours(path, colours, table, table.colours, ignored), None
    if pixels.ndim == 3:
        return _from_free_colours(path, pixels, table)
    if colours is not None:
        _check_palette(path, pixels, colours)
    if len(table.names) == 1 and _has_only(pixels, [0, 255]) and not void:
        return (pixels > 0).astype(np.uint8), 255 if pixels.any() else None
    return _from_values(path, pixels, table, void), 1 if (pixels == 1).any() else None


def _read_pixels(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (H, W) int32 values, or (H, W, 3) where there are only colours; and the colours of the pixels, if any.

    A palette image has both: indices and the colours that they stand for.
    """
    try:
        with Image.open(path) as image:
            if image.format in LOSSY:
                raise DataError(f"{path}: a {image.format} mask: its compression changes values; export masks as PNG")
            if (pages := getattr(image, "n_frames", 1)) > 1:
                raise DataError(f"{path}: the mask has {pages} pages; save each as a file of its own")
            mode = image.mode
            raw_mode = image.tile[0].args if image.tile else ""
            image.load()
            colours = image.convert("RGB") if mode == "P" else None
            values = _without_alpha(path, image) if mode in ("RGBA", "LA", "PA") else np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as err:
        raise DataError(f"{path}: the mask cannot be read ({err}); repair or remove it, and its image") from err
    if values.ndim == 3 and mode in ("RGB", "RGBA", "LA", "PA"):
        if (values[:, :, :1] == values).all():
            return values[:, :, 0].astype(np.int32), None  # gray levels, saved as colours
        return values.astype(np.int32), values.astype(np.int32)
    if mode not in ("1", "L", "P") and not mode.startswith("I"):
        raise DataError(f"{path}: the mask is of the kind {mode!r}; save it as a gray, palette or RGB PNG")
    if raw_mode in ("L;2", "L;4"):  # Pillow stretches 2 and 4 bits to 0-255
        values = values // (85 if raw_mode == "L;2" else 17)
    return values.astype(np.int32), None if colours is None else np.asarray(colours, np.int32)


def _without_alpha(path: Path, image: Image.Image) -> np.ndarray:
    """Return the (H, W, 3) uint8 colours; transparent pixels are black."""
    pixels = np.array(image.convert("RGBA"))
    alpha = pixels[:, :, 3]
    if not _has_only(alpha, [0, 255]):
        raise DataError(f"{path}: the mask is half transparent in places: edges are smoothed; export it without")
    pixels[alpha == 0] = 0
    return np.ascontiguousarray(pixels[:, :, :3])


def _check_palette(path: Path, values: np.ndarray, colours: np.ndarray) -> None:
    """Refuse a palette that an optimiser has put into another order: what is black must have the value 0."""
    black = (colours == 0).all(axis=2)
    if black.any() and not black[values == 0].any() and (values == 0).any():
        raise DataError(
            f"{path}: black is not the first entry of the palette, so its order may not be that of the classes; give "
            f"each class its colour in classes.txt, such as {EXAMPLE}"
        )


def _from_values(path: Path, values: np.ndarray, table: ClassTable, void: bool) -> np.ndarray:
    """Take values for the numbers of the classes."""
    unknown = values > len(table.names)
    if void:
        unknown &= values != VOID
    if not unknown.any():
        return np.asarray(values, np.uint8)
    y, x = np.unravel_index(int(np.argmax(unknown)), values.shape)
    found = np.unique(values[unknown]).tolist()
    if len(found) >= MANY:
        remedy = _smoothed(len(found), "values")
    elif table.colours is not None:
        remedy = f"the colours of {table.path.name} do not have it, either"
    elif len(table.names) > 1 and found == [255] and _has_only(values, [0, 255]):
        remedy = (
            f"a mask of 0 and 255 does not say which; write 1 for {table.names[0]}, 2 for {table.names[1]}, or give "
            f"each class its colour in {table.path.name}, such as '{table.names[0]} 255 255 255'"
        )
    elif len(table.names) == 1 and len(np.unique(values)) == 2:
        remedy = f"write 1 or 255 instead of {found[0]}"
    else:
        remedy = f"add it to classes.txt, correct the mask, or give each class its colour, such as {EXAMPLE}"
    raise DataError(
        f"{path}: value {values[y, x]} at row {y}, column {x} has no name: there are {len(table.names)} class(es); "
        f"{remedy}"
    )


def _from_colours(
    path: Path, pixels: np.ndarray, table: ClassTable, colours: dict[Colour, int], ignored: np.ndarray
) -> np.ndarray:
    """Look colours up; those of (H, W) bool `ignored` do not count."""
    packed = _pack(pixels)
    mask = np.where(ignored, np.uint8(VOID), np.uint8(0))
    known = ignored.copy()
    for (red, green, blue), value in colours.items():
        hit = (packed == (red << 16 | green << 8 | blue)) & ~ignored
        mask[hit] = value
        known |= hit
    if not known.all():
        y, x = np.unravel_index(int(np.argmin(known)), known.shape)
        count = len(np.unique(packed[~known]))
        remedy = _smoothed(count, "colours") if count >= MANY else f"add it to {table.path.name}, or correct the mask"
        colour = tuple(int(level) for level in pixels[y, x])
        raise DataError(f"{path}: the colour {colour} at row {y}, column {x} has no class in {table.path}; {remedy}")
    return np.asarray(mask)


def _from_free_colours(path: Path, pixels: np.ndarray, table: ClassTable) -> tuple[np.ndarray, Code]:
    """Take the one colour beside black for the only class."""
    packed = _pack(pixels)
    found = [int(code) for code in np.unique(packed) if code]
    if len(table.names) == 1 and len(found) == 1:
        red, green, blue = found[0] >> 16, found[0] >> 8 & 255, found[0] & 255
        return (packed > 0).astype(np.uint8), (red, green, blue)
    remedy = f"give each class its colour in {table.path.name}, such as {EXAMPLE}"
    if len(found) >= MANY:
        remedy = _smoothed(len(found), "colours")
    y, x = np.unravel_index(int(np.argmax(packed != _pack(np.array(BLACK)))), packed.shape)
    colour = tuple(int(level) for level in pixels[y, x])
    raise DataError(
        f"{path}: the mask has colours (RGB), {colour} at row {y}, column {x}, but {table.path.name} has none; {remedy}"
    )


def _smoothed(count: int, what: str) -> str:
    return (
        f"{count} {what} have none: the mask was saved as JPEG, resized, or drawn with smooth edges; export it as PNG "
        "without smoothing"
    )


def _has_only(values: np.ndarray, allowed: list[int]) -> bool:
    return bool(np.isin(values, allowed).all())


def _pack(pixels: np.ndarray) -> np.ndarray:
    """Return one int32 a pixel of (..., 3) colours."""
    return np.asarray(pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2])
