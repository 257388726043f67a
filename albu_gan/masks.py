"""Shapes of defects: a bank of real ones, and procedural ones that resemble it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from albu_gan.tensor_header import TensorEntry, check_safetensors

MAX_SIDE = 8192
MAX_SHAPES = 1_000_000
VARIATION = 1.5  # factor of length and of thickness by which an invented shape may differ from its model
#: Type and rank of each tensor of `masks.safetensors`.
BANK_TENSORS = {"bits": ("U8", 1), "class_index": ("I32", 1), "size_hw": ("I32", 2), "edges": ("U8", 2)}
CENTRES = "centre_yx"
#: Likewise, of what a bank may leave out.
OPTIONAL_TENSORS = {CENTRES: ("F32", 2)}


@dataclass(frozen=True)
class Origin:
    """Which shape of a bank another one was made from, and how.

    With it, whatever lies in the image that the shape was cut from can be moved as the shape was.

    Attributes:
        index: of the shape in its `MaskBank`.
        matrix: (2, 3) float64, takes x, y, 1 of a pixel's centre in the bank's mask to x, y in the new one.
    """

    index: int
    matrix: np.ndarray

    def then(self, matrix: np.ndarray) -> Origin:
        """Return the origin after one more (2, 3) map."""
        return Origin(self.index, matrix[:, :2] @ self.matrix + np.array([[0, 0, 1]]) * matrix[:, 2:])


@dataclass(frozen=True)
class Shape:
    """One defect's shape.

    Attributes:
        mask: (h, w) bool, tight around the shape.
        class_index: of the defect.
        edges: whether the shape was cut off by the top, left, bottom or right border of its image. Such a shape (a
            broken edge, say) belongs at that border.
        origin: in the bank it was drawn from; None for shapes that were not.
        centre_yx: where the middle of the shape's box lay in the image it was seen in, in heights and widths of that
            image, each in [0, 1]; None if that is not known.
    """

    mask: np.ndarray
    class_index: int
    edges: tuple[bool, bool, bool, bool] = (False, False, False, False)
    origin: Origin | None = None
    centre_yx: tuple[float, float] | None = None


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


def check_bank_header(path: Path, entries: Mapping[str, TensorEntry]) -> None:
    """Raise unless a header's tensors are those of a mask bank.

    Args:
        path: of the file, for the message.
        entries: of its header.

    Raises:
        ValueError: naming the file and the tensor.
    """
    if not set(BANK_TENSORS) <= set(entries) <= {*BANK_TENSORS, *OPTIONAL_TENSORS}:
        found = sorted(entries)[:8]
        raise ValueError(
            f"{path}: holds tensors {found}, a mask bank has {sorted(BANK_TENSORS)} and perhaps "
            f"{sorted(OPTIONAL_TENSORS)}; export it again"
        )
    known = {**BANK_TENSORS, **OPTIONAL_TENSORS}
    for name, (dtype, rank) in ((name, known[name]) for name in entries):
        if entries[name].dtype != dtype or len(entries[name].shape) != rank:
            raise ValueError(f"{path}: tensor {name!r} must be {dtype} of rank {rank}; export it again")
    (count,) = entries["class_index"].shape
    rows = {"size_hw": 2, "edges": 4, CENTRES: 2}
    if (
        any(entries[name].shape != (count, rows[name]) for name in rows if name in entries)
        or not 1 <= count <= MAX_SHAPES
    ):
        raise ValueError(
            f"{path}: its tensors disagree about the number of shapes, or there are none, or more than {MAX_SHAPES}; "
            "export it again"
        )


def jitter_shape(
    shape: Shape,
    scale_range: tuple[float, float],
    rotate_range: tuple[float, float],
    rng: np.random.Generator,
    shrink: float = 1.0,
    largest: float = float("inf"),
) -> Shape:
    """Mirror, scale and rotate a shape at random.

    A shape that touches a border of its image is mirrored and scaled but not rotated, and keeps its side.

    Args:
        shape: to start from.
        scale_range: factor, both ends included.
        rotate_range: degrees, both ends included.
        rng: the only source of randomness.
        shrink: by which the drawn factor is multiplied.
        largest: pixels that the longer side has at most before `shrink` and rotation.
    """
    mask, edges, (height, width) = shape.mask, shape.edges, shape.mask.shape
    mirror = np.eye(2, 3)
    if rng.random() < 0.5:
        mask, edges = mask[::-1], (edges[2], edges[1], edges[0], edges[3])
        mirror[1] = 0, -1, height - 1
    if rng.random() < 0.5:
        mask, edges = mask[:, ::-1], (edges[0], edges[3], edges[2], edges[1])
        mirror[0] = -1, 0, width - 1
    scale, angle = rng.uniform(*scale_range), rng.uniform(*rotate_range)
    scale = shrink * min(scale, largest / max(height, width))
    warped, matrix = _warp(mask, scale, 0.0 if any(edges) else angle)
    origin = None if shape.origin is None else shape.origin.then(mirror).then(matrix)
    return Shape(warped, shape.class_index, edges, origin, shape.centre_yx)


def scale_shape(shape: Shape, factor: float) -> Shape:
    """Return the shape made smaller or larger."""
    warped, matrix = _warp(shape.mask, factor, 0.0)
    origin = None if shape.origin is None else shape.origin.then(matrix)
    return Shape(warped, shape.class_index, shape.edges, origin, shape.centre_yx)


def warp_mask(mask: np.ndarray, scale: float, angle: float) -> np.ndarray:
    """Scale and rotate a bool mask about its centre; the result is tight, never empty, and keeps thin parts whole."""
    return _warp(mask, scale, angle)[0]


def _warp(mask: np.ndarray, scale: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Do the work of `warp_mask`; also return the (2, 3) map of its pixels."""
    if scale == 1 and angle == 0:
        return np.ascontiguousarray(mask), np.eye(2, 3)
    height, width = mask.shape
    scale = max(scale, 1 / max(height, width))  # less is a pixel all the same
    radians = np.deg2rad(angle)
    c, s = abs(np.cos(radians)) * scale, abs(np.sin(radians)) * scale
    # Not a pixel more for a cosine of 1e-16: half a pixel of shift would double thin lines.
    out_h, out_w = (int(np.ceil(side - 1e-6)) + 2 for side in (height * c + width * s, width * c + height * s))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += [(out_w - width) / 2, (out_h - height) / 2]
    source, block = _blocks(mask, scale)
    if scale < 1:  # average what falls into one pixel
        source = cv2.GaussianBlur(source, (0, 0), 0.5 / (scale * block))
    from_blocks = np.array([[block, 0, (block - 1) / 2], [0, block, (block - 1) / 2], [0, 0, 1]])
    warped = cv2.warpAffine(source, matrix @ from_blocks, (out_w, out_h), flags=cv2.INTER_LINEAR)
    result = (warped >= min(0.5, float(warped.max()))).astype(np.uint8)
    # What is narrower than a pixel and a half of the result falls below that level: it is drawn as lines.
    thin = thin_parts(mask, max(2, int(np.ceil(1.5 / scale))))
    if scale <= 0.7:  # neighbours become the same pixel or neighbours: there is no gap to be bridged
        columns, rows = _moved(np.argwhere(thin)[:, ::-1], matrix).T
        result[rows, columns] = 1
    elif thin.any():
        lines = _moved(_links(mask, thin).reshape(-1, 2), matrix).reshape(-1, 2, 2)
        far = np.abs(lines[:, 0] - lines[:, 1]).max(axis=1) > 1
        columns, rows = lines[~far].reshape(-1, 2).T  # between neighbours there is nothing to be drawn
        result[rows, columns] = 1
        cv2.polylines(result, list(lines[far]), False, 1)
    left, top, w, h = cv2.boundingRect(result)
    matrix[:, 2] -= [left, top]
    return np.ascontiguousarray(result[top : top + h, left : left + w].astype(bool)), matrix


