"""The masks as they travel between browser and server: run lengths in JSON, exact and small.

A canvas's own PNG is neither: browsers that resist fingerprinting alter what is read back from a canvas.
"""

from __future__ import annotations

import json

import numpy as np

MAX_CHARACTERS = 4_000_000


def encode(labels: np.ndarray) -> str:
    """Return an (H, W) array of small integers as `{"width", "height", "runs": [value, length, ...]}`, row by row."""
    flat = labels.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    runs = np.stack([flat[starts].astype(np.int64), lengths], axis=1).ravel().tolist()
    return json.dumps({"width": labels.shape[1], "height": labels.shape[0], "runs": runs}, separators=(",", ":"))


def decode(text: object, size_hw: tuple[int, int], highest: int) -> np.ndarray:
    """Return the (H, W) uint8 labels that a browser sent; it may have sent anything.

    Args:
        text: as `encode` returns it.
        size_hw: what the labels must cover.
        highest: value that may occur.

    Raises:
        ValueError: if the text is something else.
    """
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise ValueError("the drawing is too intricate to be sent, or not a drawing; clear it and draw again")
    try:
        content = json.loads(text)
        runs = np.array(content["runs"], np.int64)
        width, height = int(content["width"]), int(content["height"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as err:
        raise ValueError("the drawing that the page sent is not understood; reload the page") from err
    if (height, width) != size_hw:
        raise ValueError(f"the drawing is {width} x {height}, its image {size_hw[1]} x {size_hw[0]}; draw it again")
    if runs.ndim != 1 or runs.size % 2 or not runs.size:
        raise ValueError("the drawing that the page sent is not understood; reload the page")
    values, lengths = runs[::2], runs[1::2]
    # Each length is bounded before they are added: a sum of huge ones could wrap around to the right number.
    if lengths.min() < 1 or lengths.max() > width * height or int(lengths.sum()) != width * height:
        raise ValueError("the drawing does not cover its image; reload the page")
    if values.min() < 0 or values.max() > highest:
        raise ValueError(f"the drawing holds a class that these weights do not have (1 to {highest}); reload the page")
    return np.repeat(values.astype(np.uint8), lengths).reshape(height, width)
