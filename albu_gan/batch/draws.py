"""What a whole batch gets: shapes that are prepared ahead, and places that are tried in all of its images at once.

Scaling and turning a shape, and finding its pixels, is most of what it costs to decide on a defect. So a shape that was
prepared is drawn a few times, each time in another place and with another latent, before a new one replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from albu_gan.batch.windows import Outline, Pixels
from albu_gan.defects import (
    PLACES,
    RANDOM_TRIES,
    DefectSampler,
    Occupancy,
    Shape,
    most_alike,
    place,
    starts,
)
from albu_gan.painting import Draw

PREPARED = 128  # shapes of a class that may be drawn at a time
REUSE = 4  # times that one is drawn, on average
KEPT_PIXELS = 1 << 24  # of the shapes that are kept; what goes beyond is made again when it is drawn again


@dataclass(frozen=True)
class Placed:
    """One defect to be painted.

    Attributes:
        sample: image of the batch.
        outline: its shape.
        top: first row of the shape in the image.
        left: first column.
        z: (latent_dim,) float32.
    """

    sample: int
    outline: Outline
    top: int
    left: int
    z: np.ndarray

    @classmethod
    def of(cls, sample: int, draw: Draw, device: torch.device) -> Placed:
        """Take over a draw of an image."""
        outline = Outline.of(Shape(draw.mask, draw.class_index, look=draw.look, parts=draw.parts), device)
        return cls(sample, outline, draw.top, draw.left, draw.z)


class PreparedShapes:
    """Jittered shapes of a bank, each drawn `REUSE` times on average.

    Shape n of a class is made from the seed, the class and n alone; drawing moves on through the numbers. So what was
    pickled or copied goes on as the original does, and takes none of the shapes along.

    Args:
        seed: of all of them.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._drawn: dict[int, int] = {}  # of each class
        self._kept: dict[tuple[int, int], Outline] = {}
        self._made_with: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def draw(
        self,
        sampler: DefectSampler,
        class_index: int,
        image_hw: tuple[int, int],
        rng: np.random.Generator,
        device: torch.device,
    ) -> Outline:
        """Draw a shape of a class for images of a size."""
        made_with = (device, image_hw, sampler.mask_source, sampler.scale_range, sampler.rotate_range)
        if made_with != self._made_with:
            self._kept, self._made_with = {}, made_with
        drawn = self._drawn.get(class_index, 0)
        self._drawn[class_index] = drawn + 1
        first = drawn // REUSE
        if drawn % REUSE == 0:
            self._kept.pop((class_index, first - 1), None)
        number = first + int(rng.integers(PREPARED))
        outline = self._kept.get((class_index, number))
        if outline is None:
            own = np.random.default_rng((self.seed, class_index, number))
            outline = Outline.of(sampler.draw_shape(class_index, own, image_hw), device)
            if sum(len(kept.row) for kept in self._kept.values()) + len(outline.row) <= KEPT_PIXELS:
                self._kept[class_index, number] = outline
        return outline


class Places:
    """The pixels of a batch that are blocked or taken, on its device.

    Args:
        shape_bhw: images, height, width.
        blocked: (B, H, W) bool, True where nothing may be painted; None if nothing is blocked. Never written to.
        device: of the batch.
    """

    def __init__(self, shape_bhw: tuple[int, int, int], blocked: Tensor | None, device: torch.device) -> None:
        self.image_hw = shape_bhw[1:]
        self._all_free = blocked is None
        self._taken = torch.zeros(shape_bhw, dtype=torch.bool, device=device) if blocked is None else blocked.clone()

    def occupancy(self, sample: int) -> Occupancy:
        """Return what is blocked or taken in one image."""
        return Occupancy(self.image_hw, None if self._all_free else self._taken[sample].cpu().numpy())

    def change(self, placed: Sequence[Placed], taken: bool) -> None:
        """Take the pixels of defects, or give them back."""
        if placed:
            pixels = pixels_of(placed)
            self._taken[pixels.sample, pixels.row, pixels.column] = taken
            self._all_free = False

    def find(
        self, samples: Sequence[int], outlines: Sequence[Outline], rng: np.random.Generator, max_shift: float = 1.0
    ) -> list[tuple[int, int] | None]:
        """Draw positions until they are free, at most `RANDOM_TRIES` times; None where none was.

        Args:
            samples: (N,) images, each once.
            outlines: (N,) of the shapes that go there.
            rng: the only source of randomness.
            max_shift: see `albu_gan.defects.placement.starts`.
        """
        corners: list[tuple[int, int] | None] = [None] * len(samples)
        height, width = self.image_hw
        sizes = [outline.shape.mask.shape for outline in outlines]
        open_ = [number for number, (h, w) in enumerate(sizes) if h <= height and w <= width]
        for _ in range(RANDOM_TRIES):
            if not open_:
                break
            spans = np.array([starts(outlines[number].shape, self.image_hw, max_shift) for number in open_])
            tried = [(int(top), int(left)) for top, left in rng.integers(spans[:, :, 0], spans[:, :, 1] + 1)]
            met = self._met([samples[n] for n in open_], [outlines[n] for n in open_], tried)
            for number, corner, hit in zip(open_, tried, met, strict=True):
                corners[number] = None if hit else corner
            open_ = [number for number, hit in zip(open_, met, strict=True) if hit]
        return corners

    def _met(
        self, samples: Sequence[int], outlines: Sequence[Outline], corners: Sequence[tuple[int, int]]
    ) -> list[bool]:
        """Whether shapes at these positions would cover a pixel that is not free."""
        if self._all_free:
            return [False] * len(samples)
        pixels = Pixels.of(outlines, corners, samples)
        hits = self._taken[pixels.sample, pixels.row, pixels.column].float()
        return (torch.zeros(len(samples), device=hits.device).index_add_(0, pixels.draw, hits) > 0).tolist()


