"""From random numbers to painted defects: how many, which class, which shape, where, which latent; and is it seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from albu_gan.arguments import class_weights
from albu_gan.defects.bank import DefectBank
from albu_gan.defects.cutting import jitter_and_cut, longest_side
from albu_gan.defects.exemplars import dress
from albu_gan.defects.fitting import USUAL, draw_fitting, find_alike_place
from albu_gan.defects.inpainter import DefectInpainter
from albu_gan.defects.placement import Lookup, Occupancy, place
from albu_gan.defects.procedural import procedural_shape
from albu_gan.defects.shapes import Shape, jitter_shape
from albu_gan.painting import Draw, Patch, contrast, paste

SHAPE_TRIES = 3  # shapes of the first class drawn before another class is
SHRINK_FACTORS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.08, 0.04, 0.02)  # of shapes that fit nowhere
SMALL = 0.1  # factors below it are the last resort
LATENT_REDRAWS = 2  # of a defect below min_contrast, before its shape is drawn again
SHAPE_REDRAWS = 2  # before a defect below min_contrast is dropped


class Painter(Protocol):
    """What `DefectSampler` paints with: `DefectInpainter`, or anything else that has these."""

    @property
    def bank(self) -> DefectBank:
        """Defects to draw from."""

    @property
    def paints_exemplars(self) -> bool:
        """Whether the looks of the bank's defects are what is painted; else shapes alone are drawn from it."""

    def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
        """Draw what makes one defect of a class and shape differ from another."""

    def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
        """Return one patch a draw; see `DefectInpainter.paint`."""


