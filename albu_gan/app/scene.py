"""What one person is painting: the image, the masks drawn on it, the latents, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from albu_gan.app.images import Upload
from albu_gan.app.snippet import Call, python_snippet
from albu_gan.defects import SHRINK_FACTORS, DefectInpainter, jitter_shape, place, scale_shape
from albu_gan.hub import bundled_names
from albu_gan.painting import contrast
from albu_gan.pictures import write_png

MAX_PARTS = 300  # of one class; each separate part of a mask is a window of the network
MAX_CALLS = 255  # values of an 8-bit PNG
MAX_SEED = 2**31 - 1
MAX_STRENGTH = 3.0
VISIBLE = 8.0  # levels of 255: `min_contrast` of the transform
GAP = 3  # pixels kept free around a sampled shape, so that it does not grow together with another


@dataclass(frozen=True)
class Setting:
    """Latent and strength of a class."""

    seed: int = 0
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"the latent must be an integer from 0 to {MAX_SEED}, got {self.seed}")
        if not 0 <= self.strength <= MAX_STRENGTH:
            raise ValueError(f"the strength must be a number from 0 to {MAX_STRENGTH:g}, got {self.strength:g}")


@dataclass(frozen=True)
class Step:
    """One mask painted with one class and latent."""

    class_index: int
    mask: np.ndarray
    setting: Setting


@dataclass(frozen=True)
class Scene:
    """One image with everything painted into it; never changed, only replaced.

    Attributes:
        clean: (H, W) or (H, W, 3) uint8, as loaded.
        stem: of the names of downloaded files.
        drawn: (H, W) uint8, class index + 1 where a defect is to be painted.
        settings: of each class that has other settings than the default.
        kept: earlier steps, which no longer change.
        base: the clean image with the kept steps painted.
    """

    clean: np.ndarray
    stem: str
    drawn: np.ndarray
    settings: Mapping[int, Setting] = field(default_factory=dict)
    kept: tuple[Step, ...] = ()
    base: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.clean.shape[0], self.clean.shape[1]

    def setting(self, class_index: int) -> Setting:
        """Return latent and strength of a class."""
        return self.settings.get(class_index, Setting())

    def locked(self) -> np.ndarray:
        """Return the (H, W) bool pixels of kept steps, which cannot be drawn on."""
        taken = np.zeros(self.size_hw, bool)
        for step in self.kept:
            taken |= step.mask
        return taken

    def steps(self) -> tuple[Step, ...]:
        """Return all that is painted, in order: the kept steps, then each drawn class."""
        drawn = [
            Step(int(v) - 1, self.drawn == v, self.setting(int(v) - 1)) for v in np.unique(self.drawn[self.drawn > 0])
        ]
        return (*self.kept, *drawn)


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


def new_scene(upload: Upload) -> Scene:
    """Start on an image with nothing drawn."""
    return Scene(upload.image, upload.stem, np.zeros(upload.image.shape[:2], np.uint8), base=upload.image)


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
    """Set latent and strength of a class."""
    return replace(scene, settings={**scene.settings, class_index: setting})


def sample_mask(scene: Scene, painter: DefectInpainter, class_index: int, rng: np.random.Generator) -> Scene:
    """Add a real shape of a class at a free place.

    Raises:
        ValueError: if the weights hold no shape of the class, or nothing fits.
    """
    name = painter.class_names[class_index]
    if not painter.mask_bank.counts()[class_index]:
        raise ValueError(f"these weights hold no shapes of {name}; draw one")
    kernel = np.ones((2 * GAP + 1, 2 * GAP + 1), np.uint8)
    blocked = cv2.dilate(((scene.drawn > 0) | scene.locked()).astype(np.uint8), kernel).astype(bool)
    for shrink in SHRINK_FACTORS:
        shape = jitter_shape(painter.mask_bank.sample(class_index, rng), (0.8, 1.25), (-15, 15), rng)
        shape = shape if shrink == 1 else scale_shape(shape, shrink)
        offset_yx = place(shape, blocked, scene.size_hw, rng)
        if offset_yx is not None:
            labels = scene.drawn.copy()
            rows, columns = (slice(o, o + s) for o, s in zip(offset_yx, shape.mask.shape, strict=True))
            labels[rows, columns][shape.mask] = class_index + 1
            return draw(scene, labels)
    raise ValueError("there is no room left for another mask; erase some, or load another image")


def keep(scene: Scene, painter: DefectInpainter) -> Scene:
    """Fix what is drawn, with its latents, and go on with empty masks.

    Raises:
        ValueError: if nothing is drawn, or there are more steps than a mask file has values.
    """
    steps = scene.steps()
    if len(steps) == len(scene.kept):
        raise ValueError("there is nothing new to keep; draw or sample a mask first")
    if len(steps) > MAX_CALLS:
        raise ValueError(f"no more than {MAX_CALLS} steps can be kept; download, and load the painted image again")
    base = paint(scene, painter).image
    return replace(scene, drawn=np.zeros(scene.size_hw, np.uint8), kept=steps, base=base)


def paint(scene: Scene, painter: DefectInpainter) -> Painted:
    """Paint every step, each by one call of the painter."""
    image, mask, contrasts = scene.base, np.zeros(scene.size_hw, np.uint8), dict[int, float]()
    for index, step in enumerate(scene.steps()):
        mask[step.mask] = step.class_index + 1
        if index >= len(scene.kept):
            name = painter.class_names[step.class_index]
            image = painter(image, step.mask, name, seed=step.setting.seed, strength=step.setting.strength)
        reached = contrast(scene.clean, image, step.mask)
        contrasts[step.class_index] = min(reached, contrasts.get(step.class_index, np.inf))
    return Painted(image, mask, contrasts)


@dataclass(frozen=True)
class Files:
    """What is downloaded: paths, and the snippet's text.

    Attributes:
        image: the painted image.
        mask: class index + 1.
        clean: the image as loaded.
        steps: the number of the step that painted a pixel; None where the classes say it already.
        snippet: the program.
        text: of the program.
    """

    image: Path
    mask: Path
    clean: Path
    steps: Path | None
    snippet: Path
    text: str


def write_files(scene: Scene, painted: Painted, painter: DefectInpainter, folder: Path) -> Files:
    """Write image, mask, clean image and snippet, and the map of steps where a class was painted in more than one.

    Args:
        scene: what was painted.
        painted: what came of it.
        painter: that painted it.
        folder: of this image alone; files of an earlier painting are replaced.
    """
    steps = scene.steps()
    classes = [step.class_index for step in steps]
    paths = {kind: folder / f"{scene.stem}-{kind}.png" for kind in ("painted", "mask", "clean", "steps")}
    for kind, pixels in (("painted", painted.image), ("mask", painted.mask)):
        write_png(paths[kind], pixels)
    if not paths["clean"].exists():  # the folder is this image's, and this file never changes
        write_png(paths["clean"], scene.clean)
    by_step = len(set(classes)) < len(classes)
    if by_step:
        write_png(paths["steps"], _step_map(steps, scene.size_hw))
    names = painter.class_names
    calls = [
        Call(i + 1 if by_step else s.class_index + 1, names[s.class_index], s.setting.seed, s.setting.strength)
        for i, s in enumerate(steps)
    ]
    text = python_snippet(
        calls,
        weights_name(painter),
        paths["clean"].name,
        paths["steps" if by_step else "mask"].name,
        scene.clean.ndim == 2,
        f"{scene.stem}-again.png",
    )
    snippet = folder / f"{scene.stem}-paint.py"
    snippet.write_text(text, encoding="utf-8")
    return Files(paths["painted"], paths["mask"], paths["clean"], paths["steps"] if by_step else None, snippet, text)


def weights_name(painter: DefectInpainter) -> str:
    """Return what finds the painter's weights again, from any folder."""
    folder = painter.folder
    is_path = folder.commit is None and folder.name not in bundled_names()
    return str(folder.path.resolve()) if is_path else folder.name


def _step_map(steps: Sequence[Step], size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: 1 where the first step paints, 2 for the second, and so on."""
    numbers = np.zeros(size_hw, np.uint8)
    for index, step in enumerate(steps):
        numbers[step.mask] = index + 1
    return numbers
