"""Shapes dressed in the looks of real defects: which appearance, how it is varied, and how it is relit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from albu_gan.defects.appearance import Appearance, Formula
from albu_gan.defects.bank import DefectBank
from albu_gan.defects.relight import lay_parts
from albu_gan.defects.shapes import Shape
from albu_gan.defects.variation import Variation, draw_contrast, draw_variation, paint_variation
from albu_gan.painting import Parts


@dataclass(frozen=True)
class RelitExemplar:
    """A real defect to be laid into another place; a `Look`.

    Attributes:
        appearance: of the donor.
        matrix: (2, 3), from the donor's mask to the shape before it was varied; see `Origin`.
        variation: what is done to it.
        formula: how it depends on its surface.
        least: how clearly it has to stand out of the grain; see `albu_gan.defects.clarity`.
    """

    appearance: Appearance
    matrix: np.ndarray
    variation: Variation
    formula: Formula
    least: float = 0.0

    def paint(self, image: np.ndarray, top: int, left: int) -> tuple[np.ndarray, float]:
        """Return what is to be added to an image, and how clear it is; see `Look`."""
        return paint_variation(self.appearance, self.matrix, self.variation, image, top, left, self.formula, self.least)

    def parts(self) -> Parts | None:
        """Return which pixel of the label shows which part of a compound; None for a donor of one class."""
        if self.appearance.parts is None:
            return None
        y, x = self.variation.offset_yx
        moved = np.asarray(self.matrix, np.float64) - [[0, 0, x], [0, 0, y]]
        return lay_parts(self.appearance, moved, self.variation.mask, self.variation.displacement)


def dress(shape: Shape, bank: DefectBank, variation: float, rng: np.random.Generator) -> Shape:
    """Give a shape the look of the defect it was made from, both varied together, and the parts if it is a compound.

    Args:
        shape: from `bank`, mirrored, scaled and turned; or invented after a shape of it.
        bank: with appearances.
        variation: 0 for the donor as it is, 1 for the strongest.
        rng: the only source of randomness.
    """
    assert shape.donor is not None, "the shape is of this bank"
    appearance, formula = bank.appearance(shape.donor), bank.formulas[shape.class_index]
    least = bank.least_clarity(shape.donor)
    if shape.origin is None:  # an invented shape wears a real appearance
        turned = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        varied = Variation(shape.mask, contrast=draw_contrast(variation, rng), other=appearance, turned=turned)
        return replace(shape, look=RelitExemplar(appearance, np.eye(2, 3), varied, formula, least))
    others = _Appearances(bank, bank.alike(shape.donor))
    traits = bank.traits(shape.donor)
    if appearance.parts is not None:  # nothing else keeps to its parts
        traits = replace(traits, inventable=False, solid=False)
    varied = draw_variation(appearance, shape.mask, variation, rng, traits, others, shape.edges)
    look = RelitExemplar(appearance, shape.origin.matrix, varied, formula, least)
    return replace(shape, mask=varied.mask, look=look, parts=look.parts())


def wear(
    mask: np.ndarray,
    bank: DefectBank,
    class_index: int,
    exemplar: int | None,
    variation: float,
    rng: np.random.Generator,
) -> RelitExemplar:
    """Lay the look of a real defect into a mask of somebody's own; that of a compound only if it is asked for.

    Args:
        mask: (h, w) bool, tight.
        bank: with appearances.
        class_index: of the defect.
        exemplar: number of the real defect; None draws one of the class that is about as large.
        variation: how far it differs from that, in [0, 1].
        rng: the only source of randomness.

    Raises:
        ValueError: if the bank has no such defect, or none of the class.
    """
    if exemplar is None:
        exemplar = _of_about_the_size(mask, bank, class_index, rng)
    elif not 0 <= exemplar < len(bank):
        raise ValueError(f"exemplar must be from 0 to {len(bank) - 1}, got {exemplar!r}")
    appearance = bank.appearance(exemplar)
    turned = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    varied = Variation(mask, contrast=draw_contrast(variation, rng), other=appearance, turned=turned)
    return RelitExemplar(appearance, np.eye(2, 3), varied, bank.formulas[bank[exemplar].class_index])


def _of_about_the_size(mask: np.ndarray, bank: DefectBank, class_index: int, rng: np.random.Generator) -> int:
    members = bank.members(class_index) if class_index < bank.num_classes else []
    if not members:
        raise ValueError("the bank holds no defect of this class; choose another, or give exemplar=")
    wanted = np.log(mask.shape)
    apart = [float(np.abs(np.log(bank.size_of(index)) - wanted).sum()) for index in members]
    nearest = np.argsort(apart, kind="stable")[:5]
    return members[int(nearest[rng.integers(len(nearest))])]


@dataclass(frozen=True)
class _Appearances(Sequence[Appearance]):
    """Appearances of a bank, decoded when one is asked for."""

    bank: DefectBank
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Appearance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Appearance]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Appearances(self.bank, self.indices[index])
        return self.bank.appearance(self.indices[index])
