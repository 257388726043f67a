"""The demo's contact sheet: defects painted into the sample images of the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from albu_gan.data import MAX_MEGAPIXELS, check_header
from albu_gan.data import read_image as read_image_file
from albu_gan.defects import DefectInpainter, jitter_shape, place, scale_shape
from albu_gan.painting import contrast
from albu_gan.pictures.bank_sheet import bank_sheet
from albu_gan.pictures.sheet import BACKGROUND, around, grid, outline, to_rgb

SAMPLES = Path(__file__).parent.parent / "samples"
BALL_SCREWS, GROUND = "ball-screw-*.jpg", "ground-*.jpg"
CELL_HW = (216, 288)
ZOOM = 3
TITLES = ("clean", "mask", "painted", "zoom: clean", "zoom: latent 1", "zoom: latent 2")
TRIES = 20
MIN_ROWS = 3  # of a painter, however few its classes
MIN_CONTRAST = 8.0


def sample_images(gray: bool = False) -> list[np.ndarray]:
    """Read the sample images that come with the package; no labelled defect is in them.

    Args:
        gray: ground steel, computed, instead of photographs of ball screws.

    Returns:
        (288, 384, 3) uint8 RGB each; of gray ones (288, 384).
    """
    images = [read_image(path) for path in sorted(SAMPLES.glob(GROUND if gray else BALL_SCREWS))]
    return [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images] if gray else images


def surfaces_of(class_name: str) -> list[tuple[np.ndarray, None]]:
    """Return the samples of the surface that a class of `surfaces-v1` lies on, gray ones with one channel."""
    paths = sorted(SAMPLES.glob("*.jpg"))
    kinds = {path.stem.rpartition("-")[0] for path in paths}
    kind = next((kind for kind in kinds if class_name.startswith(kind.replace("-", " ") + " ")), None)
    return [(read_image_file(path), None) for path in paths if path.stem.rpartition("-")[0] == kind]


def read_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if there is no such file, it cannot be read, or is larger than that.
    """
    check_header(path, max_megapixels)
    return to_rgb(read_image_file(path))


def demo_sheet(
    painters: Sequence[DefectInpainter], images: Sequence[np.ndarray] | None = None, seed: int = 0
) -> np.ndarray:
    """Show what each painter paints, one sheet below the other: relit exemplars or a generator's defects.

    Args:
        painters: to be shown.
        images: (H, W, 3) uint8 to paint into; None for the samples that go with each.
        seed: same seed, same sheet.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    sheets = [
        _bank_sheet(painter, images, seed) if painter.paints_exemplars else contact_sheet([painter], images, seed)
        for painter in painters
    ]
    width = max(sheet.shape[1] for sheet in sheets)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=BACKGROUND) for s in sheets]
    return np.concatenate(padded)


def _bank_sheet(painter: DefectInpainter, images: Sequence[np.ndarray] | None, seed: int) -> np.ndarray:
    """A bank on given images, or each class on the samples of its surface; on all of them where none is its own."""
    if images is not None:
        return bank_sheet(painter, [(image, None) for image in images], seed)
    own = {index: surfaces_of(name) for index, name in enumerate(painter.class_names)}
    if any(own.values()):
        return bank_sheet(painter, [], seed, own)
    return bank_sheet(painter, [(image, None) for image in sample_images()], seed)


def contact_sheet(
    painters: Sequence[DefectInpainter], images: Sequence[np.ndarray] | None = None, seed: int = 0
) -> np.ndarray:
    """Paint one defect of each class that a painter has shapes of (three where it is one class) into images in turn.

    Args:
        painters: whose classes are shown.
        images: (H, W, 3) uint8, which a gray painter sees without their colour; None for the samples that go with each.
        seed: same seed, same sheet.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rng = np.random.default_rng(seed)
    rows: list[list[np.ndarray]] = []
    for painter in painters:
        generator = painter.folder.config.generator
        classes = [index for index, count in enumerate(painter.bank.counts()) if count]
        gray = generator is not None and generator.in_channels == 1
        surfaces = sample_images(gray) if images is None else images
        for index in range(max(len(classes), MIN_ROWS) if classes else 0):  # a bank may hold compounds alone
            image = surfaces[len(rows) % len(surfaces)]
            if gray and image.ndim == 3:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            rows.append(_row(painter, classes[index % len(classes)], image, rng))
    return grid(rows, CELL_HW, TITLES)


def _row(painter: DefectInpainter, class_index: int, image: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Clean, mask, painted, and the defect enlarged: clean and with two latents."""
    name = painter.class_names[class_index]
    for _ in range(TRIES):
        shape = jitter_shape(painter.bank.sample(class_index, rng), (0.9, 1.2), (-15, 15), rng)
        shrink = min(side / length for side, length in zip(image.shape[:2], shape.mask.shape, strict=True))
        if shrink < 1:  # a shape of larger images than the samples are
            shape = scale_shape(shape, 0.9 * shrink)
        offset_yx = place(shape, None, (image.shape[0], image.shape[1]), rng)
        if offset_yx is None:
            continue
        mask = np.zeros(image.shape[:2], np.uint8)
        height, width = shape.mask.shape
        mask[offset_yx[0] : offset_yx[0] + height, offset_yx[1] : offset_yx[1] + width] = shape.mask
        seeds = rng.integers(2**31, size=2)
        first, second = (painter(image, mask, name, seed=int(s)) for s in seeds)
        if min(contrast(image, first, mask), contrast(image, second, mask)) >= MIN_CONTRAST:
            break
    rows, columns = around(mask, (CELL_HW[0] // ZOOM, CELL_HW[1] // ZOOM))
    if max(height, width) > CELL_HW[0] // ZOOM:
        rows, columns = around(mask, (CELL_HW[0] * 2 // ZOOM, CELL_HW[1] * 2 // ZOOM))
    labelled = outline(image, mask)
    _caption(labelled, name)
    return [image, labelled, first, image[rows, columns], first[rows, columns], second[rows, columns]]


def _caption(image: np.ndarray, text: str) -> None:
    """Write white on black into the lower left corner of an RGB image, in place."""
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    bottom = image.shape[0]
    cv2.rectangle(image, (0, bottom - height - below - 8), (width + 10, bottom), (24, 24, 24), -1)
    origin = (5, bottom - below - 3)
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235, 235, 235), 1, cv2.LINE_AA)
