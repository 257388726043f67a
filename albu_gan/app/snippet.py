"""The Python that paints the shown image again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import albu_gan


@dataclass(frozen=True)
class OwnFiles:
    """Files with a defect of somebody's own.

    Attributes:
        image: name of the image that shows it, a PNG.
        mask: name of its mask, an 8-bit PNG.
        class_name: of the defect.
        gray: whether the image has one channel.
    """

    image: str
    mask: str
    class_name: str
    gray: bool


@dataclass(frozen=True)
class SampledCall:
    """One call of `paint_sampled`, by the names of its arguments.

    Attributes:
        donor: number in the bank.
        corner_yx: first row and column.
        draw: seed of how the donor is mirrored, scaled and turned.
        seed: of how it is varied.
        variation: in [0, 1].
        strength: factor of what is added.
        shrink: further factor of its size.
        own: as in `Call`.
    """

    donor: int
    corner_yx: tuple[int, int]
    draw: int
    seed: int
    variation: float
    strength: float
    shrink: float
    own: int | None = None


@dataclass(frozen=True)
class Call:
    """One call of a painter.

    Attributes:
        value: of its pixels in the mask file that the snippet reads.
        class_name: what is painted.
        seed: of what is drawn.
        strength: factor of what is added.
        variation: from the exemplar; None where a network paints.
        exemplar: number in the bank; None for any.
        own: number of the files with the defect of somebody's own that is painted; None for the weights.
    """

    value: int
    class_name: str
    seed: int
    strength: float
    variation: float | None = None
    exemplar: int | None = None
    own: int | None = None


def python_snippet(
    calls: Sequence[Call | SampledCall],
    weights: str,
    clean_file: str,
    mask_file: str,
    gray: bool,
    out: str,
    owns: Sequence[OwnFiles] = (),
) -> str:
    """Return a program that reads the clean image and the mask and writes the painted image.

    Args:
        calls: in the order of painting.
        weights: what `DefectInpainter.from_pretrained` takes.
        clean_file: name of the clean image, a PNG.
        mask_file: name of the mask, an 8-bit PNG.
        gray: whether the image has one channel.
        out: name of the file to write.
        owns: that the calls name.
    """
    lines = [
        f"# albu-gan {albu_gan.__version__}: paints the image of the app again, from its clean image and mask.",
        "import cv2",
        "",
        "from albu_gan import DefectInpainter",
    ]
    if any(isinstance(call, SampledCall) for call in calls):
        lines.append("from albu_gan.app.sampled import paint_sampled")
    if owns:
        lines.append("from albu_gan.defects import annotated_images, collect")
    lines += ["", f"image = {_read(clean_file, gray)}"]
    if any(isinstance(call, Call) for call in calls):
        lines.append(f"mask = {_read(mask_file, True)}")
    if any(call.own is None for call in calls):
        lines.append(f"painter = DefectInpainter.from_pretrained({weights!r})")
    for number, own in enumerate(owns, 1):
        names = f"[{own.class_name!r}]"
        files = f"[{_read(own.image, own.gray)}], [{_read(own.mask, True)}]"
        lines += [
            f"bank = collect(annotated_images({files}, {names})).bank({names})",
            f"own_{number} = DefectInpainter.from_bank(bank, {names})",
        ]
    lines += [_painted(call) for call in calls]
    lines.append(f"cv2.imwrite({out!r}, {'image' if gray else 'cv2.cvtColor(image, cv2.COLOR_RGB2BGR)'})")
    return "\n".join(lines) + "\n"


def _read(file: str, gray: bool) -> str:
    if gray:
        return f"cv2.imread({file!r}, cv2.IMREAD_GRAYSCALE)"
    return f"cv2.cvtColor(cv2.imread({file!r}), cv2.COLOR_BGR2RGB)"


def _painted(call: Call | SampledCall) -> str:
    painter = "painter" if call.own is None else f"own_{call.own + 1}"
    if isinstance(call, SampledCall):
        names = ("donor", "corner_yx", "draw", "seed", "variation", "strength", "shrink")
        named = ", ".join(f"{name}={getattr(call, name)!r}" for name in names)
        return f"image = paint_sampled({painter}, image, {named})"
    arguments = [f"seed={call.seed}", f"strength={call.strength!r}"]
    if call.exemplar is not None:
        arguments.append(f"exemplar={call.exemplar}")
    if call.variation is not None:
        arguments.append(f"variation={call.variation!r}")
    return f"image = {painter}(image, mask == {call.value}, {call.class_name!r}, {', '.join(arguments)})"
