"""What the header of `defects.safetensors`, the bank of real defects, must say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from albu_gan.hub.header import TensorEntry

MAX_SHAPES = 1_000_000
#: Type and rank of each tensor of every bank: the shapes.
SHAPE_TENSORS = {"bits": ("U8", 1), "class_index": ("I32", 1), "size_hw": ("I32", 2), "edges": ("U8", 2)}
CENTRES = "centre_yx"
#: Likewise, of what a bank may leave out.
OPTIONAL_TENSORS = {CENTRES: ("F32", 2)}
#: Likewise, of a bank that also knows how its defects look: all of them or none.
APPEARANCE_TENSORS = {
    "encoded": ("U8", 1),
    "encoded_bytes": ("I32", 1),
    "frame": ("I32", 2),
    "channels": ("I32", 1),
    "grain": ("F32", 2),
    "surroundings": ("F32", 2),
    "stature": ("F32", 2),
    "traits": ("U8", 2),
    "formula": ("F32", 2),
}
#: Likewise, of one with defects that hold several classes: how many parts each has, 0 for one of a single class, and
#: the class of every part, defect after defect. Both or neither, and with appearances alone.
COMPOUND_TENSORS = {"part_counts": ("I32", 1), "part_class": ("I32", 1)}
#: Columns of those tensors that have a row for each shape.
COLUMNS = {"size_hw": 2, "edges": 4, CENTRES: 2, "frame": 4, "grain": 4, "stature": 8, "traits": 3}


def has_appearances(entries: Mapping[str, TensorEntry]) -> bool:
    """Whether a bank knows how its defects look."""
    return "encoded" in entries


def check_bank_header(path: Path, entries: Mapping[str, TensorEntry]) -> None:
    """Raise unless a header's tensors are those of a bank of defects.

    Args:
        path: of the file, for the message.
        entries: of its header.

    Raises:
        ValueError: naming the file and the tensor.
    """
    known = {**SHAPE_TENSORS, **OPTIONAL_TENSORS, **APPEARANCE_TENSORS, **COMPOUND_TENSORS}
    looks, compounds = (set(tensors) & set(entries) for tensors in (APPEARANCE_TENSORS, COMPOUND_TENSORS))
    whole = looks in (set(), set(APPEARANCE_TENSORS)) and compounds in (set(), set(COMPOUND_TENSORS))
    if not set(SHAPE_TENSORS) <= set(entries) <= set(known) or not whole or (compounds and not looks):
        raise ValueError(
            f"{path}: holds tensors {sorted(entries)[:20]}, a bank of defects has {sorted(SHAPE_TENSORS)}, perhaps "
            f"{sorted(OPTIONAL_TENSORS)}, perhaps all of {sorted(APPEARANCE_TENSORS)}, and with them perhaps all of "
            f"{sorted(COMPOUND_TENSORS)}; make it again"
        )
    for name, entry in entries.items():
        dtype, rank = known[name]
        if entry.dtype != dtype or len(entry.shape) != rank:
            raise ValueError(f"{path}: tensor {name!r} must be {dtype} of rank {rank}; make it again")
    (count,) = entries["class_index"].shape
    rows: dict[str, tuple[int, ...]] = {name: (count, columns) for name, columns in COLUMNS.items() if name in entries}
    if looks:
        rows["surroundings"] = (count, *entries["surroundings"].shape[1:])
        rows |= {"encoded_bytes": (count,), "channels": (count,), "formula": (entries["formula"].shape[0], 3)}
    if compounds:
        rows["part_counts"] = (count,)
    if any(entries[name].shape != shape for name, shape in rows.items()) or not 1 <= count <= MAX_SHAPES:
        raise ValueError(
            f"{path}: its tensors disagree about the number of defects, or there are none, or more than {MAX_SHAPES}; "
            "make it again"
        )
