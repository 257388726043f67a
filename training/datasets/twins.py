"""Images that show the same, also turned by 90 degrees or mirrored, whose groups or labels say otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from albu_gan.data import DefectDataset, Record
from training.datasets.near_duplicates import CERTAIN, CHUNK, CODE_SIDE, SAME, TYPICAL, NearDuplicates, turned

TURNS = (
    "as it is",
    "turned by 90 degrees",
    "turned by 180 degrees",
    "turned by 270 degrees",
    "mirrored",
    "mirrored and turned by 90 degrees",
    "upside down",  # mirrored and turned by 180 degrees
    "mirrored and turned by 270 degrees",
)
NEAREST = 2  # most similar images that are aligned with each, in every turn
# A whole image that is turned needs no search for the part that both show, so its code is alike, too. Not turned, one
# may be a part of the other.
CANDIDATE = (0.2, 0.4)  # correlation of codes: not turned, turned
SAME_TURNED = 0.6  # of the aligned texture; strangers have eight chances to be alike


@dataclass(frozen=True)
class Twin:
    """Two images that show the same.

    Attributes:
        first: name of a record.
        second: name of the other.
        turn: how the second is made the first, an index of `TURNS`.
        similarity: correlation of their textures; 1 where every pixel is the same.
    """

    first: str
    second: str
    turn: int
    similarity: float


def find_copies(
    dataset: DefectDataset, records: Sequence[Record] | None = None, progress: bool = True
) -> tuple[list[Twin], list[Twin]]:
    """Find images that have the same pixels, turned or not.

    Args:
        dataset: its images are read once, and the masks of copies.
        records: which of them; None takes all.
        progress: show a progress bar.

    Returns:
        Copies of one image in different groups, and copies, in whatever groups, whose masks differ.
    """
    records = list(dataset.records if records is None else records)
    first_of: dict[bytes, int] = {}
    across, labels = [], []
    for number, record in enumerate(
        tqdm(records, desc="find copies", unit="image", leave=False, disable=None if progress else True)
    ):
        image = dataset.read_image(record)
        if image.min() == image.max():
            continue
        key = min(_digest(turned(image, turn)) for turn in range(8))
        other = records[first_of.setdefault(key, number)]
        if other is record:
            continue
        original = dataset.read_image(other)
        wanted = _digest(original)
        turns = [turn for turn in range(8) if _digest(turned(image, turn)) == wanted]
        if other.group != record.group:
            across.append(Twin(other.name, record.name, turns[0], 1.0))
        if other.label_path is not None or record.label_path is not None:
            masks = dataset.read_mask(other, original.shape[:2]), dataset.read_mask(record, image.shape[:2])
            if not any(np.array_equal(masks[0], turned(masks[1], turn)) for turn in turns):
                labels.append(Twin(other.name, record.name, turns[0], 1.0))
    return across, labels


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()


def find_twins(near: NearDuplicates) -> list[Twin]:
    """Find images of different groups that show the same in one of the eight turns.

    Args:
        near: small versions of the images.

    Returns:
        One turn a pair, the most similar first.
    """
    groups = {name: number for number, name in enumerate(sorted({record.group for record in near.records}))}
    group_of = np.array([groups[record.group] for record in near.records])
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for turn in tqdm(range(8), desc="compare turns", leave=False, disable=None if near.progress else True):
        for i, j, similarity in _alike(near, group_of, turn):
            if similarity > best.get((i, j), (0.0, 0))[0]:
                best[i, j] = (similarity, turn)
    found = [
        Twin(near.records[i].name, near.records[j].name, turn, round(similarity, 3))
        for (i, j), (similarity, turn) in best.items()
    ]
    return sorted(found, key=lambda twin: (-twin.similarity, twin.first, twin.second))


def _alike(near: NearDuplicates, group_of: np.ndarray, turn: int) -> list[tuple[int, int, float]]:
    """Return the pairs that are alike with the second one turned, each with its similarity."""
    raw = near.raw.reshape(-1, CODE_SIDE, CODE_SIDE)
    codes = near.codes
    if turn:
        codes = near.common.removed_from(np.stack([turned(code, turn).ravel() for code in raw])) if len(raw) else codes
    kept = min(TYPICAL, len(codes))
    usual: dict[tuple[int, int], float] = {}
    pairs: dict[tuple[int, int], float] = {}
    for start in range(0, len(codes), CHUNK):
        similarity = near.codes[start : start + CHUNK] @ codes.T
        similarity[group_of[start : start + CHUNK, None] == group_of[None]] = -1
        nearest = np.argsort(-similarity, axis=1)[:, :kept]
        for row, near_row in enumerate(nearest):
            i = start + row
            stranger = int(near_row[-1]) if kept == TYPICAL and similarity[row, near_row[-1]] > -1 else None
            for j in (int(column) for column in near_row[:NEAREST]):
                pair = (min(i, j), max(i, j))
                if similarity[row, j] <= CANDIDATE[turn > 0] or pair in pairs:
                    continue
                aligned = near.aligned(i, j, turn)
                if aligned < (SAME_TURNED if turn else SAME):
                    continue
                if aligned < CERTAIN and stranger is not None:
                    strange = usual.setdefault((i, stranger), max(0.0, near.aligned(i, stranger, turn)))
                    if aligned - strange < SAME * (1 - strange):
                        continue
                pairs[pair] = aligned
    return [(i, j, similarity) for (i, j), similarity in pairs.items()]
