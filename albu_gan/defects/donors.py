"""Donors: real defects with their looks, and how these are kept small."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from albu_gan.defects.appearance import HALF, REDUCE, RIM, Appearance
from albu_gan.defects.surface import Grain, dilate
from albu_gan.defects.traits import Traits
from albu_gan.painting import Parts

LEVEL = 6  # of the compression
MAX_PIXELS = 1 << 24  # of one donor


@dataclass(frozen=True)
class Donor:
    """A real defect of a bank, as far as it is more than a shape.

    Attributes:
        appearance: how it looks.
        surroundings: (D,) float32, what it was seen on; see `albu_gan.defects.likeness.describe`.
        stature: (8,) float32, its size, texture and colour; see `albu_gan.defects.traits.stature`.
        traits: how it may be varied.
    """

    appearance: Appearance
    surroundings: np.ndarray
    stature: np.ndarray
    traits: Traits


@dataclass(frozen=True)
class Frame:
    """What an encoded appearance needs beside its bytes.

    Attributes:
        size_hw: of its pixels.
        offset_yx: of the shape's first pixel in them.
        channels: 1 or 3.
        grain: as in `Appearance`, then `beyond`.
        part_classes: class index of each part of a compound; () for a defect of one class.
    """

    size_hw: tuple[int, int]
    offset_yx: tuple[int, int]
    channels: int
    grain: tuple[float, float, float, float]
    part_classes: tuple[int, ...] = ()

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Shapes of pixels, surface and mattes, and of a compound's parts."""
        reduced, half = ([-(-side // factor) for side in self.size_hw] for factor in (REDUCE, HALF))
        seen = (*self.size_hw, self.channels), (reduced[0], reduced[1], self.channels), (half[0], half[1], 2)
        return (*seen, (*self.size_hw, 1)) if self.part_classes else seen

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all of them."""
        return sum(math.prod(shape) for shape in self.shapes)


def frame_of(appearance: Appearance) -> Frame:
    """Return what goes beside the bytes of `encode`."""
    x, y = appearance.offset_xy
    height, width, channels = appearance.pixels.shape
    classes = () if appearance.parts is None else appearance.parts.classes
    return Frame((height, width), (y, x), channels, (*appearance.grain, appearance.beyond), classes)


def encode(appearance: Appearance) -> bytes:
    """Compress pixels, surface, mattes and parts without loss, but for pixels that are never looked at: beyond the rim.

    Each pixel is stored as its difference from its left neighbour, colours as theirs from green, as in PNG and WebP.
    """
    far = ~dilate(appearance.mask, RIM)
    pixels = appearance.pixels.copy()
    pixels[far] = np.rint(255 * appearance.full_surface()).astype(np.uint8)[far]
    arrays = [pixels, appearance.surface, appearance.mattes]
    if appearance.parts is not None:
        arrays.append(appearance.parts.numbers[:, :, None])
    return zlib.compress(b"".join(_differences(array).tobytes() for array in arrays), LEVEL)


def decode(data: bytes, frame: Frame, mask: np.ndarray) -> Appearance:
    """Undo `encode`.

    Args:
        data: what it returned.
        frame: of the appearance.
        mask: (h, w) bool, the tight shape.

    Raises:
        ValueError: if the bytes are not those of such an appearance.
    """
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(data, frame.decoded_bytes)
    except zlib.error as err:
        raise ValueError(f"an appearance is damaged ({err})") from err
    if len(raw) != frame.decoded_bytes or not _ends(unpack):
        raise ValueError(f"an appearance has other than the {frame.decoded_bytes} bytes that its size needs")
    ends = np.cumsum([math.prod(shape) for shape in frame.shapes])
    arrays = np.split(np.frombuffer(raw, np.uint8), ends[:-1])
    pixels, surface, mattes, *more = (_sums(a.reshape(shape)) for a, shape in zip(arrays, frame.shapes, strict=True))
    y, x = frame.offset_yx
    inside = np.zeros(frame.size_hw, bool)
    inside[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    parts = _checked(Parts(more[0][:, :, 0], frame.part_classes), inside) if more else None
    return Appearance(pixels, surface, inside, Grain(*frame.grain[:3]), mattes, frame.grain[3], parts)


def _checked(parts: Parts, mask: np.ndarray) -> Parts:
    """Return parts that together are a mask.

    Raises:
        ValueError: if they are not, or one of them has no pixel.
    """
    present = np.bincount(parts.numbers.ravel(), minlength=1) > 0
    if not np.array_equal(parts.numbers != 0, mask) or len(present) != len(parts.classes) + 1 or not present[1:].all():
        raise ValueError(f"the {len(parts.classes)} parts of a compound are not those of its shape")
    return parts


def _ends(unpack: zlib._Decompress) -> bool:
    """Whether nothing is left to be unpacked."""
    if unpack.eof:
        return not unpack.unused_data
    try:
        return not unpack.decompress(unpack.unconsumed_tail, 1) and unpack.eof
    except zlib.error:
        return False


def _differences(image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 3:
        image = image.copy()
        image[:, :, 0] -= image[:, :, 1]
        image[:, :, 2] -= image[:, :, 1]
    out = np.array(image)
    out[:, 1:] -= image[:, :-1]
    out[1:, 0] -= image[:-1, 0]
    return out


def _sums(image: np.ndarray) -> np.ndarray:
    out = np.array(image)
    np.add.accumulate(out[:, 0], axis=0, out=out[:, 0])
    np.add.accumulate(out, axis=1, out=out)
    if out.shape[2] == 3:
        out[:, :, 0] += out[:, :, 1]
        out[:, :, 2] += out[:, :, 1]
    return out
