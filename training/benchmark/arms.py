"""The arms: what is done to an image before it is cut, and before the classic augmentation that all of them share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np

from albu_gan import DefectInpainter, GANDefectInpaint
from albu_gan.arguments import class_weights
from albu_gan.data import DefectDataset, Record
from albu_gan.defects import DefectSampler, Painter, occupied, write_labels
from albu_gan.hub import WeightsFolder
from albu_gan.painting import Patch, paste
from training.benchmark.donors import CopyPaste, FixedLatent, Poisson, cut_donors
from training.benchmark.images import ImageStore
from training.benchmark.perlin import PerlinTexture
from training.benchmark.settings import BenchmarkConfig
from training.gan.dcgan.folder import load_dcgan
from training.gan.dcgan.sample import sample_pairs

PAIRS_A_CLASS = 64  # of the decoder-only arm

Painting = Callable[[np.ndarray, np.ndarray, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]
"""From image (H, W, C) uint8, index mask (H, W) uint8 and a seed to both, painted or not."""


class PaintShapes(A.DualTransform):
    """`GANDefectInpaint` with another painter: the same draws of number, class, shape, place and visibility.

    Args:
        painter: of the defects.
        config: of the benchmark.
    """

    def __init__(self, painter: Painter, config: BenchmarkConfig) -> None:
        super().__init__(p=config.p)
        self.painter, self.config = painter, config

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw and paint; `apply*` only paste."""
        counts, config = self.painter.bank.counts(), self.config
        sampler = DefectSampler(
            self.painter,
            dict(enumerate(class_weights(config.class_sampling, range(len(counts)), range(len(counts)), counts))),
            config.defects_range,
            "bank",
            config.scale_range,
            config.rotate_range,
            config.min_contrast,
            config.max_shift,
        )
        blocked = occupied(data["mask"], None, avoid_existing=True)
        return {"patches": sampler.patches(data["image"], blocked, self.random_generator)}

    def apply(self, img: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Return a painted copy."""
        painted = np.array(img, order="C")
        for patch in patches:
            paste(painted, patch)
        return painted

    def apply_to_mask(self, mask: np.ndarray, patches: tuple[Patch, ...] = (), **params: Any) -> np.ndarray:
        """Return a labelled copy."""
        return write_labels(mask, patches, range(1, len(self.painter.bank.counts()) + 1), None)


@dataclass(frozen=True)
class Paint:
    """Calls a transform with generators of its own for each image, so that arms see the same random numbers."""

    transform: A.DualTransform

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Paint with probability p."""
        seed_transform(self.transform, seed)
        result = self.transform(image=image, mask=mask)
        return result["image"], result["mask"]


@dataclass(frozen=True)
class OneOf:
    """One of several paintings, each with the same probability; the same draws as each alone."""

    paintings: Sequence[Painting]

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Paint by one of them."""
        chosen = np.random.default_rng((*seed, 1)).integers(len(self.paintings))
        return self.paintings[chosen](image, mask, seed)


@dataclass(frozen=True)
class ReplaceByPair:
    """With probability p, a pair of the decoder in place of the image, mirrored to the image's size."""

    images: np.ndarray
    masks: np.ndarray
    p: float

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Replace both or neither."""
        rng = np.random.default_rng((*seed, 2))
        if rng.random() >= self.p:
            return image, mask
        index = int(rng.integers(len(self.images)))
        return _mirrored(self.images[index], mask.shape), _mirrored(self.masks[index], mask.shape)


def _mirrored(array: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """Centre part of an array, or the array mirrored outwards, of the given height and width."""
    room = [wanted - side for wanted, side in zip(size_hw, array.shape, strict=False)]
    before = [max(0, r) // 2 for r in room]
    pads = [(b, max(0, r) - b) for b, r in zip(before, room, strict=True)] + [(0, 0)] * (array.ndim - 2)
    padded = np.pad(array, pads, mode="symmetric")
    y, x = (max(0, -r) // 2 for r in room)
    return np.ascontiguousarray(padded[y : y + size_hw[0], x : x + size_hw[1]])


def seed_transform(transform: A.BasicTransform | A.BaseCompose, seed: tuple[int, ...]) -> None:
    """Give a transform, and those in it, one stream of numpy's and one of python's random numbers."""
    rng = np.random.default_rng(seed)
    transform.set_random_state(rng, random.Random(int(rng.integers(2**63))))


def classic_augmentation() -> A.Compose:
    """Return the augmentation of every arm: mirrors, turns, scale, light and noise."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.RandomRotate90(p=0.5),
            A.Affine(scale=(0.85, 1.15), rotate=(-15, 15), border_mode=cv2.BORDER_REFLECT_101, p=0.5),
            A.RandomBrightnessContrast(0.25, 0.25, p=0.5),
            A.RandomGamma((75, 130), p=0.3),
            A.GaussNoise(std_range=(0.01, 0.04), p=0.3),
        ]
    )