@dataclass(frozen=True)
class DefectSampler:
    """Draws and paints the defects of one image.

    Attributes:
        painter: paints them.
        class_weights: probability of each class index that may be drawn.
        defects_range: how many, both ends included.
        mask_source: "bank", "procedural" or "both".
        scale_range: of shapes.
        rotate_range: of shapes, degrees.
        min_contrast: levels of 255; see `albu_gan.painting.compositing.contrast`.
        max_shift: from where a shape was seen; see `albu_gan.defects.placement.starts`.
        variation: how far a defect differs from its donor, in [0, 1]; of banks that know how their defects look.
        place_like: how far places like the donor's surroundings are preferred, in [0, 1]; likewise.
    """

    painter: Painter
    class_weights: Mapping[int, float]
    defects_range: tuple[int, int]
    mask_source: str
    scale_range: tuple[float, float]
    rotate_range: tuple[float, float]
    min_contrast: float
    max_shift: float = 1.0
    variation: float = 0.5
    place_like: float = 0.7

    def patches(
        self, image: np.ndarray, blocked: np.ndarray | Lookup | None, rng: np.random.Generator
    ) -> tuple[Patch, ...]:
        """Paint the first draw of every defect together, then what was not visible one by one.

        Args:
            image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; read only.
            blocked: (H, W) bool, True where nothing may be painted, or a function that looks such a part up; None if
                nothing is blocked.
            rng: the only source of randomness.

        Returns:
            Visible defects that neither overlap nor touch a blocked pixel; a compound as one patch a part.
        """
        draws, taken = self.draw((image.shape[0], image.shape[1]), blocked, rng, image)
        kept: list[Patch] = []
        for draw, patch in zip(draws, self.painter.paint(image, draws), strict=True):
            final = (draw, patch) if self._visible(image, patch) else self._redraw(image, draw, taken, rng)
            if final is not None:
                parts = final[0].parts
                kept += [final[1]] if parts is None else parts.split(final[1])
        return tuple(kept)

    def draw(
        self,
        image_hw: tuple[int, int],
        blocked: np.ndarray | Lookup | None,
        rng: np.random.Generator,
        image: np.ndarray | None = None,
    ) -> tuple[list[Draw], Occupancy]:
        """Decide number, classes, shapes, places and latents of the defects of one image.

        Args:
            image_hw: height and width of the image.
            blocked: as in `patches`.
            rng: the only source of randomness.
            image: as in `patches`, for `place_like`; None places anywhere.

        Returns:
            The draws, and what they and what was blocked occupy; `draw_again` changes it.
        """
        count = int(rng.integers(self.defects_range[0], self.defects_range[1] + 1))
        taken = Occupancy(image_hw, blocked)
        draws = []
        for _ in range(count):
            draw = self.draw_one(taken, rng, image=image)
            if draw is None:
                break
            taken.cover(draw.mask, draw.top, draw.left)
            draws.append(draw)
        return draws, taken

    def draw_again(
        self, draw: Draw, taken: Occupancy, rng: np.random.Generator, image: np.ndarray | None = None
    ) -> Draw | None:
        """Give up a draw and decide another in its stead; None if nothing fits. `taken` is changed accordingly.

        One of the same class, or a class that is often too faint would be painted less often than it should be.
        """
        taken.uncover(draw.mask, draw.top, draw.left)
        again = self.draw_one(taken, rng, draw.class_index, image)
        if again is not None:
            taken.cover(again.mask, again.top, again.left)
        return again

    def draw_latent_again(self, draw: Draw, rng: np.random.Generator) -> Draw:
        """Return the same draw with another latent."""
        return replace(draw, z=self.painter.draw_latent(rng))

    def _redraw(
        self, image: np.ndarray, draw: Draw, taken: Occupancy, rng: np.random.Generator
    ) -> tuple[Draw, Patch] | None:
        """Try new latents, then new shapes; None if nothing that can be seen came of it."""
        for shape_try in range(SHAPE_REDRAWS + 1):
            # The same look in the same place would be as faint as before.
            tries = LATENT_REDRAWS if draw.look is None else 0
            for _ in range(tries if shape_try == 0 else tries + 1):
                draw = self.draw_latent_again(draw, rng)
                (patch,) = self.painter.paint(image, [draw])
                if self._visible(image, patch):
                    return draw, patch
            if shape_try == SHAPE_REDRAWS:
                break
            again = self.draw_again(draw, taken, rng, image)
            if again is None:
                return None
            draw = again
        taken.uncover(draw.mask, draw.top, draw.left)
        return None

    def _visible(self, image: np.ndarray, patch: Patch) -> bool:
        if self.min_contrast > 0 and patch.clarity < 1:
            return False
        if not np.isfinite(patch.residual).all():  # of an image that is not: no defect can be told from that
            return False
        height, width = patch.mask.shape
        before = image[patch.top : patch.top + height, patch.left : patch.left + width]
        after = before.copy()
        paste(after, Patch(0, 0, patch.mask, patch.residual, patch.class_index))
        return contrast(before, after, patch.mask) >= self.min_contrast

    def draw_classes(self, count: int, rng: np.random.Generator) -> list[int]:
        """Draw the classes of several defects, each by itself."""
        possible, odds = self._odds()
        return [int(index) for index in rng.choice(possible, size=count, p=odds)]

    def draw_shape(
        self,
        class_index: int,
        rng: np.random.Generator,
        image_hw: tuple[int, int],
        shrink: float = 1.0,
        image: np.ndarray | None = None,
    ) -> Shape:
        """Draw a shape of a class, from the bank or invented, jitter and dress it; see `jitter_shape` and `dress`.

        No shape is invented after a compound.

        Args:
            class_index: of the defect.
            rng: the only source of randomness.
            image_hw: height and width of the image. What is larger is cut by its border.
            shrink: factor of what is to be made smaller to fit; below 1 nothing is cut.
            image: makes a donor that was seen on a surface as this has more probable; see `draw_fitting`.
        """
        bank = self.painter.bank
        painted = compound_classes(self.painter, self.mask_source, self.class_weights)
        if image is None or not bank.has_appearances:
            shape = bank.sample(class_index, rng, painted)
        else:
            shape = bank[draw_fitting(bank, class_index, image, self.place_like, rng, painted)]
        invent = self.mask_source == "procedural" or (self.mask_source == "both" and rng.random() < 0.5)
        if invent and (shape.donor is None or not bank.is_compound(shape.donor)):
            shape = procedural_shape(shape, rng)
        if shrink == 1:
            shape = jitter_and_cut(shape, image_hw, self.scale_range, self.rotate_range, rng)
        else:
            # A shape longer than the image's diagonal fits in no position: it is not made larger than that, whatever
            # `scale_range` says, and in the end no larger than a part of the image's shorter side.
            largest = longest_side(image_hw) if shrink > SMALL else min(image_hw) + 2
            shape = jitter_shape(shape, self.scale_range, self.rotate_range, rng, shrink, largest)
        if self.painter.paints_exemplars:
            return dress(shape, self.painter.bank, self.variation, rng)
        return shape

    def find_place(
        self, shape: Shape, taken: Occupancy, rng: np.random.Generator, image: np.ndarray | None
    ) -> tuple[tuple[int, int], float] | None:
        """Find where a shape may go, and how unlike it is to where its donor was seen; see `find_alike_place`."""
        bank = self.painter.bank
        if image is None or self.place_like <= 0 or shape.donor is None or not bank.has_appearances:
            corner = place(shape, taken, taken.image_hw, rng, self.max_shift)
            return None if corner is None else (corner, 0.0)
        return find_alike_place(bank, shape, taken, rng, image, self.place_like, self.max_shift)

    def draw_one(
        self,
        taken: Occupancy,
        rng: np.random.Generator,
        first: int | None = None,
        image: np.ndarray | None = None,
    ) -> Draw | None:
        """Draw class, shape, place and latent of one defect; None only if nothing fits at any size.

        Args:
            taken: of the image; not changed.
            rng: the only source of randomness.
            first: class that is tried before others, if it has been drawn already.
            image: for `place_like`; None places anywhere.
        """
        image_hw = taken.image_hw
        possible, odds = self._odds()
        # Who arrives first when each class comes at the rate of its weight: a draw without replacement, in less time
        # than `rng.choice` takes.
        order = [possible[rank] for rank in np.argsort(rng.standard_exponential(len(possible)) / odds)]
        if first is not None:
            order = [first, *(index for index in order if index != first)]
        for shrink in SHRINK_FACTORS:
            for rank, class_index in enumerate(order):
                found: list[tuple[float, Shape, tuple[int, int]]] = []
                for _ in range(SHAPE_TRIES if rank == 0 else 1):
                    shape = self.draw_shape(class_index, rng, image_hw, shrink, image)
                    placed = self.find_place(shape, taken, rng, image)
                    if placed is not None:
                        found.append((placed[1], shape, placed[0]))
                        if placed[1] <= USUAL:
                            break
                if found:  # where no place is like its donor's, the shape with the least strange one
                    _, shape, corner = min(found, key=lambda entry: entry[0])
                    z = self.painter.draw_latent(rng)
                    return Draw(shape.mask, *corner, shape.class_index, z, shape.origin, shape.look, shape.parts)
        return None

    def _odds(self) -> tuple[list[int], np.ndarray]:
        """Classes that may be drawn, and their probabilities."""
        possible = [index for index, weight in self.class_weights.items() if weight > 0]
        odds = np.array([self.class_weights[index] for index in possible])
        return possible, odds / odds.sum()


