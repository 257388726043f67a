"""What one person is painting: the image, the masks drawn on it, how each class is painted, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from albu_gan.app.images import Upload
from albu_gan.app.own import OwnExemplar
from albu_gan.app.sampled import SampledPart
from albu_gan.defects import DefectInpainter
from albu_gan.painting import contrast

MAX_PARTS = 300  # of one class; each separate part of a mask is painted by itself
MAX_CALLS = 255  # values of an 8-bit PNG
MAX_SEED = 2**31 - 1
MAX_STRENGTH = 3.0
VISIBLE = 8.0  # levels of 255: `min_contrast` of the transform


@dataclass(frozen=True)
class Setting:
    """How a class is painted.

    Attributes:
        seed: of what is drawn: the latent of a network.
        strength: factor of what is added.
        variation: how far a defect differs from its exemplar, in [0, 1].
        exemplar: number in the bank of the defect that is painted; None for any.
        own: defect of the person's own that is painted instead of the weights' ones; None for theirs.
    """

    seed: int = 0
    strength: float = 1.0
    variation: float = 0.5
    exemplar: int | None = None
    own: OwnExemplar | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"the latent or seed must be an integer from 0 to {MAX_SEED}, got {self.seed}")
        if not 0 <= self.strength <= MAX_STRENGTH:
            raise ValueError(f"the strength must be a number from 0 to {MAX_STRENGTH:g}, got {self.strength:g}")
        if not 0 <= self.variation <= 1:
            raise ValueError(f"the variation must be a number from 0 to 1, got {self.variation:g}")


@dataclass(frozen=True)
class Step:
    """One mask painted with one class and setting.

    Attributes:
        class_index: of what is painted.
        mask: (H, W) bool.
        setting: how.
        part: the real defect that the mask was sampled from; None where it was drawn.
    """

    class_index: int
    mask: np.ndarray
    setting: Setting
    part: SampledPart | None = None


@dataclass(frozen=True)
class Scene:
    """One image with everything painted into it; never changed, only replaced.

    Attributes:
        clean: (H, W) or (H, W, 3) uint8, as loaded.
        stem: of the names of downloaded files.
        drawn: (H, W) uint8, class index + 1 where a defect is to be painted.
        settings: of each class that has other settings than the default.
        sampled: what of `drawn` has the shape of a real defect; some of it may have been erased or drawn over.
        kept: earlier steps, which no longer change.
        base: the clean image with the kept steps painted.
    """

    clean: np.ndarray
    stem: str
    drawn: np.ndarray
    settings: Mapping[int, Setting] = field(default_factory=dict)
    sampled: tuple[SampledPart, ...] = ()
    kept: tuple[Step, ...] = ()
    base: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.clean.shape[0], self.clean.shape[1]

    def setting(self, class_index: int) -> Setting:
        """Return how a class is painted."""
        return self.settings.get(class_index, Setting())

    def locked(self) -> np.ndarray:
        """Return the (H, W) bool pixels of kept steps, which cannot be drawn on."""
        taken = np.zeros(self.size_hw, bool)
        for step in self.kept:
            taken |= step.mask
        return taken

    def steps(self) -> tuple[Step, ...]:
        """Return all that is painted, in order: the kept steps, then each drawn class."""
        steps = list(self.kept)
        for value in np.unique(self.drawn[self.drawn > 0]):
            steps += self._steps_of(int(value) - 1, self.drawn == value)
        return tuple(steps)

    def parts(self, class_index: int) -> list[SampledPart]:
        """Return the sampled parts of a class that are still there, and are to be painted as what they are."""
        setting, rest, found = self.setting(class_index), self.drawn == class_index + 1, []
        for part in reversed(self.sampled):
            wanted = part.class_index == class_index and part.own is setting.own
            if wanted and setting.exemplar in (None, part.donor) and part.is_still(rest):
                part.lay(rest, False)
                found.append(part)
        return found[::-1]

    def _steps_of(self, class_index: int, mask: np.ndarray) -> list[Step]:
        """One step of what is drawn of a class, and one of each part that was sampled."""
        setting, rest, steps = self.setting(class_index), mask.copy(), []
        for part in self.parts(class_index):
            alone = np.zeros_like(mask)
            part.lay(alone, True)
            rest &= ~alone
            steps.append(Step(class_index, alone, setting, part))
        return [*([Step(class_index, rest, setting)] if rest.any() else []), *steps]


@dataclass(frozen=True)
class Painted:
    """What comes of a scene.

    Attributes:
        image: like the clean image.
        mask: (H, W) uint8, class index + 1.
        contrasts: class index to the smallest contrast of its steps, in levels of 255.
    """

    image: np.ndarray
    mask: np.ndarray
    contrasts: Mapping[int, float]


def new_scene(upload: Upload, settings: Mapping[int, Setting] | None = None) -> Scene:
    """Start on an image with nothing drawn."""
    drawn = np.zeros(upload.image.shape[:2], np.uint8)
    return Scene(upload.image, upload.stem, drawn, settings or {}, base=upload.image)


def draw(scene: Scene, labels: np.ndarray) -> Scene:
    """Take over what was drawn, but for the pixels of kept steps.

    Args:
        scene: to draw on.
        labels: (H, W) uint8, class index + 1.

    Raises:
        ValueError: if a class has more separate parts than are painted.
    """
    labels = np.where(scene.locked(), 0, labels).astype(np.uint8) if scene.kept else labels
    for value in np.unique(labels[labels > 0]):
        parts = cv2.connectedComponents((labels == value).astype(np.uint8), connectivity=8)[0] - 1
        if parts > MAX_PARTS:
            raise ValueError(f"the mask of one class has {parts} separate parts; at most {MAX_PARTS} are painted")
    return replace(scene, drawn=labels)


def with_setting(scene: Scene, class_index: int, setting: Setting) -> Scene:
    """Set how a class is painted."""
    return replace(scene, settings={**scene.settings, class_index: setting})


def keep(scene: Scene, painter: DefectInpainter) -> Scene:
    """Fix what is drawn, as it is painted, and go on with empty masks.

    Raises:
        ValueError: if nothing is drawn, or there are more steps than a mask file has values.
    """
    steps = scene.steps()
    if len(steps) == len(scene.kept):
        raise ValueError("there is nothing new to keep; draw or sample a mask first")
    if len(steps) > MAX_CALLS:
        raise ValueError(f"no more than {MAX_CALLS} steps can be kept; download, and load the painted image again")
    base = paint(scene, painter).image
    return replace(scene, drawn=np.zeros(scene.size_hw, np.uint8), sampled=(), kept=steps, base=base)


def paint(scene: Scene, painter: DefectInpainter) -> Painted:
    """Paint every step, each by one call of the painter, or of that of the person's own exemplar."""
    image, mask, contrasts = scene.base, np.zeros(scene.size_hw, np.uint8), dict[int, float]()
    for index, step in enumerate(scene.steps()):
        mask[step.mask] = step.class_index + 1
        if index >= len(scene.kept):
            image = _painted(image, step, painter)
        reached = contrast(scene.clean, image, step.mask)
        contrasts[step.class_index] = min(reached, contrasts.get(step.class_index, np.inf))
    return Painted(image, mask, contrasts)


def _painted(image: np.ndarray, step: Step, painter: DefectInpainter) -> np.ndarray:
    s, p = step.setting, step.part
    source, name = painter, painter.class_names[step.class_index]
    if s.own is not None:
        source, name = s.own.painter, s.own.class_name
    if p is not None:
        return p.painted(source, image, s.strength)
    return source(image, step.mask, name, s.seed, s.strength, s.exemplar, s.variation)
