"""Run-length encoded masks, column by column: the competition's pairs and COCO's counts."""

from __future__ import annotations

import numpy as np


def read_pairs(text: str, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Read "start length start length ...", starts counted from 1, down the columns.

    Args:
        text: of whole numbers and spaces; empty for an empty mask. The runs may come in any order.
        size_hw: of the mask.

    Returns:
        Starts, counted from 0, and lengths, (N,) int64 each.

    Raises:
        ValueError: saying which run is wrong.
    """
    try:
        numbers = np.array(text.split(), np.int64)
    except (ValueError, OverflowError) as err:
        raise ValueError("the runs are not whole numbers") from err
    if len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers; runs are pairs of start and length")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    pixels = size_hw[0] * size_hw[1]
    for wrong, why in (
        (lengths < 1, "is empty"),
        (
            (starts < 0) | (starts >= pixels) | (lengths > pixels - starts),
            f"leaves the image of {pixels} pixels; export it again, or use the image that was annotated",
        ),
    ):
        if wrong.any():
            first = int(np.argmax(wrong))
            raise ValueError(f"run {first + 1} ({starts[first] + 1} {lengths[first]}) {why}")
    order = np.argsort(starts, kind="stable")
    overlap = starts[order][1:] < (starts + lengths)[order][:-1]
    if overlap.any():
        first = int(order[1:][np.argmax(overlap)])
        raise ValueError(f"run {first + 1} ({starts[first] + 1} {lengths[first]}) overlaps another run")
    return starts, lengths


def decode_pairs(text: str, size_hw: tuple[int, int]) -> np.ndarray:
    """Decode what `read_pairs` reads.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: saying which run is wrong.
    """
    starts, lengths = read_pairs(text, size_hw)
    steps = np.zeros(size_hw[0] * size_hw[1] + 1, np.int8)
    steps[starts] += 1
    steps[starts + lengths] -= 1  # without overlaps, no two runs end at one pixel
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool).reshape(size_hw, order="F")


def decode_counts(counts: object, size_hw: tuple[int, int]) -> np.ndarray:
    """Decode COCO's counts: lengths of runs down the columns, the first of background, in a list or a string.

    Args:
        counts: whole numbers, or their compressed form.
        size_hw: of the mask.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: saying what is wrong.

    References:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014; the string is that of `rleToString` in
        https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
    """
    numbers = np.array(_decompress(counts) if isinstance(counts, str) else _whole_numbers(counts), np.int64)
    pixels = size_hw[0] * size_hw[1]
    if (numbers < 0).any() or (numbers > pixels).any() or numbers.sum() != pixels:
        raise ValueError(
            f"the runs do not add up to the {pixels} pixels of the image; export it again, or use the image that was "
            "annotated"
        )
    values = np.arange(len(numbers)) % 2 == 1
    return np.repeat(values, numbers).reshape(size_hw, order="F")


def _whole_numbers(counts: object) -> list[int]:
    if not isinstance(counts, list) or not all(type(n) is int and abs(n) < 2**62 for n in counts):
        raise ValueError("'counts' must be whole numbers or a string; export it again")
    return counts


def _decompress(text: str) -> list[int]:
    """Undo `rleToString`: five bits a character, from the second odd run on the difference to the run before last."""
    numbers: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"'counts' is no compressed run-length code: it contains {character!r}; export it again")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("'counts' is cut short; export it again")
    return numbers