def compound_classes(painter: Painter, mask_source: str, class_weights: Mapping[int, float]) -> frozenset[int]:
    """Return the classes that a compound may hold to be drawn: those that may be drawn themselves.

    None if a network paints, which knows one class a shape, or if all shapes are invented.
    """
    if not painter.paints_exemplars or mask_source == "procedural":
        return frozenset()
    return frozenset(index for index, weight in class_weights.items() if weight > 0)


def class_probabilities(
    painter: DefectInpainter,
    classes: Sequence[str],
    class_sampling: str | Mapping[str, float],
    mask_source: str = "bank",
) -> dict[int, float]:
    """Return the probability of each class index that may be drawn.

    Args:
        painter: its mask bank says which classes have shapes, and how many; a compound counts for each class it holds.
        classes: to paint.
        class_sampling: "balanced", "dataset" or `{name: weight}`.
        mask_source: of `DefectSampler`.
    """
    names = painter.class_names
    given = class_sampling if isinstance(class_sampling, Mapping) else dict.fromkeys(classes, 1.0)
    painted = compound_classes(painter, mask_source, {names.index(name): given.get(name, 0.0) for name in classes})
    weights = class_weights(class_sampling, classes, names, painter.bank.counts(painted))
    return {names.index(name): weight for name, weight in zip(classes, weights, strict=True)}
