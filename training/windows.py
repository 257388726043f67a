"""From records to training windows: real defects, filled-in backgrounds, and clean windows for the same masks."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset
from tqdm import tqdm

from albu_gan.data import DataError, DefectDataset, Record, fill_defects
from albu_gan.painting import Window, WindowShape, choose_window, extract, extract_mask, thin_parts

CONTEXT = 1.25  # a stored window is this much wider than what is cut from it, to leave room for shifts
MIN_AREA = 6  # pixels; smaller specks of a mask are noise of the annotation
CACHE_BYTES = 1 << 30  # of clean images, in each process that makes batches
BACKGROUND_TRIES = 8  # places tried for a window that shows little of what is no background
USABLE_SHARE = 0.3  # of a defective image that must be clean, if its defects cannot be filled in
UNUSABLE_SHARE = 0.02  # of a window, that may lie outside the data set's background region


Background = tuple[np.ndarray, np.ndarray | None]  # (H, W, C) uint8; (H, W) bool where windows may be cut, None all
Backgrounds = Sequence[Background]


@dataclass(frozen=True)
class DefectWindow:
    """A real defect with its surroundings.

    Attributes:
        image: (H, W, C) uint8, H x W = shape * CONTEXT.
        mask: (H, W) uint8, class index + 1; every labelled pixel of the window.
        filled: (H, W, C) uint8, the defects taken away, or None where they cover too much for that.
        box: top, left, height, width of the defect that the window was cut around.
        class_index: of that defect.
        shape: rows and columns that are cut from it, network pixels.
        scale: network pixels a source pixel.
        group: of its record.
        centre_yx: centre of the defect as a fraction of its image.
        edges: which borders of its image the defect touches: top, left, bottom, right.
    """

    image: np.ndarray
    mask: np.ndarray
    filled: np.ndarray | None
    box: tuple[int, int, int, int]
    class_index: int
    shape: WindowShape
    scale: float
    group: str
    centre_yx: tuple[float, float]
    edges: tuple[bool, bool, bool, bool]


def components(mask: np.ndarray) -> list[tuple[int, np.ndarray, tuple[int, int, int, int]]]:
    """Return (class index, (H, W) bool mask, box) of each connected part of an index mask."""
    parts = []
    for value in np.unique(mask[mask > 0]):
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=8)
        for index in range(1, count):
            left, top, width, height, area = (int(v) for v in stats[index])
            if area >= MIN_AREA:
                parts.append((int(value) - 1, labels == index, (top, left, height, width)))
    return parts


def cut_defects(dataset: DefectDataset, records: list[Record], shapes: tuple[WindowShape, ...]) -> list[DefectWindow]:
    """Cut a window around every connected defect of the records.

    Args:
        dataset: that the records are of.
        records: to be read.
        shapes: of window, see `albu_gan.painting.windows.window_shapes`.

    Warns:
        UserWarning: if images are smaller than a window; what is missing is mirrored.
    """
    windows, small = [], []
    smallest = min(min(shape) for shape in shapes if shape[0] == shape[1])
    for record in tqdm([r for r in records if r.classes], desc="defect windows", unit="image", leave=False):
        image, mask = dataset.read(record)
        height, width = mask.shape
        if min(height, width) < smallest:
            small.append(record.image_path)
        for class_index, _, box in components(mask):
            tight = choose_window(box, (height, width), shapes)
            wider = int(tight.height * CONTEXT), int(tight.width * CONTEXT)
            top = _shifted(tight.top, tight.height, wider[0], height)
            left = _shifted(tight.left, tight.width, wider[1], width)
            wide = Window(top, left, *wider, (int(tight.shape[0] * CONTEXT), int(tight.shape[1] * CONTEXT)))
            # Sides are whole pixels, so that the two scales differ a little.
            vertical, horizontal = wide.shape[0] / wide.height, wide.shape[1] / wide.width
            crop = extract(image, wide).reshape(*wide.shape, dataset.channels)
            index_mask = np.zeros(wide.shape, np.uint8)
            for value in np.unique(mask[mask > 0]):
                index_mask[extract_mask(mask == value, wide) > 0] = value
            y, x = (box[0] - top) * vertical, (box[1] - left) * horizontal
            windows.append(
                DefectWindow(
                    crop,
                    index_mask,
                    fill_defects(crop, index_mask),
                    (int(y), int(x), int(np.ceil(box[2] * vertical)) + 1, int(np.ceil(box[3] * horizontal)) + 1),
                    class_index,
                    tight.shape,
                    (vertical * horizontal) ** 0.5,
                    record.group,
                    ((box[0] + box[2] / 2) / height, (box[1] + box[3] / 2) / width),
                    (box[0] <= 1, box[1] <= 1, box[0] + box[2] >= height - 1, box[1] + box[3] >= width - 1),
                )
            )
    if small:
        warnings.warn(
            f"{len(small)} images are smaller than a window of {smallest} pixels, {small[0]} among them; what "
            "is missing is mirrored. Smaller --window-sizes would fit",
            stacklevel=2,
        )
    return windows


def _shifted(start: int, side: int, wider: int, limit: int) -> int:
    """Start of a wider interval around [start, start + side), inside [0, limit) where it fits."""
    centred = start - (wider - side) // 2
    return min(max(centred, 0), limit - wider) if limit >= wider else (limit - wider) // 2


class WindowBatches(Dataset[dict[str, Any]]):
    """Batches of training windows; batch `i` depends on the seed and `i` alone, so a resumed run sees the same stream.

    Every batch holds windows of one shape. Classes are drawn evenly, then groups, then windows of the group, so that a
    tile photographed fifteen times counts once. An item is a dict of arrays:

    - real (B, H, W, C) uint8 and real_mask (B, H, W) uint8: a real defect;
    - clean (B, H, W, C) uint8 and fake_mask (B, H, W) uint8: what is to be painted, with a mask of the same class;
    - paired (B,) bool: `clean` is `real` with its defect filled in and `fake_mask` is `real_mask`;
    - donor (B, H, W, C) uint8, only if asked for: the real defect that `fake_mask` is the mask of, moved with it. What
      copy-paste would paste. With it come real_group, donor_group and background_group (B,) str: the groups of `real`,
      `donor` and `clean`; a background without a record is its own group.
    """

    def __init__(
        self,
        defects: list[DefectWindow],
        backgrounds: Backgrounds,
        batch_size: int,
        paired_fraction: float,
        seed: int,
        length: int,
        rank: int = 0,
        donors: bool = False,
    ) -> None:
        if not defects:
            raise DataError("no defect to learn from: no record of the training groups has a labelled pixel")
        self.backgrounds, self.donors = backgrounds, donors
        self.paired_fraction = paired_fraction
        self.seed, self.length, self.rank = seed, length, rank
        tree: dict[WindowShape, dict[int, dict[str, list[DefectWindow]]]] = defaultdict(lambda: defaultdict(dict))
        for window in defects:
            tree[window.shape][window.class_index].setdefault(window.group, []).append(window)
        self.tree = {shape: dict(classes) for shape, classes in tree.items()}
        self.shapes = sorted(self.tree, key=lambda shape: (math.prod(shape), shape))
        count = {
            shape: {c: sum(map(len, groups.values())) for c, groups in self.tree[shape].items()}
            for shape in self.shapes
        }
        totals = {c: sum(count[s].get(c, 0) for s in self.shapes) for c in {w.class_index for w in defects}}
        # Share of evenly drawn classes that falls to each shape, and of each class within a shape.
        self.class_weights = {
            shape: {c: n / totals[c] / len(totals) for c, n in count[shape].items()} for shape in self.shapes
        }
        largest = max(math.prod(shape) for shape in self.shapes)
        ratios = {shape: largest / math.prod(shape) for shape in self.shapes}
        self.batch_sizes = {
            shape: int(min(4 * batch_size, max(2, round(batch_size * ratio / 2)))) if ratio > 1 else batch_size
            for shape, ratio in ratios.items()
        }
        share = np.array([sum(self.class_weights[s].values()) / self.batch_sizes[s] for s in self.shapes])
        self.shape_probabilities = share / share.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, step: int) -> dict[str, Any]:
        # The shape is drawn from the step alone: all processes of one step work on windows of one shape.
        first = np.random.default_rng((self.seed, step))
        shape = self.shapes[first.choice(len(self.shapes), p=self.shape_probabilities)]
        rng = np.random.default_rng((self.seed, step, self.rank + 1))
        weights = self.class_weights[shape]
        classes, odds = list(weights), np.array(list(weights.values()))
        samples = []
        for _ in range(self.batch_sizes[shape]):
            by_group = self.tree[shape][classes[rng.choice(len(classes), p=odds / odds.sum())]]
            samples.append(self._sample(by_group, rng))
        return {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}

    def _draw(self, by_group: dict[str, list[DefectWindow]], rng: np.random.Generator) -> DefectWindow:
        groups = list(by_group)
        windows = by_group[groups[rng.integers(len(groups))]]
        return windows[rng.integers(len(windows))]

    def _sample(self, by_group: dict[str, list[DefectWindow]], rng: np.random.Generator) -> dict[str, Any]:
        window = self._draw(by_group, rng)
        paired = window.filled is not None and rng.random() < self.paired_fraction
        layers = [window.image, window.mask] + ([window.filled] if paired else [])
        cut = jitter_crop(window, layers, rng)
        flips = (bool(rng.integers(2)), bool(rng.integers(2)))
        gain = rng.uniform(0.8, 1.2)
        real, real_mask = brighten(flip(cut[0], flips), gain), flip(cut[1], flips)
        if paired:
            clean, fake_mask, donor = brighten(flip(cut[2], flips), gain), real_mask, real
            groups = {"donor_group": window.group, "background_group": window.group}
        else:
            other = self._draw(by_group, rng)
            clean, fake_mask, donor, index = self._unpaired(other, rng)
            groups = {"donor_group": other.group, "background_group": background_group(self.backgrounds, index)}
        return {
            **({"donor": donor, "real_group": window.group, **groups} if self.donors else {}),
            "real": real,
            "real_mask": real_mask,
            "clean": clean,
            "fake_mask": fake_mask,
            "paired": np.bool_(paired),
        }

    def _unpaired(
        self, window: DefectWindow, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Clean window from about the same place of another image, a real shape for it, its donor, and which image."""
        mask, donor = jitter_crop(window, [window.mask, window.image], rng)
        if not any(window.edges):
            mask, donor = jitter_shape(mask, donor, rng)
        for attempt in range(BACKGROUND_TRIES):
            index = int(rng.integers(len(self.backgrounds)))
            background, region = self.backgrounds[index]
            cut = _background_window(window, background.shape[:2], rng, anywhere=attempt >= BACKGROUND_TRIES // 2)
            if region is None or extract_mask(~region, cut).mean() <= UNUSABLE_SHARE:
                break
        clean = extract(background, cut).reshape(*window.shape, background.shape[2])
        flips = (bool(rng.integers(2)), bool(rng.integers(2)))
        return brighten(flip(clean, flips), rng.uniform(0.8, 1.2)), flip(mask, flips), flip(donor, flips), index


def _background_window(
    window: DefectWindow, image_hw: tuple[int, int], rng: np.random.Generator, anywhere: bool
) -> Window:
    """Place a window on a background: about where the defect lay in its own image, or anywhere, borders kept."""
    height, width = (max(1, round(side / window.scale)) for side in window.shape)
    corner = []
    for axis, (side, limit) in enumerate(zip((height, width), image_hw, strict=True)):
        centre = (rng.uniform() if anywhere else window.centre_yx[axis] + rng.uniform(-0.15, 0.15)) * limit
        start = int(np.clip(centre - side / 2, 0, max(0, limit - side)))
        if window.edges[axis]:
            start = 0
        elif window.edges[axis + 2]:
            start = limit - side
        corner.append(start if limit >= side else (limit - side) // 2)
    return Window(corner[0], corner[1], height, width, window.shape)


def jitter_crop(window: DefectWindow, layers: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Rescale a stored window a little and cut `shape` pixels that contain its defect."""
    shape, stored = window.shape, window.image.shape[:2]
    least = max((wanted + 1) / there for wanted, there in zip(shape, stored, strict=True))
    factor = max(rng.uniform(0.85, 1.15), least)
    if any(length * factor > wanted - 4 for length, wanted in zip(window.box[2:], shape, strict=True)):
        factor = least
    top, left, height, width = (v * factor for v in window.box)
    scaled = max(shape[0], round(stored[0] * factor)), max(shape[1], round(stored[1] * factor))
    offsets = []
    for start, length, wanted, there in zip((top, left), (height, width), shape, scaled, strict=True):
        low, high = max(0, int(np.ceil(start + length)) - wanted), min(there - wanted, int(start))
        offsets.append(int(rng.integers(low, high + 1)) if high >= low else int(np.clip(low, 0, there - wanted)))
    y, x = offsets
    cut = []
    for layer in layers:
        if layer.ndim == 3:
            resized = cv2.resize(layer, scaled[::-1], interpolation=cv2.INTER_LINEAR)
            resized = resized.reshape(*scaled, layer.shape[2])
        else:
            resized = resize_mask(layer, scaled)
        if layer.ndim == 2 and (scaled[0] < stored[0] or scaled[1] < stored[1]):  # lines of a pixel would be lost
            rows, columns = np.nonzero(thin_parts(layer, 2))
            rows_there = (2 * rows + 1) * scaled[0] // (2 * stored[0])
            resized[rows_there, (2 * columns + 1) * scaled[1] // (2 * stored[1])] = layer[rows, columns]
        cut.append(resized[y : y + shape[0], x : x + shape[1]])
    return cut


def resize_mask(mask: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resize an (H, W) uint8 index mask as `cv2.INTER_LINEAR` resizes its image: a pixel is in where half of it is."""
    resized = np.zeros(size_hw, mask.dtype)
    for value in np.unique(mask[mask > 0]):
        level = cv2.resize(np.where(mask == value, np.uint8(255), np.uint8(0)), size_hw[::-1])
        resized[level >= 128] = value
    thin = thin_parts(mask, 2)
    if thin.any():  # half of a pixel of it is in no pixel
        lines = cv2.resize(np.where(thin, mask, 0), size_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        resized = np.where(resized == 0, lines, resized)
    return resized


def jitter_shape(mask: np.ndarray, image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotate, scale and shift an index mask and its image in the window; unchanged where the mask would leave it."""
    left, top, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    if not width:
        return mask, image
    rows, columns = mask.shape
    centre = (left + width / 2, top + height / 2)
    matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-12, 12), rng.uniform(0.8, 1.2))
    matrix[:, 2] += [rng.uniform(-1, 1) * columns / 8, rng.uniform(-1, 1) * rows / 8]
    moved = cv2.warpAffine(mask, matrix, (columns, rows), flags=cv2.INTER_NEAREST)
    if (moved > 0).sum() < 0.6 * (mask > 0).sum():
        return mask, image
    moved_image = cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return moved, moved_image.reshape(image.shape)


def flip(array: np.ndarray, flips: tuple[bool, bool]) -> np.ndarray:
    """Mirror up-down and left-right."""
    array = array[::-1] if flips[0] else array
    return array[:, ::-1] if flips[1] else array


def brighten(image: np.ndarray, gain: float) -> np.ndarray:
    """Multiply a uint8 image by `gain`, saturating."""
    return cv2.convertScaleAbs(np.ascontiguousarray(image), alpha=gain).reshape(image.shape)


def load_backgrounds(dataset: DefectDataset, records: list[Record]) -> Backgrounds:
    """Return the clean images; without any, the defective ones with their defects filled in or left out.

    Raises:
        DataError: if there is no image to be had either way.
    """
    clean = dataset.clean_records(records)
    if clean:
        return DiskBackgrounds(dataset, clean)
    filled: list[Background] = []
    for record in tqdm(records, desc="filling defects", unit="image", leave=False):
        image, mask = dataset.read(record)
        done, region = fill_defects(image, mask), dataset.background_region(image)
        if done is None:  # too little is left to fill it in from: windows are cut beside the defects
            clean_part = cv2.dilate((mask > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
            region = clean_part if region is None else region & clean_part
            if region.mean() < USABLE_SHARE:
                continue
        filled.append((image if done is None else done, region))
    if not filled:
        raise DataError("no clean image, and no defective one with enough that is clean; add clean images")
    return filled


class DiskBackgrounds(Sequence[Background]):
    """Clean images, read when asked for and kept while they fit into `CACHE_BYTES`."""

    def __init__(self, dataset: DefectDataset, records: list[Record]) -> None:
        self.dataset, self.records = dataset, records
        self.cache: dict[int, Background] = {}
        self.cached_bytes = 0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        if index in self.cache:
            return self.cache[index]
        image = self.dataset.read_image(self.records[index])
        background = (image, self.dataset.background_region(image))
        if self.cached_bytes < CACHE_BYTES:
            self.cache[index] = background
            self.cached_bytes += image.nbytes
        return background


def background_group(backgrounds: Backgrounds, index: int) -> str:
    """Return the group of a background; its number where the image is known without its record."""
    return backgrounds.records[index].group if isinstance(backgrounds, DiskBackgrounds) else f"background {index}"
