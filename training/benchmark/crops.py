"""Crops that the network is trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from albu_gan.data import DataError
from training.benchmark.arms import Painting, classic_augmentation, seed_transform
from training.benchmark.images import ImageStore
from training.benchmark.settings import BenchmarkConfig

ByGroup = Mapping[str, list[int]]


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Crop `i` depends on the seed and `i` alone: two arms see the same images, painted or not, and augmented alike.

    A share of the crops is cut around a real defect. Its group is drawn evenly, so that a part photographed fifteen
    times counts once; with `balanced`, first its class. The others show clean images, if there are any.

    Args:
        defective: training images with a defect.
        clean: training images without; may be empty.
        config: of the benchmark.
        painting: of the arm; None paints nothing.
        balanced: draw classes evenly.
        seed: of the run.
        length: number of crops.
    """

    def __init__(
        self,
        defective: ImageStore,
        clean: ImageStore,
        config: BenchmarkConfig,
        painting: Painting | None,
        balanced: bool,
        seed: int,
        length: int,
    ) -> None:
        if not len(defective):
            raise DataError("no training image with a defect; check the groups")
        self.defective, self.clean, self.config = defective, clean, config
        self.painting, self.balanced, self.seed, self.length = painting, balanced, seed, length
        self.augment = classic_augmentation()
        self.groups = _by_group(defective, None)
        num_classes = len(defective.dataset.class_names)
        of_class = [_by_group(defective, index) for index in range(num_classes)]
        self.of_class = [groups for groups in of_class if groups]
        self.clean_groups = _by_group(clean, None)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return image (C, S, S) float32 in [-1, 1] and mask (S, S) int64."""
        image, mask = self.crop(index)
        seed_transform(self.augment, (self.seed, index, 2))
        result = self.augment(image=image, mask=mask)
        return network_input(result["image"]), torch.from_numpy(result["mask"].astype(np.int64))

    def crop(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw an image, paint it whole, and cut crop `index` out of it, before the classic augmentation.

        Whole images are painted, not crops: a shape that belongs at the border of its image gets there. A clean image
        that was painted is cut around what was painted.
        """
        rng = np.random.default_rng((self.seed, index))
        around = None
        if len(self.clean) and rng.random() >= self.config.defect_fraction:
            image, mask = self.clean[_draw(self.clean_groups, rng)]
        else:
            groups = self.of_class[rng.integers(len(self.of_class))] if self.balanced else self.groups
            image, mask = self.defective[_draw(groups, rng)]
            around = _labelled_pixel(mask, rng)
        if self.painting is not None:
            before = mask
            image, mask = self.painting(image, mask, (self.seed, index, 1))
            if around is None:
                around = _labelled_pixel(mask != before, np.random.default_rng((self.seed, index, 3)))
        return cut_crop(image, mask, around, self.config.crop_size, rng)


def cut_crop(
    image: np.ndarray, mask: np.ndarray, around: tuple[int, int] | None, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square at a random place.

    Args:
        image: (H, W, C) uint8.
        mask: (H, W) uint8.
        around: row and column of a pixel that the crop must show; None for any place.
        size: side of the crop; smaller images are mirrored outwards.
        rng: draws the place.
    """
    bottom, right = (max(0, size - side) for side in mask.shape)
    if bottom or right:
        image = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="symmetric")
        mask = np.pad(mask, ((0, bottom), (0, right)), mode="symmetric")
    start = []
    for axis, side in enumerate(mask.shape):
        low, high = 0, side - size
        if around is not None:
            low, high = max(low, around[axis] - size + 1), min(high, around[axis])
        start.append(int(rng.integers(low, high + 1)))
    y, x = start
    return image[y : y + size, x : x + size].copy(), mask[y : y + size, x : x + size].copy()


def network_input(image: np.ndarray) -> Tensor:
    """(H, W, C) uint8 to (C, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div_(127.5).sub_(1)


def _by_group(store: ImageStore, class_index: int | None) -> dict[str, list[int]]:
    """Indices of the images by group; of one class, or of all."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(store.records):
        if class_index is None or class_index in record.classes:
            groups[record.group].append(index)
    return dict(groups)


def _draw(groups: ByGroup, rng: np.random.Generator) -> int:
    names = list(groups)
    members = groups[names[rng.integers(len(names))]]
    return members[rng.integers(len(members))]


def _labelled_pixel(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    """A random pixel of a random connected defect; None if the mask is empty after all."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    if count == 1:
        return None
    which = int(rng.integers(1, count))
    left, top, width, height = (int(v) for v in stats[which, :4])
    rows, columns = np.nonzero(labels[top : top + height, left : left + width] == which)
    index = int(rng.integers(len(rows)))
    return top + int(rows[index]), left + int(columns[index])
