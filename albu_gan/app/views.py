"""What the page shows of a scene: pictures of a size that fits, and one line about them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from albu_gan.app.scene import VISIBLE, Painted, Scene
from albu_gan.painting import mask_box
from albu_gan.pictures import write_png

SHOWN_SIDE = 1600  # pixels of the before / after view; downloads have them all
CONTEXT = 0.6  # of the masks' extent, shown around them
MIN_VIEW = 96  # pixels of the image


def data_url(image: np.ndarray, lossless: bool | None = None) -> str:
    """Encode an image for display alone: what is painted comes from the server's own copy.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8.
        lossless: PNG instead of JPEG; None takes it for images of up to a megapixel.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 and image.shape[2] == 3 else image
    if lossless is None:
        lossless = image.shape[0] * image.shape[1] <= 1_000_000
    options = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 92]
    ok, data = cv2.imencode(".png" if lossless else ".jpg", pixels, options)
    if not ok:
        raise OSError("OpenCV could not encode the image")
    return f"data:image/{'png' if lossless else 'jpeg'};base64," + base64.b64encode(data.tobytes()).decode("ascii")


def comparison(scene: Scene, painted: Painted, folder: Path, close: bool) -> tuple[str, str]:
    """Write before and after, not larger than a screen; returns their paths.

    Args:
        scene: what was painted.
        painted: what came of it.
        folder: to write to.
        close: around the masks alone.
    """
    rows, columns = slice(None), slice(None)
    box = mask_box(painted.mask)
    if close and box is not None:
        top, left, height, width = box
        rows = _stretch(top, height, scene.size_hw[0])
        columns = _stretch(left, width, scene.size_hw[1])
    paths = []
    for name, image in (("before", scene.clean), ("after", painted.image)):
        path = folder / f"{name}.png"
        write_png(path, _fit(image[rows, columns], enlarge=close))
        paths.append(str(path))
    return paths[0], paths[1]


def status(painted: Painted, class_names: Sequence[str]) -> str:
    """Say what was painted, and what of it can hardly be seen."""
    parts = []
    for index, reached in sorted(painted.contrasts.items()):
        count = int(np.count_nonzero(painted.mask == index + 1))
        text = f"**{class_names[index]}** {count:,} px, contrast {reached:.0f}"
        if reached < VISIBLE:
            text += " (hardly visible: try another seed, or more strength)"
        parts.append(text)
    return " · ".join(parts)


def sentence(text: str) -> str:
    """Make a message a sentence; what starts with a file's name starts with it as it is written."""
    is_file = "." in text.partition(" ")[0]
    return f"{text if is_file else text[:1].upper() + text[1:]}."


def _stretch(start: int, length: int, limit: int) -> slice:
    """Return an interval with some context around it, inside [0, limit]."""
    want = min(max(int(length * (1 + CONTEXT)), MIN_VIEW), limit)
    first = min(max(start + length // 2 - want // 2, 0), limit - want)
    return slice(first, first + want)


def _fit(image: np.ndarray, enlarge: bool) -> np.ndarray:
    """Shrink an image to the size that is shown, or enlarge a small one without smoothing its pixels."""
    side = max(image.shape[:2])
    if side > SHOWN_SIDE:
        factor = SHOWN_SIDE / side
        size_wh = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    times = SHOWN_SIDE // 2 // side
    if enlarge and times > 1:
        size_wh = (image.shape[1] * times, image.shape[0] * times)
        return cv2.resize(image, size_wh, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(image)
