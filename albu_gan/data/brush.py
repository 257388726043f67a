"""Label Studio's brush: an RGBA picture as runs of words, packed into bits."""

from __future__ import annotations

import numpy as np

CHANNELS = 4  # RGBA; the mask is in the last


def decode_brush(code: object, size_hw: tuple[int, int]) -> np.ndarray:
    """Decode the `rle` of a brush region.

    The code begins with the number of words (32 bits), the bits of a word less one (5), and four lengths less one (4
    bits each). Then comes a bit that tells a run from single words, two bits that choose one of the lengths, the count
    less one in as many bits, and the word of the run, or the words.

    Args:
        code: bytes as a list of whole numbers.
        size_hw: of the image.

    Returns:
        (H, W) bool, True where alpha is not 0.

    Raises:
        ValueError: if this is no such code, or not of this image.

    References:
        https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack, which Label Studio uses.
    """
    if not isinstance(code, list) or not code or not all(type(byte) is int and 0 <= byte < 256 for byte in code):
        raise ValueError("its rle is no list of bytes; export it again")
    bits = _Bits(bytes(code))
    total, word_size = bits.read(32), bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    if total != size_hw[0] * size_hw[1] * CHANNELS:
        raise ValueError(
            f"its rle holds {total} values, and an image of {size_hw[0]} x {size_hw[1]} pixels has "
            f"{size_hw[0] * size_hw[1] * CHANNELS}; use the image that was annotated"
        )
    values = np.zeros(total, np.uint8 if word_size <= 8 else np.uint32)
    position = 0
    while position < total:
        is_run = bits.read(1)
        end = min(position + 1 + bits.read(lengths[bits.read(2)]), total)
        if is_run:
            values[position:end] = bits.read(word_size)
        else:
            values[position:end] = [bits.read(word_size) for _ in range(position, end)]
        position = end
    return np.asarray(values.reshape(*size_hw, CHANNELS)[:, :, -1] > 0)


class _Bits:
    """Whole numbers out of bytes, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self.bits = "".join(f"{byte:08b}" for byte in data)
        self.position = 0

    def read(self, count: int) -> int:
        """Return the next number of `count` bits.

        Raises:
            ValueError: if there are not as many left.
        """
        word = self.bits[self.position : self.position + count]
        if len(word) < count:
            raise ValueError("its rle is cut short; export it again")
        self.position += count
        return int(word, 2)
