"""The bank of real shapes that defects are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from albu_gan.defects.shapes import Shape
from albu_gan.hub import CENTRES, check_bank_header, check_safetensors
from albu_gan.painting import Origin

MAX_SIDE = 8192


class MaskBank:
    """Real shapes, packed to bits.

    Args:
        shapes: at least one of every class that is to be painted.
        num_classes: number of classes of the weights folder.
    """

    def __init__(self, shapes: Sequence[Shape], num_classes: int) -> None:
        self.num_classes = num_classes
        self._bits = [np.packbits(shape.mask != 0) for shape in shapes]
        self._sizes = [shape.mask.shape for shape in shapes]
        self._edges = [shape.edges for shape in shapes]
        centres = [shape.centre_yx for shape in shapes if shape.centre_yx is not None]
        self._centres = centres if len(centres) == len(shapes) else None
        self._classes = np.array([shape.class_index for shape in shapes], np.int64)
        self._of_class = [np.flatnonzero(self._classes == index) for index in range(num_classes)]

    def __len__(self) -> int:
        return len(self._bits)

    def counts(self) -> list[int]:
        """Return how many shapes each class has."""
        return [len(indices) for indices in self._of_class]

    def __getitem__(self, index: int) -> Shape:
        height, width = self._sizes[index]
        mask = np.unpackbits(self._bits[index], count=height * width).reshape(height, width).view(bool)
        centre = None if self._centres is None else self._centres[index]
        return Shape(mask, int(self._classes[index]), self._edges[index], Origin(int(index), np.eye(2, 3)), centre)

    def sample(self, class_index: int, rng: np.random.Generator) -> Shape:
        """Draw one shape of a class, each with the same probability."""
        indices = self._of_class[class_index]
        return self[int(indices[rng.integers(len(indices))])]

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Return what `masks.safetensors` holds."""
        tensors: dict[str, np.ndarray] = {
            "bits": np.concatenate(self._bits),
            "class_index": self._classes.astype(np.int32),
            "size_hw": np.array(self._sizes, np.int32).reshape(-1, 2),
            "edges": np.array(self._edges, np.uint8).reshape(-1, 4),
        }
        if self._centres is not None:
            tensors[CENTRES] = np.array(self._centres, np.float32).reshape(-1, 2)
        return tensors

    @classmethod
    def load(cls, path: Path, num_classes: int) -> MaskBank:
        """Read `masks.safetensors`.

        Raises:
            ValueError: naming the file, if its tensors do not fit each other.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        check_bank_header(path, check_safetensors(path))
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as err:
            raise ValueError(f"{path}: not a readable safetensors file ({err}); download or export it again") from err
        return cls._from_tensors(path, tensors, num_classes)

    @classmethod
    def _from_tensors(cls, path: Path, tensors: dict[str, np.ndarray], num_classes: int) -> MaskBank:
        bits, classes, sizes, edges = (tensors[key] for key in ("bits", "class_index", "size_hw", "edges"))
        if classes.min() < 0 or classes.max() >= num_classes:
            raise ValueError(f"{path}: a shape's class is not among the {num_classes} classes of config.json")
        if sizes.min() < 1 or sizes.max() > MAX_SIDE:
            raise ValueError(f"{path}: a shape's side is outside 1 to {MAX_SIDE} pixels")
        areas = sizes.astype(np.int64).prod(axis=1)
        lengths = -(-areas // 8)
        if lengths.sum() != len(bits):
            raise ValueError(f"{path}: {len(bits)} bytes of bits, its sizes need {lengths.sum()}")
        ends = np.cumsum(lengths)
        tails = bits[ends - 1] & (0xFF << (-areas % 8) & 0xFF).astype(np.uint8)  # without what fills the last byte up
        others = np.add.reduceat(bits != 0, ends - lengths, dtype=np.int64) - (bits[ends - 1] != 0)
        if ((others == 0) & (tails == 0)).any():
            raise ValueError(f"{path}: a shape is empty")
        centres = tensors.get(CENTRES)
        if centres is not None and not ((centres >= 0) & (centres <= 1)).all():
            raise ValueError(f"{path}: a shape's centre lies outside of its image, beyond [0, 1]; export it again")
        bank = cls.__new__(cls)
        bank.num_classes = num_classes
        bank._bits = np.split(bits, ends[:-1])
        bank._sizes = [(int(h), int(w)) for h, w in sizes]
        bank._edges = [(bool(a), bool(b), bool(c), bool(d)) for a, b, c, d in edges]
        bank._centres = None if centres is None else [(float(y), float(x)) for y, x in centres]
        bank._classes = classes.astype(np.int64)
        bank._of_class = [np.flatnonzero(bank._classes == index) for index in range(num_classes)]
        return bank
