"""A real defect that somebody drew over on an image of their own, to be painted elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from albu_gan.defects import DefectInpainter, LeftOut, annotated_images, collect


@dataclass(frozen=True, eq=False)
class OwnExemplar:
    """Defects of one class, cut out of one image.

    Attributes:
        image: (H, W) or (H, W, 3) uint8 that shows them.
        mask: (H, W) uint8, 1 where they are.
        class_name: of all of them.
        painter: paints what looks like them.
        left_out: outlines that cannot be used, one sentence each.
    """

    image: np.ndarray
    mask: np.ndarray
    class_name: str
    painter: DefectInpainter
    left_out: tuple[str, ...] = ()


def cut_out(image: np.ndarray, drawn: np.ndarray, class_name: str) -> OwnExemplar:
    """Cut out what was drawn over; of a closed outline, what is in it too.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        drawn: (H, W) bool.
        class_name: of what is there.

    Raises:
        ValueError: if nothing that is there can be used, with the reasons.
    """
    if not drawn.any():
        raise ValueError(f"nothing of {class_name} is drawn; load an image with a real defect, and draw over it")
    mask = filled(drawn).astype(np.uint8)
    found = collect(annotated_images([image], [mask], [class_name]))
    reasons = tuple(dict.fromkeys(_said(entry) for entry in found.left_out))
    if not found.shapes:
        why = "; ".join(reasons) if reasons else "the drawing is smaller than a defect can be; draw over all of it"
        raise ValueError(f"this cannot be used as an exemplar: {why}")
    return OwnExemplar(image, mask, class_name, own_painter(image, mask, class_name), reasons)


def own_painter(image: np.ndarray, mask: np.ndarray, class_name: str) -> DefectInpainter:
    """Return what the downloaded program makes of the same image and mask."""
    names: Sequence[str] = [class_name]
    return DefectInpainter.from_bank(collect(annotated_images([image], [mask], names)).bank(names), names)


def filled(drawn: np.ndarray) -> np.ndarray:
    """Fill what closed outlines enclose, (H, W) bool."""
    outlines, _ = cv2.findContours(drawn.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    inside = drawn.astype(np.uint8)
    cv2.drawContours(inside, outlines, -1, 1, cv2.FILLED)
    return inside.astype(bool)


def _said(entry: LeftOut) -> str:
    """Say why a defect is left out, with what may help."""
    help_ = "load an image that shows more around it" if entry.kind.startswith("larger") else "draw closer to its edge"
    return f"it is {entry.reason} ({help_})"
