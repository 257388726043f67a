"""Donors: real defects with their looks, and how these are kept small."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from albu_gan.defects.appearance import REDUCE, RIM, Appearance, Grain, dilate

LEVEL = 9  # of the compression
MAX_PIXELS = 1 << 24  # of one donor


@dataclass(frozen=True)
class Donor:
    """A real defect of a bank, as far as it is more than a shape.

    Attributes:
        appearance: how it looks.
        surroundings: (D,) float32, what it was seen on; see `albu_gan.defects.likeness.describe`.
        stature: (6,) float32, its size and texture; see `albu_gan.defects.variation.stature`.
    """

    appearance: Appearance
    surroundings: np.ndarray
    stature: np.ndarray


@dataclass(frozen=True)
class Frame:
    """What an encoded appearance needs beside its bytes.

    Attributes:
        size_hw: of its pixels.
        offset_yx: of the shape's first pixel in them.
        channels: 1 or 3.
        grain: as in `Appearance`, then `beyond`.
    """

    size_hw: tuple[int, int]
    offset_yx: tuple[int, int]
    channels: int
    grain: tuple[float, float, float, float]

    @property
    def surface_hw(self) -> tuple[int, int]:
        """Sides of the reduced surface."""
        return -(-self.size_hw[0] // REDUCE), -(-self.size_hw[1] // REDUCE)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of pixels and surface."""
        return self.channels * (self.size_hw[0] * self.size_hw[1] + self.surface_hw[0] * self.surface_hw[1])


def frame_of(appearance: Appearance) -> Frame:
    """Return what goes beside the bytes of `encode`."""
    x, y = appearance.offset_xy
    height, width, channels = appearance.pixels.shape
    return Frame((height, width), (y, x), channels, (*appearance.grain, appearance.beyond))


def encode(appearance: Appearance) -> bytes:
    """Compress pixels and surface without loss, but for pixels that are never looked at: beyond the rim.

    Each pixel is stored as its difference from its left neighbour, colours as theirs from green, as in PNG and WebP.
    """
    far = ~dilate(appearance.mask, RIM)
    pixels = appearance.pixels.copy()
    pixels[far] = np.rint(255 * appearance.full_surface()).astype(np.uint8)[far]
    return zlib.compress(b"".join(_differences(a).tobytes() for a in (pixels, appearance.surface)), LEVEL)


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
    (h, w), (y, x), C = frame.size_hw, frame.offset_yx, frame.channels
    flat = np.frombuffer(raw, np.uint8)
    pixels = _sums(flat[: h * w * C].reshape(h, w, C))
    surface = _sums(flat[h * w * C :].reshape(*frame.surface_hw, C))
    inside = np.zeros((h, w), bool)
    inside[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return Appearance(pixels, surface, inside, Grain(*frame.grain[:3]), frame.grain[3])


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
