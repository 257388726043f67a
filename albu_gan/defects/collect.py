"""From annotated images to a bank of defects: each is cut out, judged, and kept or left out with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from albu_gan.defects.appearance import Appearance, Formula, cut_appearance
from albu_gan.defects.bank import MAX_SIDE, DefectBank
from albu_gan.defects.donors import Donor
from albu_gan.defects.formula import Evidence, choose_formulas, evidence, reject
from albu_gan.defects.likeness import describe_donor
from albu_gan.defects.shapes import Shape
from albu_gan.defects.touching import Box, find_labels, joined_box, joined_labels, parts_of
from albu_gan.defects.traits import Traits, stature, traits
from albu_gan.painting import Parts

BORDER = 1  # pixels from the image's border within which a shape counts as cut off by it


@dataclass(frozen=True)
class Annotated:
    """One annotated image.

    Attributes:
        name: that the report calls it by.
        image: (H, W), (H, W, 1) or (H, W, 3) uint8, RGB.
        mask: (H, W) of integers, 0 clean, else class index + 1.
        group: of the physical part; photographs of one part say nothing about another surface.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    group: Hashable


@dataclass(frozen=True)
class LeftOut:
    """A defect that is in no bank.

    Attributes:
        name: of its image.
        class_index: of the defect.
        top: first row.
        left: first column.
        reason: one sentence.
    """

    name: str
    class_index: int
    top: int
    left: int
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its figures."""
        return self.reason.partition(":")[0]


@dataclass
class Collected:
    """What was found in annotated images.

    Attributes:
        shapes: of the defects that are kept.
        donors: how they look.
        evidence: what each says of its class.
        groups: of each.
        left_out: those that are not kept.
        images: how many were looked at.
        compounds: whether labels of several classes that touch are kept as one defect; else each is judged by itself.
    """

    shapes: list[Shape] = field(default_factory=list)
    donors: list[Donor] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    groups: list[Hashable] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    images: int = 0
    compounds: bool = True

    def add(self, annotated: Annotated) -> None:
        """Cut out every connected defect of an image, and what touches it and is of it."""
        self.images += 1
        image = _gray_if_gray(annotated.image)
        numbers, labels = find_labels(annotated.mask)
        alone = [[number] for number in range(1, len(labels) + 1)]
        for members in joined_labels(numbers, labels) if self.compounds else alone:
            if len(members) > 1:
                box = joined_box([labels[number - 1].box for number in members])
                found = parts_of(_within(numbers, box), labels, members)
                if found is not None:
                    whole = np.zeros(numbers.shape, bool)
                    _within(whole, box)[:] = found[0].numbers > 0
                    if self._take(annotated, image, whole, box, *found) is None:
                        continue
            for number in members:  # of a compound that cannot be kept, too: each by itself
                label = labels[number - 1]
                reason = self._take(annotated, image, numbers == number, label.box, None, label.class_index)
                if reason is not None:
                    top, left = label.box[:2]
                    self.left_out.append(LeftOut(annotated.name, label.class_index, top, left, reason))

    def _take(
        self, annotated: Annotated, image: np.ndarray, mask: np.ndarray, box: Box, parts: Parts | None, class_index: int
    ) -> str | None:
        """Keep a defect, or say why not."""
        top, left, height, width = box
        appearance = cut_appearance(image, mask, annotated.mask)
        reason = reject(appearance, mask, annotated.mask)
        if max(height, width) > MAX_SIDE:
            reason = f"longer than {MAX_SIDE} pixels"
        if reason is not None:
            return reason
        H, W = mask.shape
        edges = (top <= BORDER, left <= BORDER, top + height >= H - BORDER, left + width >= W - BORDER)
        centre = ((top + height / 2) / H, (left + width / 2) / W)
        self.shapes.append(Shape(np.ascontiguousarray(_within(mask, box)), class_index, edges, None, centre))
        surroundings, how = describe_donor(image, mask, appearance), traits(appearance)
        if parts is not None:
            appearance = replace(appearance, parts=_framed(parts, appearance))
            how = Traits(False, False, how.stiff)  # another look, or an invented one, would not keep to its parts
        self.donors.append(Donor(appearance, surroundings, stature(appearance), how))
        self.evidence.append(evidence(appearance))
        self.groups.append(annotated.group)
        return None

    def bank(self, class_names: Sequence[str]) -> DefectBank:
        """Return the bank.

        Raises:
            ValueError: if no defect was kept; the message counts the reasons.
        """
        if not self.shapes:
            reasons = Counter(entry.kind for entry in self.left_out)
            said = ", ".join(f"{count} {kind}" for kind, count in reasons.most_common())
            raise ValueError(
                f"no defect that can be painted was found in {self.images} images"
                + (f": {said}" if said else ", none of them has a labelled pixel; give masks with defects")
            )
        formulas = self._formulas(len(class_names))
        return DefectBank(self.shapes, len(class_names), self.donors, formulas)

    def _formulas(self, num_classes: int) -> list[Formula]:
        """Choose by the defects of one class; a compound speaks for its own only where nothing else does."""
        classes = [shape.class_index for shape in self.shapes]
        single = {index for index, donor in zip(classes, self.donors, strict=True) if donor.appearance.parts is None}
        heard = [
            number
            for number, donor in enumerate(self.donors)
            if donor.appearance.parts is None or classes[number] not in single
        ]
        every = self._even_evidence()
        return choose_formulas(
            [every[n] for n in heard], [classes[n] for n in heard], [self.groups[n] for n in heard], num_classes
        )

    def _even_evidence(self) -> list[Evidence]:
        """Evidence of as many channels everywhere: that of gray defects among colour ones is repeated."""
        channels = max(e.level.shape[1] for e in self.evidence)
        return [
            Evidence(
                np.repeat(e.level, channels // e.level.shape[1], axis=1),
                np.repeat(e.surface, channels // e.surface.shape[1], axis=1),
                e.share,
            )
            for e in self.evidence
        ]


def collect(samples: Iterable[Annotated]) -> Collected:
    """Cut every defect out of annotated images."""
    found = Collected()
    for sample in samples:
        found.add(sample)
    return found


def annotated_images(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    class_names: Sequence[str],
    groups: Sequence[Hashable] | None = None,
) -> Iterator[Annotated]:
    """Check images and masks from memory, one after the other.

    Args:
        images: (H, W), (H, W, 1) or (H, W, 3) uint8 each, RGB.
        masks: (H, W) integers each, 0 clean, else class index + 1.
        class_names: in index order.
        groups: of each image; None for a group an image.

    Raises:
        ValueError, TypeError: naming the first image or mask that is not as described.
    """
    if len(images) != len(masks) or (groups is not None and len(groups) != len(images)):
        raise ValueError(
            f"every image needs a mask{'' if groups is None else ' and a group'}, got {len(images)} images, "
            f"{len(masks)} masks{'' if groups is None else f', {len(groups)} groups'}"
        )
    if isinstance(class_names, str) or not all(isinstance(name, str) and name for name in class_names):
        raise ValueError(f"class_names must be a list of names, got {class_names!r}")
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            came = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(
                f"images[{number}] must be a uint8 array, got {came}; scale it to 0 to 255 and use .astype(np.uint8)"
            )
        if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, 3)):
            raise ValueError(f"images[{number}] must be (H, W), (H, W, 1) or (H, W, 3), got shape {image.shape}")
        mask = np.asarray(mask)
        if mask.ndim == 3 and mask.shape[2] == 1:
            mask = mask[:, :, 0]
        if mask.dtype.kind not in "biu" or mask.shape != image.shape[:2]:
            raise ValueError(
                f"masks[{number}] must be (H, W) integers of {image.shape[:2]} like its image, got shape {mask.shape} "
                f"of {mask.dtype}; resize both together"
            )
        if int(mask.min(initial=0)) < 0 or int(mask.max(initial=0)) > len(class_names):
            raise ValueError(
                f"masks[{number}] holds values from {mask.min()} to {mask.max()}; 0 is clean, class index + 1 a "
                f"defect, so at most {len(class_names)} for {len(class_names)} class_names"
            )
        yield Annotated(f"images[{number}]", image, mask.astype(np.int64), number if groups is None else groups[number])


def components(mask: np.ndarray) -> Iterator[tuple[int, np.ndarray, Box]]:
    """Yield (class index, (H, W) bool mask, box) of each connected part of an index mask; see `find_labels`."""
    numbers, labels = find_labels(mask)
    for number, label in enumerate(labels, 1):
        yield label.class_index, numbers == number, label.box


def _within(array: np.ndarray, box: Box) -> np.ndarray:
    """The part of an (H, W) array in a box, a view."""
    return array[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]


def _framed(parts: Parts, appearance: Appearance) -> Parts:
    """Bring parts from the box of a compound into the frame of its appearance."""
    (x, y), (h, w) = appearance.offset_xy, parts.numbers.shape
    numbers = np.zeros(appearance.mask.shape, np.uint8)
    numbers[y : y + h, x : x + w] = parts.numbers
    return replace(parts, numbers=numbers)


def _gray_if_gray(image: np.ndarray) -> np.ndarray:
    """Return one channel of an image whose channels are all the same."""
    if image.ndim == 3 and image.shape[2] == 3 and (image[:, :, :1] == image).all():
        return image[:, :, 0]
    return image
