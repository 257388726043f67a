"""Batches to train on: windows with their masks, or real shapes fitted into a window with their size kept aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from torch.utils.data import Dataset

from albu_gan.data import DataError, DefectDataset, Record
from albu_gan.defects import Shape
from training.gan.export import build_mask_bank
from training.windows import DefectWindow, brighten, flip, jitter_crop

FIT = 0.8  # largest share of the window's side that a shape spans; the rest is left for shifts
SMALLEST_FIT = 0.7  # of that span, so that shapes come a little smaller too
LARGEST_GAIN = 4.0  # of tiny shapes, which would be blurs without an edge if they filled the window
STORED_SIDE = 160  # pixels; larger shapes are kept at a reduced scale
SCALE_UNIT = 2.0  # octaves; brings the logarithms of scales near 1
T = TypeVar("T")


class Balanced(Generic[T]):
    """Draws classes evenly, then groups, then members, so that a part photographed fifteen times counts once."""

    def __init__(self, members: Sequence[tuple[int, str, T]], class_names: Sequence[str]) -> None:
        self.tree: dict[int, dict[str, list[T]]] = defaultdict(dict)
        for class_index, group, member in members:
            self.tree[class_index].setdefault(group, []).append(member)
        for index, name in enumerate(class_names):
            if index not in self.tree:
                raise DataError(
                    f"class {name!r} has no defect to learn from in the training groups; "
                    "leave it out, or raise --train-fraction"
                )
        self.classes = sorted(self.tree)

    def draw(self, rng: np.random.Generator) -> tuple[int, T]:
        """Draw a class index and a member of that class."""
        class_index = self.classes[rng.integers(len(self.classes))]
        groups = list(self.tree[class_index].values())
        members = groups[rng.integers(len(groups))]
        return class_index, members[rng.integers(len(members))]


class PairBatches(Dataset[dict[str, Any]]):
    """Batches of windows; batch `i` depends on the seed and `i` alone, so a resumed run sees the same stream.

    An item holds image (B, H, W, C) uint8, mask (B, H, W) uint8 of class index + 1, and condition (B, K) float32.
    """

    def __init__(
        self, windows: Sequence[DefectWindow], class_names: Sequence[str], batch_size: int, seed: int, length: int
    ) -> None:
        self.windows = Balanced([(w.class_index, w.group, w) for w in windows], class_names)
        self.num_classes, self.batch_size, self.seed, self.length = len(class_names), batch_size, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, step: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, step))
        samples = []
        for _ in range(self.batch_size):
            class_index, window = self.windows.draw(rng)
            image, mask = jitter_crop(window, [window.image, window.mask], rng)
            flips = (bool(rng.integers(2)), bool(rng.integers(2)))
            image = brighten(flip(image, flips), rng.uniform(0.8, 1.2))
            samples.append((image, flip(mask, flips), class_condition(class_index, self.num_classes)))
        return dict(zip(("image", "mask", "condition"), map(np.stack, zip(*samples, strict=True)), strict=True))


class ShapeBatches(Dataset[dict[str, Any]]):
    """Batches of real shapes, turned, mirrored and fitted into the window; see `PairBatches`.

    An item holds coverage (B, 1, H, W) float32 in [0, 1], the share of each pixel that the shape covers, and condition
    (B, K + 5) float32. Coverage is soft at the edges, as what a decoder makes is, and keeps lines thinner than a pixel.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[str, Shape]],
        class_names: Sequence[str],
        image_size: int,
        batch_size: int,
        seed: int,
        length: int,
    ) -> None:
        self.shapes = Balanced([(shape.class_index, group, _stored(shape)) for group, shape in shapes], class_names)
        self.num_classes, self.image_size = len(class_names), image_size
        self.batch_size, self.seed, self.length = batch_size, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, step: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, step))
        samples = []
        for _ in range(self.batch_size):
            class_index, (coverage, factor, edges) = self.shapes.draw(rng)
            coverage, edges = turned(coverage, edges, rng)
            angle = 0.0 if any(edges) else rng.uniform(0, 90)
            fitted, scale = fit(coverage, angle, self.image_size, rng)
            samples.append((fitted[None], shape_condition(class_index, self.num_classes, scale / factor, edges)))
        return dict(zip(("coverage", "condition"), map(np.stack, zip(*samples, strict=True)), strict=True))


