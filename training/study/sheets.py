"""Pictures of the study, on surfaces that may be shown: the package's samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from albu_gan.defects import DefectInpainter, place
from albu_gan.hub import find_weights
from albu_gan.painting import Draw, contrast, mask_box, paste
from albu_gan.pictures import grid, outline, sample_images, write_picture
from training.gan.dcgan.folder import load_dcgan
from training.gan.dcgan.sample import sample_pairs
from training.gan.dcgan.sheet import pair_picture

CELL = 144
VIEW = 64  # pixels of a sample shown in a cell, more where the mask needs it
TRIES = 400  # shapes looked at for one that fits a cell
LATENTS = 2
PAIRS = 4  # of each class that a decoder makes
WALK = 7  # steps of a latent walk
ENDS = 8  # latents averaged to either end of a direction
DRAWN = 64  # latents that the ends are taken from


class Scene:
    """A place in a sample image and a mask there, for one class.

    Args:
        painter: whose mask bank gives the shape.
        class_index: of the defect.
        number: same number, same scene.
    """

    def __init__(self, painter: DefectInpainter, class_index: int, number: int) -> None:
        rng = np.random.default_rng((number, class_index))
        images = sample_images(gray=painter.folder.config.require_generator().in_channels == 1)
        self.image = images[int(rng.integers(len(images)))]
        self.name = painter.class_names[class_index]
        for attempt in range(TRIES):
            shape = painter.bank.sample(class_index, rng)
            inner = not any(shape.edges) or attempt > TRIES // 2
            if inner and max(shape.mask.shape) <= 2 * VIEW and min(shape.mask.shape) >= 5:
                offset_yx = place(shape, None, (self.image.shape[0], self.image.shape[1]), rng)
                break
        else:
            raise ValueError(f"{painter.folder.name}: no shape of class {self.name!r} that fits a cell of the sheet")
        assert offset_yx is not None  # samples are larger than two views
        self.mask = np.zeros(self.image.shape[:2], np.uint8)
        (top, left), (height, width) = offset_yx, shape.mask.shape
        self.mask[top : top + height, left : left + width] = shape.mask
        side = max(VIEW, int(1.3 * max(height, width)))
        corner = [
            int(np.clip(start + length / 2 - side / 2, 0, limit - side))
            for start, length, limit in ((top, height, self.image.shape[0]), (left, width, self.image.shape[1]))
        ]
        self.view = (slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side))

    def labelled(self) -> np.ndarray:
        """The clean view with the mask's contour."""
        return outline(self.image[self.view], self.mask[self.view])


def compare(runs: Sequence[tuple[str, Path]], path: Path) -> None:
    """Paint the same scenes with the same latents by several runs: a row a class and latent, a column a run.

    Args:
        runs: title and weights folder of each.
        path: of the picture.
    """
    painters = [(title, DefectInpainter(find_weights(str(folder)))) for title, folder in runs]
    rows = []
    for class_index in range(len(painters[0][1].class_names)):
        try:
            scene = Scene(painters[0][1], class_index, 1)
        except ValueError:
            continue
        for seed in range(LATENTS):
            painted = [painter(scene.image, scene.mask, scene.name, seed=seed)[scene.view] for _, painter in painters]
            rows.append([scene.labelled(), *painted])
    write_picture(path, grid(rows, (CELL, CELL), ["clean, mask", *(title for title, _ in painters)]))


def decoder_sheet(folder: Path, path: Path) -> None:
    """Sample a decoder-only GAN: a column a class, `PAIRS` images above themselves with the outline of their masks.

    Args:
        folder: of the decoder, a run's `dcgan`.
        path: of the picture.
    """
    dcgan = load_dcgan(folder)
    columns = []
    for index in range(len(dcgan.class_names)):
        images, masks = sample_pairs(dcgan, PAIRS, index, seed=0)
        columns.append([pair_picture(image, mask) for image, mask in zip(images, masks, strict=True)])
    write_picture(path, grid(list(zip(*columns, strict=True)), (2 * CELL, CELL), dcgan.class_names))


def latent_sheet(name: str, path: Path) -> None:
    """Walks between two latents, and a direction found on one window added on others.

    The walks go along the great circle between two draws (normal latents lie near a sphere, White 2016). The direction
    is the mean of the latents that paint the strongest defects on one window less the mean of the weakest; added to
    other latents on other windows and classes it does the same there (vector arithmetic, Radford et al. 2016).

    Args:
        name: of the weights.
        path: of the picture.
    """
    painter = DefectInpainter(find_weights(name))
    rng = np.random.default_rng(0)
    rows, classes = [], range(len(painter.class_names))
    scenes = [Scene(painter, index, 1) for index in classes]
    for scene in scenes:
        start, end = (painter.draw_latent(rng) for _ in range(2))
        walk = [slerp(start, end, t) for t in np.linspace(0, 1, WALK)]
        rows.append([scene.labelled(), *(paint_latent(painter, scene, z) for z in walk)])
    direction = strength_direction(painter, scenes[0], rng)
    for scene in scenes:
        z = painter.draw_latent(rng)
        steps = [z + factor * direction for factor in np.linspace(-1.5, 1.5, WALK)]
        rows.append([scene.labelled(), *(paint_latent(painter, scene, s.astype(np.float32)) for s in steps)])
    titles = ["clean, mask", *(f"{t:.2f}" for t in np.linspace(0, 1, WALK))]
    write_picture(path, grid(rows, (CELL, CELL), titles))


def slerp(start: np.ndarray, end: np.ndarray, t: float) -> np.ndarray:
    """Point at share `t` of the great circle between two latents, lengths between theirs.

    References:
        Shoemake: Animating rotation with quaternion curves, 1985; White: Sampling generative networks, 2016.
    """
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    a, b = start / lengths[0], end / lengths[1]
    angle = np.arccos(np.clip(a @ b, -1, 1))
    if angle < 1e-6:
        return start
    point = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return np.asarray(point * ((1 - t) * lengths[0] + t * lengths[1]), np.float32)


def strength_direction(painter: DefectInpainter, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Mean of the latents that paint the strongest defects of a scene less the mean of the weakest."""
    latents = np.stack([painter.draw_latent(rng) for _ in range(DRAWN)])
    painted = [paint_latent(painter, scene, z) for z in latents]
    clean, mask = scene.image[scene.view], scene.mask[scene.view]
    order = np.argsort([contrast(clean, image, mask) for image in painted])
    return np.asarray(latents[order[-ENDS:]].mean(axis=0) - latents[order[:ENDS]].mean(axis=0))


def paint_latent(painter: DefectInpainter, scene: Scene, z: np.ndarray) -> np.ndarray:
    """The view of a scene painted with a given latent."""
    top, left, height, width = mask_box(scene.mask) or (0, 0, 0, 0)
    cut = scene.mask[top : top + height, left : left + width] > 0
    draw = Draw(cut, top, left, painter.class_names.index(scene.name), z)
    painted = scene.image.copy()
    for patch in painter.paint(scene.image, [draw]):
        paste(painted, patch)
    return painted[scene.view]