def build_painting(
    arm: str,
    dataset: DefectDataset,
    records: Sequence[Record],
    config: BenchmarkConfig,
    painter: WeightsFolder | None,
    dcgan: Path | None,
    seed: int,
) -> Painting | None:
    """Return what an arm does to a crop; None if it paints nothing.

    Args:
        arm: one of `ARMS`.
        dataset: for its classes.
        records: of the training groups: the only source of shapes, donors and textures.
        config: of the benchmark.
        painter: of the GAN arms; trained on those groups.
        dcgan: `RUN/dcgan` of the decoder-only arm.
        seed: of what is fixed for the whole run.
    """
    if arm in ("none", "oversample"):
        return None
    if arm == "decoder-only":
        assert dcgan is not None
        decoder = load_dcgan(dcgan)
        made = [sample_pairs(decoder, PAIRS_A_CLASS, c, seed + c) for c in range(len(dataset.class_names))]
        masks = _renumbered(np.concatenate([m for _, m in made]), decoder.class_names, dataset.class_names)
        return ReplaceByPair(np.concatenate([image for image, _ in made]), masks, config.p)
    if arm in ("gan", "gan+procedural"):
        assert painter is not None
        return Paint(gan_transform(painter, config, "bank" if arm == "gan" else "both"))
    if arm == "gan-fixed-z":
        assert painter is not None
        return Paint(PaintShapes(FixedLatent(DefectInpainter(painter), seed), config))
    latent_dim = 32 if painter is None else painter.config.require_generator().latent_dim
    if arm == "gan+copy-paste":
        assert painter is not None
        bank, donors = cut_donors(dataset, records)
        pasted = Paint(PaintShapes(CopyPaste(bank, donors, latent_dim), config))
        return OneOf((Paint(gan_transform(painter, config)), pasted))
    bank, donors = cut_donors(dataset, records)
    if arm == "perlin":
        return Paint(PaintShapes(PerlinTexture(bank, ImageStore(dataset, records), latent_dim), config))
    peer = {"copy-paste": CopyPaste, "poisson": Poisson}[arm]
    return Paint(PaintShapes(peer(bank, donors, latent_dim), config))


def gan_transform(painter: WeightsFolder, config: BenchmarkConfig, mask_source: str = "bank") -> GANDefectInpaint:
    """Return the transform that users have, with the benchmark's settings."""
    return GANDefectInpaint(
        weights=str(painter.path),
        mask_source=mask_source,
        defects_range=config.defects_range,
        class_sampling=config.class_sampling,
        scale_range=config.scale_range,
        rotate_range=config.rotate_range,
        min_contrast=config.min_contrast,
        max_shift=config.max_shift,
        p=config.p,
    )


def _renumbered(masks: np.ndarray, names: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Index masks of one list of classes as those of another."""
    table = np.array([0, *(wanted.index(name) + 1 for name in names)], np.uint8)
    return table[masks]