def cut_shapes(dataset: DefectDataset, records: Sequence[Record]) -> list[tuple[str, Shape]]:
    """Collect the connected shapes of the records, each with its group."""
    by_group: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_group[record.group].append(record)
    shapes = []
    for group, members in by_group.items():
        bank = build_mask_bank(dataset, members)
        shapes += [(group, bank[index]) for index in range(len(bank))]
    return shapes


def class_condition(class_index: int, num_classes: int) -> np.ndarray:
    """Return (K,) float32, 1 at the class."""
    return np.eye(num_classes, dtype=np.float32)[class_index]


def shape_condition(class_index: int, num_classes: int, scale: float, edges: Sequence[bool]) -> np.ndarray:
    """Return (K + 5,) float32: class, scale and borders of a shape.

    Args:
        class_index: of the defect.
        num_classes: K.
        scale: source pixels a pixel of the window. With it a shape has a size, and may be drawn as its size asks:
            specks are round, long cracks thin.
        edges: which borders of its image it touches; there its outline is straight.
    """
    rest = np.array([np.log2(scale) / SCALE_UNIT, *edges], np.float32)
    return np.concatenate([class_condition(class_index, num_classes), rest])


def turned(
    array: np.ndarray, edges: tuple[bool, bool, bool, bool], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[bool, bool, bool, bool]]:
    """Mirror and transpose an (h, w) array at random, and the borders it touches with it."""
    top, left, bottom, right = edges
    if rng.integers(2):
        array, top, bottom = array[::-1], bottom, top
    if rng.integers(2):
        array, left, right = array[:, ::-1], right, left
    if rng.integers(2):
        array, top, left, bottom, right = array.T, left, top, right, bottom
    return np.ascontiguousarray(array), (top, left, bottom, right)


def fit(coverage: np.ndarray, angle: float, size: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Turn a shape, and draw it near the middle of a window at about `FIT` of its side.

    Args:
        coverage: (h, w) float32 in [0, 1].
        angle: degrees.
        size: side of the window.
        rng: for the exact span and place.

    Returns:
        (size, size) float32 in [0, 1], and the pixels of `coverage` a pixel of the window.
    """
    rows, columns = np.nonzero(coverage > 0)
    corners = np.stack([columns, rows], axis=1)[:, None].astype(np.float32)
    matrix = cv2.getRotationMatrix2D((0, 0), angle, 1.0)
    x, y, width, height = cv2.boundingRect(cv2.transform(corners, matrix))
    factor = (
        2 * span_for(max(width, height), size, rng) / max(width, height)
    )  # drawn at twice the size and averaged, for smooth edges
    room = np.array([2 * size - factor * width, 2 * size - factor * height]) / 2
    matrix *= factor
    matrix[:, 2] = room - factor * np.array([x, y]) + room * rng.uniform(-0.2, 0.2, 2)
    if factor < 0.7:
        coverage = cv2.blur(coverage, (2, 2) if factor > 0.4 else (3, 3))
    drawn = cv2.warpAffine(coverage, matrix, (2 * size, 2 * size), flags=cv2.INTER_LINEAR)
    return cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), 2 / factor


def span_for(side: float, size: int, rng: np.random.Generator) -> float:
    """Draw how many pixels of a window of `size` a shape spans whose longest side has `side` source pixels."""
    return float(min(rng.uniform(SMALLEST_FIT, 1) * FIT * size, LARGEST_GAIN * side))


def _stored(shape: Shape) -> tuple[np.ndarray, float, tuple[bool, bool, bool, bool]]:
    """Coverage of at most STORED_SIDE, its pixels a source pixel, and the borders it touches."""
    times = -(-max(shape.mask.shape) // STORED_SIDE)  # a whole number, so that no area is lost
    height, width = (-(-side // times) for side in shape.mask.shape)
    padded = np.zeros((height * times, width * times), np.float32)
    padded[: shape.mask.shape[0], : shape.mask.shape[1]] = shape.mask
    coverage = padded.reshape(height, times, width, times).mean(axis=(1, 3))
    return np.pad(coverage, 2), 1 / times, shape.edges  # a margin, so that a blur loses nothing at the border
