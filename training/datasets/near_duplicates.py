"""Near-duplicate images on two sides of a split: what a table of groups has missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from tqdm import tqdm

from albu_gan.data import DefectDataset, Record
from training.datasets.split import SIDES, Split

# Measured on magnetic tiles, which all look alike, and whose six exposures are cropped differently: of a division by
# image, 88 % of the images held out are found to have a twin; of divisions by tile, none.
SAME = 0.4  # correlation of the texture, after alignment: 95 % of pairs of one tile lie above 0.5, others below 0.25
CANDIDATE = 0.15  # correlation of the codes, for a pair to be aligned
NEIGHBOURS = 4  # most similar images of the other side that are aligned
CERTAIN = 0.9  # correlation of the texture from which two images are the same, however alike others are
TYPICAL = 8  # this one in order of similarity is taken for a stranger: what a fixed camera sees in every image
COMMON_SHARE = 1 / 64  # principal components taken out of the codes, as a share of the number of images
COMMON_MOST = 16  # but not more of them
SAMPLE = 1000  # images that the components are computed from
CODE_SIDE = 64  # pixels; images are squeezed to a square to be compared without alignment
CODE_SIGMA = 3.0  # pixels of that square; larger structures are light and shade
LONG_SIDE = 192  # pixels of the longer side for alignment
SIGMA = 1.0  # pixels of it; only fine texture tells one surface from another
OVERLAP = 0.7  # share of height and width that is searched for in the other image
CHUNK = 512  # rows of the table of correlations at a time


@dataclass(frozen=True)
class Leak:
    """Two images on different sides that show the same.

    Attributes:
        first: name of the record on the first side.
        second: name of the record on the second side.
        sides: names of the sides.
        similarity: correlation of their textures, at most 1.
    """

    first: str
    second: str
    sides: tuple[str, str]
    similarity: float


class NearDuplicates:
    """Small versions of all images of a data set, to be compared across the sides of splits.

    Exposure and illumination are taken out: logarithm, local mean, local contrast; from the codes also what many images
    have in common. Every image is compared with every other one by a matrix product of codes; only the nearest are
    aligned, by searching the middle of one in the other.

    Args:
        dataset: its images are read once.
        records: which of them; None takes all.
        progress: show progress bars.
    """

    def __init__(self, dataset: DefectDataset, records: Sequence[Record] | None = None, progress: bool = True) -> None:
        self.progress = progress
        self.records = list(dataset.records if records is None else records)
        self.small: list[np.ndarray] = []
        self.sizes: list[int] = []
        codes = []
        for record in tqdm(
            self.records, desc="compare images", unit="image", leave=False, disable=None if progress else True
        ):
            image = dataset.read_image(record)
            gray = image[:, :, 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            self.sizes.append(max(gray.shape))
            self.small.append(_shrink(gray, LONG_SIDE / max(gray.shape)))
            code = texture(cv2.resize(gray, (CODE_SIDE, CODE_SIDE), interpolation=cv2.INTER_AREA), CODE_SIGMA).ravel()
            codes.append(code - code.mean())
        self.raw = np.stack(codes) if codes else np.zeros((0, CODE_SIDE**2), np.float32)
        self.common = _Common(self.raw)
        self.codes = self.common.removed_from(self.raw)

    def across(self, split: Split) -> list[Leak]:
        """Return the pairs of near-duplicates on different sides, most similar first."""
        where = {group: side for side in SIDES for group in getattr(split, side)}
        members = {side: [i for i, r in enumerate(self.records) if where.get(r.group) == side] for side in SIDES}
        found = []
        for sides in combinations(SIDES, 2):
            first, second = members[sides[0]], members[sides[1]]
            pairs, strangers = self.candidates(first, second)
            for i, j in tqdm(
                pairs, desc="align images", unit="pair", leave=False, disable=None if self.progress else True
            ):
                similarity = self.aligned(i, j)
                if similarity >= CERTAIN or (similarity >= SAME and self.stands_out(i, j, similarity, strangers)):
                    names = self.records[i].name, self.records[j].name
                    found.append(Leak(*names, sides, round(similarity, 3)))
        return sorted(found, key=lambda leak: (-leak.similarity, leak.first, leak.second))

    def candidates(self, first: list[int], second: list[int]) -> tuple[list[tuple[int, int]], dict[int, int]]:
        """Return the pairs worth aligning, nearest of the other side both ways, and a stranger for each image."""
        pairs: set[tuple[int, int]] = set()
        strangers: dict[int, int] = {}
        for rows, columns, swapped in ((first, second, False), (second, first, True)):
            if not rows or not columns:
                continue
            codes = self.codes[columns].T
            kept = min(TYPICAL, len(columns))
            for start in range(0, len(rows), CHUNK):
                part = rows[start : start + CHUNK]
                similarity = self.codes[part] @ codes
                nearest = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
                order = np.argsort(-np.take_along_axis(similarity, nearest, 1), axis=1)
                nearest = np.take_along_axis(nearest, order, 1)
                for row, near in enumerate(nearest):
                    if kept == TYPICAL:
                        strangers[part[row]] = columns[near[-1]]
                    for column in near[:NEIGHBOURS]:
                        if similarity[row, column] > CANDIDATE:
                            pair = (part[row], columns[column])
                            pairs.add(pair[::-1] if swapped else pair)
        return sorted(pairs), strangers

    def stands_out(self, i: int, j: int, similarity: float, strangers: Mapping[int, int]) -> bool:
        """Whether two images are more alike than either is to a stranger: by as much as alike images must be."""
        for image in (i, j):
            if image in strangers:
                usual = max(0.0, self.aligned(image, strangers[image]))
                if similarity - usual < SAME * (1 - usual):
                    return False
        return True

    def aligned(self, i: int, j: int, turn: int = 0) -> float:
        """Correlation of two images, the second one turned, where the middle of the smaller fits best in the other."""
        scale = LONG_SIDE / max(self.sizes[i], self.sizes[j])  # both as large as they are beside each other
        first, second = (_shrink(self.small[k], scale * self.sizes[k] / LONG_SIDE) for k in (i, j))
        second = turned(second, turn)
        if first.size > second.size:
            first, second = second, first
        height, width = (min(a, b) for a, b in zip(first.shape, second.shape, strict=True))
        height, width = max(1, round(OVERLAP * height)), max(1, round(OVERLAP * width))
        top, left = (first.shape[0] - height) // 2, (first.shape[1] - width) // 2
        middle = texture(first, SIGMA)[top : top + height, left : left + width]
        if middle.std() < 1e-3:
            return 0.0
        return float(cv2.matchTemplate(texture(second, SIGMA), middle, cv2.TM_CCOEFF_NORMED).max())


def turned(array: np.ndarray, turn: int) -> np.ndarray:
    """Return an (H, W, ...) array turned by 90 degrees `turn % 4` times, from 4 on mirrored left to right before."""
    return np.ascontiguousarray(np.rot90(array[:, ::-1] if turn >= 4 else array, turn % 4))


def leaks(dataset: DefectDataset, split: Split, *, progress: bool = True) -> list[Leak]:
    """Find near-duplicate images on different sides of a split.

    Args:
        dataset: its images are read once.
        split: of its groups.
        progress: show progress bars.

    Returns:
        The pairs found, most similar first; for one image at most its nearest few are looked at.
    """
    return NearDuplicates(dataset, progress=progress).across(split)


def texture(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Take exposure, illumination and contrast out of an image.

    Args:
        gray: (H, W) uint8.
        sigma: pixels; structures much larger than this vanish.

    Returns:
        (H, W) float32 in [-3, 3].
    """
    level = np.log1p(gray.astype(np.float32))
    level -= cv2.GaussianBlur(level, (0, 0), sigma)
    contrast = np.sqrt(cv2.GaussianBlur(level * level, (0, 0), 2 * sigma)) + 1e-3
    return np.clip(level / contrast, -3, 3)


