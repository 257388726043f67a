"""The bank of real defects: their shapes and, where their pixels may be kept, how they look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from albu_gan.defects.appearance import Appearance, Formula
from albu_gan.defects.clarity import clarities_of, least_clarity
from albu_gan.defects.donors import MAX_PIXELS, Donor, Frame, decode, encode, frame_of
from albu_gan.defects.likeness import Metric, metric
from albu_gan.defects.shapes import Shape
from albu_gan.defects.traits import Traits, alike
from albu_gan.hub import (
    APPEARANCE_TENSORS,
    CENTRES,
    COMPOUND_TENSORS,
    WeightsError,
    check_bank_header,
    check_safetensors,
)
from albu_gan.painting import MAX_PARTS, Origin

MAX_SIDE = 8192
MAX_CHANNELS = 3
DECODED_BYTES = 16 << 20  # of appearances that are kept decoded in a process
#: Attributes that no pickle takes along.
DERIVED = ("_compounds", "_of_class", "_members", "_decoded", "_decoded_bytes", "_alike", "_seen", "_metrics")


class DefectBank:
    """Real defects, packed.

    Most are of one class. A compound holds several, whose labels touch, and is painted as one; its own class is the one
    that covers the most of it. It belongs to every class that it holds, but can be painted only where all of them are:
    what is asked of a class leaves compounds out unless it is told which classes are painted.

    Args:
        shapes: at least one of every class that is to be painted.
        num_classes: number of classes of the weights folder.
        donors: how the shapes look, one a shape; None for a bank of shapes alone.
        formulas: how the defects of each class depend on their surface; needed with `donors`.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        num_classes: int,
        donors: Sequence[Donor] | None = None,
        formulas: Sequence[Formula] = (),
    ) -> None:
        self.num_classes = num_classes
        self.source = "the bank in memory"
        self._bits = [np.packbits(shape.mask != 0) for shape in shapes]
        self._sizes = [(shape.mask.shape[0], shape.mask.shape[1]) for shape in shapes]
        self._edges = [shape.edges for shape in shapes]
        centres = [shape.centre_yx for shape in shapes if shape.centre_yx is not None]
        self._centres = centres if len(centres) == len(shapes) else None
        self._classes = np.array([shape.class_index for shape in shapes], np.int64)
        self._encoded: list[bytes] = []
        self._traits: list[Traits] = []
        self._frames: list[Frame] = []
        self._surroundings = self._statures = np.empty((0, 0), np.float32)
        self.formulas = tuple(formulas)
        if donors is not None:
            if len(donors) != len(shapes) or len(formulas) != num_classes:
                raise ValueError("a bank needs a donor for every shape and a formula for every class")
            self._encoded = [encode(donor.appearance) for donor in donors]
            self._frames = [frame_of(donor.appearance) for donor in donors]
            self._surroundings = _stacked([donor.surroundings for donor in donors])
            self._statures = np.stack([donor.stature for donor in donors])
            self._traits = [donor.traits for donor in donors]
        self._prepare()

    def _prepare(self) -> None:
        """Derive what is not stored."""
        held = {i: frozenset(frame.part_classes) for i, frame in enumerate(self._frames) if frame.part_classes}
        self._compounds: dict[int, frozenset[int]] = held
        single = np.array([index not in held for index in range(len(self))], bool)
        self._of_class = [np.flatnonzero((self._classes == index) & single) for index in range(self.num_classes)]
        self._members: dict[tuple[int, frozenset[int]], np.ndarray] = {}
        self._decoded: OrderedDict[int, Appearance] = OrderedDict()
        self._decoded_bytes = 0
        self._alike: dict[int, list[int]] = {}
        self._clarities: np.ndarray | None = None
        self._least: dict[int, float] = {}
        self._seen: dict[tuple[int, frozenset[int]], np.ndarray] = {}
        self._metrics: dict[int, Metric] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__}
        for derived in DERIVED:
            del state[derived]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def __len__(self) -> int:
        return len(self._bits)

    @property
    def has_appearances(self) -> bool:
        """Whether the bank knows how its defects look."""
        return bool(self._encoded)

    @property
    def has_centres(self) -> bool:
        """Whether it says where in its image each shape was seen."""
        return self._centres is not None

    @property
    def compounds(self) -> list[int]:
        """The numbers of the defects that hold several classes."""
        return list(self._compounds)

    def counts(self, painted: Collection[int] = ()) -> list[int]:
        """Return how many defects each class has; a compound counts once for every class that it holds.

        Args:
            painted: classes that may be painted; a compound counts if all that it holds are among them.
        """
        return [len(self._of(index, painted)) for index in range(self.num_classes)]

    def members(self, class_index: int, painted: Collection[int] = ()) -> list[int]:
        """Return the numbers of the defects of a class; `painted` as in `counts`."""
        found: list[int] = self._of(class_index, painted).tolist()
        return found

    def _of(self, class_index: int, painted: Collection[int]) -> np.ndarray:
        """Numbers of the defects of a class, ascending."""
        if not self._compounds or not painted:
            return self._of_class[class_index]
        key = class_index, frozenset(painted)
        if key not in self._members:
            more = [i for i, held in self._compounds.items() if class_index in held <= key[1]]
            self._members[key] = np.sort(np.concatenate([self._of_class[class_index], np.array(more, np.int64)]))
        return self._members[key]

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Return the classes that a defect holds, ascending."""
        held = self._compounds.get(index)
        return (self.class_of(index),) if held is None else tuple(sorted(held))

    def is_compound(self, index: int) -> bool:
        """Whether a defect holds several classes."""
        return index in self._compounds

    def __getitem__(self, index: int) -> Shape:
        height, width = self._sizes[index]
        mask = np.unpackbits(self._bits[index], count=height * width).reshape(height, width).view(bool)
        centre = None if self._centres is None else self._centres[index]
        origin = Origin(int(index), np.eye(2, 3))
        return Shape(mask, int(self._classes[index]), self._edges[index], origin, centre, int(index))

    def class_of(self, index: int) -> int:
        """Return the class of a defect, of a compound the one that covers the most of it."""
        return int(self._classes[index])

    def size_of(self, index: int) -> tuple[int, int]:
        """Return height and width of a defect."""
        return self._sizes[index]

    def sample(self, class_index: int, rng: np.random.Generator, painted: Collection[int] = ()) -> Shape:
        """Draw one shape of a class, each with the same probability; `painted` as in `counts`."""
        indices = self._of(class_index, painted)
        return self[int(indices[rng.integers(len(indices))])]

    def appearance(self, index: int) -> Appearance:
        """Return how a defect looks; the last ones that were asked for are kept decoded.

        Raises:
            WeightsError: naming the file, if its bytes are damaged.
        """
        found = self._decoded.pop(index, None)
        if found is None:
            try:
                found = decode(self._encoded[index], self._frames[index], self[index].mask)
            except ValueError as err:
                raise WeightsError(f"{self.source}: defect {index}: {err}; make it again") from err
            self._decoded_bytes += 2 * self._frames[index].decoded_bytes  # the mask is about as large
        self._decoded[index] = found
        while self._decoded_bytes > DECODED_BYTES and len(self._decoded) > 1:
            oldest, _ = self._decoded.popitem(last=False)
            self._decoded_bytes -= 2 * self._frames[oldest].decoded_bytes
        return found

    def alike(self, index: int) -> list[int]:
        """Return the defects of the same class whose appearance this one may wear; see `traits.alike`.

        A compound wears none, and lends its own to none.
        """
        if index in self._compounds:
            return []
        if index not in self._alike:
            members = self._of_class[self._classes[index]]
            own = int(np.flatnonzero(members == index)[0])
            self._alike[index] = [int(members[i]) for i in alike(self._statures[members], own)]
        return self._alike[index]

    def traits(self, index: int) -> Traits:
        """Return how a defect may be varied."""
        return self._traits[index]

    def clarities(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return how clearly defects stand out where they were seen, (N,); see `albu_gan.defects.clarity`.

        Infinite for a compound, and for what is bright as well as dark.
        """
        if self._clarities is None:
            grains = np.array([frame.grain[0] for frame in self._frames])
            self._clarities = clarities_of(self._statures, grains)
            self._clarities[list(self._compounds)] = np.inf
        return np.asarray(self._clarities[np.asarray(indices, np.int64)])

    def least_clarity(self, index: int) -> float:
        """Return how clearly what is painted after a defect has to stand out; 0 where that cannot be said."""
        known = np.isfinite(self.clarities([index])[0])
        return self.least_clarity_of_class(self.class_of(index)) if known else 0.0

    def least_clarity_of_class(self, class_index: int) -> float:
        """Return how clearly what is painted of a class has to stand out; 0 where that cannot be said."""
        if class_index not in self._least:
            self._least[class_index] = least_clarity(self.clarities(self._of_class[class_index]))
        return self._least[class_index]

    def surroundings(self, index: int) -> tuple[np.ndarray, Metric]:
        """Return what a defect was seen on, (D,), and what that differs by within its class."""
        return self._surroundings[index], self._metric(self.class_of(index))

    def surroundings_of_class(self, class_index: int, painted: Collection[int] = ()) -> tuple[np.ndarray, Metric]:
        """Return what each defect of a class was seen on, (N, D) in the order of `members`, and the same metric."""
        key = class_index, frozenset(painted if self._compounds else ())
        if key not in self._seen:
            self._seen[key] = self._surroundings[self._of(class_index, painted)]
        return self._seen[key], self._metric(class_index)

    def _metric(self, class_index: int) -> Metric:
        """What differs within a class, compounds and all."""
        if class_index not in self._metrics:
            self._metrics[class_index] = metric(self._surroundings[self._of(class_index, range(self.num_classes))])
        return self._metrics[class_index]

    def of_classes(self, kept: Sequence[int]) -> DefectBank:
        """Return the bank of some classes, which are numbered anew, in the order that is given.

        Compounds that hold another class, too, are not in it.
        """
        numbers = {index: number for number, index in enumerate(kept)}
        members = [index for index in range(len(self)) if numbers.keys() >= set(self.classes_of(index))]
        shapes = [replace(self[index], class_index=numbers[self.class_of(index)]) for index in members]
        bank = DefectBank(shapes, len(kept))
        if self.has_appearances:
            bank._encoded, frames = [self._encoded[i] for i in members], [self._frames[i] for i in members]
            bank._frames = [replace(f, part_classes=tuple(numbers[c] for c in f.part_classes)) for f in frames]
            bank._surroundings, bank._statures = self._surroundings[members], self._statures[members]
            bank._traits = [self._traits[i] for i in members]
            bank.formulas = tuple(self.formulas[index] for index in kept)
            bank._prepare()
        return bank

    def shapes_alone(self) -> DefectBank:
        """Return the same bank without any pixel of the images it was made from, and without compounds.

        The shape of a compound alone is of no class.
        """
        return DefectBank([self[i] for i in range(len(self)) if not self.is_compound(i)], self.num_classes)

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Return what `defects.safetensors` holds."""
        tensors: dict[str, np.ndarray] = {
            "bits": np.concatenate(self._bits),
            "class_index": self._classes.astype(np.int32),
            "size_hw": np.array(self._sizes, np.int32).reshape(-1, 2),
            "edges": np.array(self._edges, np.uint8).reshape(-1, 4),
        }
        if self._centres is not None:
            tensors[CENTRES] = np.array(self._centres, np.float32).reshape(-1, 2)
        if self.has_appearances:
            tensors["encoded"] = np.frombuffer(b"".join(self._encoded), np.uint8)
            tensors["encoded_bytes"] = np.array([len(data) for data in self._encoded], np.int32)
            tensors["frame"] = np.array([(*f.size_hw, *f.offset_yx) for f in self._frames], np.int32)
            tensors["channels"] = np.array([f.channels for f in self._frames], np.int32)
            tensors["grain"] = np.array([f.grain for f in self._frames], np.float32)
            tensors["surroundings"] = self._surroundings.astype(np.float32)
            tensors["stature"] = self._statures.astype(np.float32)
            tensors["traits"] = np.array([(t.inventable, t.solid, t.stiff) for t in self._traits], np.uint8)
            tensors["formula"] = np.array([(f.ratio, f.difference, f.pixels) for f in self.formulas], np.float32)
        if self._compounds:
            tensors["part_counts"] = np.array([len(f.part_classes) for f in self._frames], np.int32)
            tensors["part_class"] = np.array([c for f in self._frames for c in f.part_classes], np.int32)
        return tensors

    @classmethod
    def load(cls, path: Path, num_classes: int) -> DefectBank:
        """Read `defects.safetensors`.

        Raises:
            ValueError: naming the file, if its tensors do not fit each other.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        check_bank_header(path, check_safetensors(path))
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as err:
            raise ValueError(f"{path}: not a readable safetensors file ({err}); download or make it again") from err
        bank = cls.__new__(cls)
        bank.num_classes, bank.source = num_classes, str(path)
        bank._take_shapes(path, tensors)
        bank._take_appearances(path, tensors)
        bank._prepare()
        return bank

    def _take_shapes(self, path: Path, tensors: dict[str, np.ndarray]) -> None:
        bits, classes, sizes, edges = (tensors[key] for key in ("bits", "class_index", "size_hw", "edges"))
        if classes.min() < 0 or classes.max() >= self.num_classes:
            raise ValueError(f"{path}: a shape's class is not among the {self.num_classes} classes of config.json")
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
            raise ValueError(f"{path}: a shape's centre lies outside of its image, beyond [0, 1]; make it again")
        self._bits = np.split(bits, ends[:-1])
        self._sizes = [(int(h), int(w)) for h, w in sizes]
        self._edges = [(bool(a), bool(b), bool(c), bool(d)) for a, b, c, d in edges]
        self._centres = None if centres is None else [(float(y), float(x)) for y, x in centres]
        self._classes = classes.astype(np.int64)

    def _take_appearances(self, path: Path, tensors: dict[str, np.ndarray]) -> None:
        self._encoded, self._frames, self._traits, self.formulas = [], [], [], ()
        self._surroundings = self._statures = np.empty((0, 0), np.float32)
        if "encoded" not in tensors:
            return
        again = "make it again"
        for name in APPEARANCE_TENSORS:
            if tensors[name].dtype == np.float32 and not np.isfinite(tensors[name]).all():
                raise ValueError(f"{path}: tensor {name!r} holds values that are not finite numbers; {again}")
        lengths, frames, channels = tensors["encoded_bytes"].astype(np.int64), tensors["frame"], tensors["channels"]
        if lengths.min() < 1 or lengths.sum() != len(tensors["encoded"]):
            raise ValueError(f"{path}: {len(tensors['encoded'])} bytes of appearances, {lengths.sum()} wanted; {again}")
        sizes, offsets = frames[:, :2].astype(np.int64), frames[:, 2:].astype(np.int64)
        inside = bool((offsets >= 0).all() and (offsets + np.array(self._sizes) <= sizes).all())
        if not inside or sizes.max() > 2 * MAX_SIDE or sizes.prod(axis=1).max() > MAX_PIXELS:
            raise ValueError(f"{path}: an appearance is larger than allowed, or does not hold its shape; {again}")
        if not np.isin(channels, (1, MAX_CHANNELS)).all():
            raise ValueError(f"{path}: an appearance has other than 1 or {MAX_CHANNELS} channels; {again}")
        columns = 6 * int(channels.max()) + 1
        if tensors["surroundings"].shape[1] != columns or len(tensors["formula"]) != self.num_classes:
            raise ValueError(f"{path}: its surroundings or formulas are not those of its defects and classes; {again}")
        if tensors["grain"].min() < 0 or (tensors["grain"][:, :2] <= 0).any():
            raise ValueError(f"{path}: a surface has no grain; {again}")
        ends = np.cumsum(lengths)
        parts = self._part_classes(path, tensors)
        data = tensors["encoded"].tobytes()
        self._encoded = [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        self._frames = [
            Frame((int(h), int(w)), (int(y), int(x)), int(c), tuple(float(g) for g in grain), parts.get(i, ()))  # type: ignore[arg-type]
            for i, ((h, w, y, x), c, grain) in enumerate(zip(frames, channels, tensors["grain"], strict=True))
        ]
        self._surroundings, self._statures = tensors["surroundings"], tensors["stature"]
        self._traits = [Traits(bool(a), bool(b), bool(c)) for a, b, c in tensors["traits"]]
        try:
            self.formulas = tuple(Formula(*(float(share) for share in row)) for row in tensors["formula"])
        except ValueError as err:
            raise ValueError(f"{path}: {err}; {again}") from err

    def _part_classes(self, path: Path, tensors: dict[str, np.ndarray]) -> dict[int, tuple[int, ...]]:
        """Classes of the parts of each compound."""
        if not set(COMPOUND_TENSORS) <= set(tensors):
            return {}
        again = "make it again"
        counts, classes = tensors["part_counts"].astype(np.int64), tensors["part_class"]
        if counts.min() < 0 or counts.max() > MAX_PARTS or counts.sum() != len(classes):
            raise ValueError(
                f"{path}: {len(classes)} parts of compounds, {counts.sum()} wanted, {MAX_PARTS} each at most; {again}"
            )
        if len(classes) and not 0 <= classes.min() <= classes.max() < self.num_classes:
            raise ValueError(f"{path}: a part's class is not among the {self.num_classes} classes of config.json")
        ends = np.cumsum(counts)
        found = {int(i): tuple(classes[ends[i] - counts[i] : ends[i]].tolist()) for i in np.flatnonzero(counts)}
        for index, held in found.items():
            if len(set(held)) < 2 or self.class_of(index) not in held:
                raise ValueError(f"{path}: a compound holds one class, or not the one that it is of; make it again")
        return found


def _stacked(descriptions: Sequence[np.ndarray]) -> np.ndarray:
    """Stack descriptions; those of gray images among colour ones are spread over as many values."""
    longest = max(len(d) for d in descriptions)
    if all(len(d) == longest for d in descriptions):
        return np.stack(descriptions)
    channels = (longest - 1) // 6
    rows = []
    for description in descriptions:
        if len(description) != longest:
            wide = np.zeros((6, channels), np.float32)
            wide[:, 0] = description[:-1]
            description = np.concatenate([wide.ravel(), description[-1:]])
        rows.append(description)
    return np.stack(rows)