def pixels_of(placed: Sequence[Placed]) -> Pixels:
    """Collect the pixels of at least one defect."""
    corners = [(entry.top, entry.left) for entry in placed]
    return Pixels.of([entry.outline for entry in placed], corners, [entry.sample for entry in placed])


class BatchSampler:
    """Decides what images of a batch get.

    Args:
        sampler: draws classes and latents, and whatever does not find a place at once.
        prepared: shapes.
        places: of the batch.
        rng: the only source of randomness.
        images: (B, C, H, W) of the batch, for `place_like`.
    """

    def __init__(
        self,
        sampler: DefectSampler,
        prepared: PreparedShapes,
        places: Places,
        rng: np.random.Generator,
        images: Tensor,
    ) -> None:
        self.sampler, self.prepared, self.places, self.rng, self.images = sampler, prepared, places, rng, images

    def draw(self, samples: Sequence[int], device: torch.device) -> list[Placed]:
        """Draw number, classes, shapes, places and latents of the defects of some images."""
        low, high = self.sampler.defects_range
        counts = self.rng.integers(low, high + 1, size=len(samples)).tolist()
        return self._place([[(s, None)] * count for s, count in zip(samples, counts, strict=True)], device)

    def draw_again(self, placed: Sequence[Placed], device: torch.device) -> list[Placed]:
        """Give up defects and draw others in their stead, of the same classes, where one fits."""
        self.places.change(placed, taken=False)
        of_sample: dict[int, list[tuple[int, int | None]]] = {}
        for entry in placed:
            of_sample.setdefault(entry.sample, []).append((entry.sample, entry.outline.shape.class_index))
        return self._place(list(of_sample.values()), device)

    def draw_latent_again(self, placed: Placed) -> Placed:
        """Return the same defect with another latent."""
        return replace(placed, z=self.sampler.painter.draw_latent(self.rng))

    def _place(self, wanted: list[list[tuple[int, int | None]]], device: torch.device) -> list[Placed]:
        """Draw a defect for every mention of an image, image by image abreast; an image that is full gets no more.

        With each image goes the class, None for any.
        """
        placed: list[Placed] = []
        full: set[int] = set()
        image_hw = self.places.image_hw
        for rank in range(max(map(len, wanted), default=0)):
            asked = [several[rank] for several in wanted if len(several) > rank and several[0][0] not in full]
            samples = [sample for sample, _ in asked]
            drawn = self.sampler.draw_classes(len(samples), self.rng)
            classes = [other if kept is None else kept for (_, kept), other in zip(asked, drawn, strict=True)]
            outlines = [self.prepared.draw(self.sampler, index, image_hw, self.rng, device) for index in classes]
            corners = self._corners(samples, outlines)
            found = []
            for sample, outline, corner in zip(samples, outlines, corners, strict=True):
                if corner is None:
                    entry = self._search(sample, outline, device)
                else:
                    entry = Placed(sample, outline, *corner, self.sampler.painter.draw_latent(self.rng))
                if entry is None:
                    full.add(sample)
                else:
                    found.append(entry)
            self.places.change(found, taken=True)
            placed += found
        return placed

    def _corners(self, samples: Sequence[int], outlines: Sequence[Outline]) -> list[tuple[int, int] | None]:
        """Find places abreast, then exchange them for others that are more like the donors' surroundings."""
        rng, shift = self.rng, self.sampler.max_shift
        corners = self.places.find(samples, outlines, rng, shift)
        if self.sampler.place_like <= 0 or not self.sampler.painter.bank.has_appearances:
            return corners
        several = [corners, *(self.places.find(samples, outlines, rng, shift) for _ in range(PLACES - 1))]
        for number, (sample, outline) in enumerate(zip(samples, outlines, strict=True)):
            free = [found[number] for found in several if found[number] is not None]
            if free and outline.shape.donor is not None:
                image = self.images[sample].permute(1, 2, 0).float().cpu().numpy()
                bank, strength = self.sampler.painter.bank, self.sampler.place_like
                corners[number] = most_alike(bank, outline.shape, np.array(free), rng, image, strength)[0]
        return corners

    def _search(self, sample: int, outline: Outline, device: torch.device) -> Placed | None:
        """Look for a place as the transform does, which examines every position, then draws and shrinks others."""
        taken = self.places.occupancy(sample)
        corner = place(outline.shape, taken, self.places.image_hw, self.rng, self.sampler.max_shift)
        if corner is not None:
            return Placed(sample, outline, *corner, self.sampler.painter.draw_latent(self.rng))
        draw = self.sampler.draw_one(taken, self.rng, outline.shape.class_index)
        return None if draw is None else Placed.of(sample, draw, device)