class _Common:
    """What many (N, D) codes have in common: their mean and first principal components."""

    def __init__(self, codes: np.ndarray) -> None:
        self.mean = self.components = None
        count = min(COMMON_MOST, int(len(codes) * COMMON_SHARE))
        if count:  # of a few images, what is common cannot be told
            codes = _to_unit_length(codes, 1e-3)
            self.mean = codes.mean(axis=0)
            sample = (codes - self.mean)[np.linspace(0, len(codes) - 1, min(SAMPLE, len(codes))).astype(int)]
            self.components = np.linalg.svd(sample, full_matrices=False)[2][:count]

    def removed_from(self, codes: np.ndarray) -> np.ndarray:
        """Return codes without it, scaled to unit length."""
        codes = _to_unit_length(codes, 1e-3)
        if self.mean is not None and self.components is not None:
            codes = codes - self.mean
            codes -= codes @ self.components.T @ self.components
        return _to_unit_length(codes, 1e-6)


def _to_unit_length(codes: np.ndarray, least: float) -> np.ndarray:
    return np.asarray(codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), least))


def _shrink(gray: np.ndarray, scale: float) -> np.ndarray:
    """Resize by a factor, to at least one pixel."""
    if abs(scale - 1) < 1e-6:
        return gray
    size = tuple(max(1, round(side * scale)) for side in gray.shape[::-1])
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