def _blocks(mask: np.ndarray, scale: float) -> tuple[np.ndarray, int]:
    """Return a mask, float32, and the side of the blocks that its pixels average: 1 unless much is to be averaged."""
    block = max(1, int(0.25 / scale))
    source: np.ndarray = mask.astype(np.float32)
    if block > 1:
        height, width = (-(-side // block) for side in mask.shape)
        source = np.pad(source, ((0, height * block - mask.shape[0]), (0, width * block - mask.shape[1])))
        source = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
    return source, block


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, 2) x and y of pixels to those, int32, that a (2, 3) map takes them to."""
    return np.asarray(np.rint(points @ matrix[:, :2].T + matrix[:, 2]), np.int32)


def thin_parts(mask: np.ndarray, width: int) -> np.ndarray:
    """Return the (H, W) bool pixels of a binary mask that no square of `width` pixels inside the mask covers."""
    if width > min(mask.shape):
        return np.asarray(mask != 0)
    kernel = np.ones((width, width), np.uint8)
    inside = (mask != 0).view(np.uint8)
    # Opposite anchors, because cv2 does not reflect the kernel: an even opening would move by a pixel.
    eroded = cv2.erode(inside, kernel, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inside > cv2.dilate(eroded, kernel, anchor=(width - 1, width - 1)))


def _links(mask: np.ndarray, thin: np.ndarray) -> np.ndarray:
    """(N, 2, 2) x and y of both ends: every thin pixel to itself and to each of its 8 neighbours in the mask."""
    inside = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    points, steps = np.argwhere(thin)[:, ::-1], np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    ends = points[:, None] + steps
    number, step = np.nonzero(inside[ends[:, :, 1] + 1, ends[:, :, 0] + 1])
    return np.stack([points[number], ends[number, step]], axis=1)


def procedural_shape(like: Shape, rng: np.random.Generator) -> Shape:
    """Invent a shape of about the size and stoutness of a real one.

    Slender shapes (less than a quarter of their box filled, or long boxes) become a wandering line of varying width,
    stout ones a star-shaped blob with a random Fourier radius; longer or shorter, and thicker or thinner, by up to
    `VARIATION`. What was cut off by a border of its image is cut off again: it is drawn beyond that border, and lies
    flush with it.

    Args:
        like: a real shape; its class and edges are kept.
        rng: the only source of randomness.
    """
    extent, area = max(like.mask.shape), float(like.mask.sum())
    height, width = (max(1, round(side * _factor(rng))) for side in like.mask.shape)
    top, left, bottom, right = like.edges
    across = like.mask.shape[0] < like.mask.shape[1]
    along_a_border = (top or bottom) if across else (left or right)
    slender = area < 0.25 * like.mask.size or extent > 4 * min(like.mask.shape)
    if slender and not along_a_border:
        # Twice as long as is wanted, if one end or both are to be cut off.
        length, cut_off = (width, left or right) if across else (height, top or bottom)
        thickness = max(1.0, _factor(rng) * _thickness(like.mask))
        mask = _wandering_line(2 * length if cut_off else length, thickness, across, rng)
        if cut_off:
            begin = max(0, (mask.shape[across] - length) // 2)  # 0 for one that turned back
            mask = mask[:, begin : begin + length] if across else mask[begin : begin + length]
    else:
        # A blob's centre is on the border that cuts it, or between two opposite ones.
        size = [height * (1 + top + bottom), width * (1 + left + right)]
        mask = _blob(size[0], size[1], rng)
        rows, columns = _kept(mask.shape[0], top, bottom), _kept(mask.shape[1], left, right)
        mask = mask[rows, columns]
    return Shape(_largest_part(mask), like.class_index, like.edges, None, like.centre_yx)


def _thickness(mask: np.ndarray) -> float:
    """About how many pixels a slender mask is wide; area over length would be too much for what bends."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1][mask]
    # In a bar of W pixels the distance to the nearest pixel outside has the mean W / 4 + 1 / 2.
    return min(4 * float(depth.mean()) - 2, float(mask.sum() / np.hypot(*mask.shape)))


def _factor(rng: np.random.Generator) -> float:
    return float(VARIATION ** rng.uniform(-1, 1))


def _kept(side: int, start: bool, end: bool) -> slice:
    """What is left of a blob's side when it is cut off at its start, its end, or both."""
    if start and end:
        return slice(side // 3, side - side // 3)
    return slice(side // 2, None) if start else slice(None, side - side // 2) if end else slice(None)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    """Largest connected part of a mask, tight."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    left, top, w, h = (int(v) for v in stats[largest, :4])
    return np.ascontiguousarray(labels[top : top + h, left : left + w] == largest)


def _wandering_line(length: int, thickness: float, across: bool, rng: np.random.Generator) -> np.ndarray:
    steps = max(8, length // 3)
    turns = np.cumsum(rng.normal(0, 0.12, steps))
    heading = (0.0 if across else np.pi / 2) + turns - turns.mean()
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * (length / steps)
    widths = thickness * np.exp(np.convolve(rng.normal(0, 0.5, steps + 6), np.ones(7) / 7, mode="valid"))
    points += thickness * 2 + 4 - points.min(axis=0)
    size = np.ceil(points.max(axis=0) + thickness * 2 + 4).astype(int)
    # Drawn four times as large and averaged: OpenCV's lines of a few pixels are a pixel too wide.
    canvas = np.zeros((4 * size[1], 4 * size[0]), np.uint8)
    corners = np.rint(4 * points + 1.5).astype(int).tolist()
    for begin, end, w in zip(corners[:-1], corners[1:], widths, strict=False):
        cv2.line(canvas, begin, end, 255, max(4, round(4 * float(w))))
    drawn = cv2.resize(canvas, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn > 110)


def _blob(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A (height, width) bool mask with a blob about its centre; it need not reach the sides."""
    y, x = np.mgrid[0:height, 0:width]
    v, u = (y - (height - 1) / 2) / max(height / 2, 0.5), (x - (width - 1) / 2) / max(width / 2, 0.5)
    angle, radius = np.arctan2(v, u), np.hypot(v, u)
    limit = np.full_like(radius, 0.85)
    for frequency in range(2, 7):
        limit += rng.normal(0, 0.25 / frequency) * np.cos(frequency * angle + rng.uniform(0, 2 * np.pi))
    mask = radius <= np.clip(limit, 0.3, 1.0)
    mask[(height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1] = True
    return np.asarray(mask)
