"""The Python that paints the shown image again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import albu_gan


@dataclass(frozen=True)
class Call:
    """One call of the painter.

    Attributes:
        value: of its pixels in the mask file that the snippet reads.
        class_name: what is painted.
        seed: of the latent.
        strength: factor of what is added.
    """

    value: int
    class_name: str
    seed: int
    strength: float


def python_snippet(calls: Sequence[Call], weights: str, clean_file: str, mask_file: str, gray: bool, out: str) -> str:
    """Return a program that reads the clean image and the mask and writes the painted image.

    Args:
        calls: in the order of painting.
        weights: what `DefectInpainter.from_pretrained` takes.
        clean_file: name of the clean image, a PNG.
        mask_file: name of the mask, an 8-bit PNG.
        gray: whether the image has one channel.
        out: name of the file to write.
    """
    lines = [
        f"# albu-gan {albu_gan.__version__}: paints the image of the app again, from its clean image and mask.",
        "import cv2",
        "",
        "from albu_gan import DefectInpainter",
        "",
    ]
    if gray:
        lines.append(f"image = cv2.imread({clean_file!r}, cv2.IMREAD_GRAYSCALE)")
    else:
        lines.append(f"image = cv2.cvtColor(cv2.imread({clean_file!r}), cv2.COLOR_BGR2RGB)")
    lines.append(f"mask = cv2.imread({mask_file!r}, cv2.IMREAD_GRAYSCALE)")
    lines.append(f"painter = DefectInpainter.from_pretrained({weights!r})")
    lines += [
        f"image = painter(image, mask == {c.value}, {c.class_name!r}, seed={c.seed}, strength={c.strength!r})"
        for c in calls
    ]
    lines.append(f"cv2.imwrite({out!r}, {'image' if gray else 'cv2.cvtColor(image, cv2.COLOR_RGB2BGR)'})")
    return "\n".join(lines) + "\n"
