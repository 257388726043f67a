"""What the header of `masks.safetensors`, the bank of shapes, must say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from albu_gan.hub.header import TensorEntry

MAX_SHAPES = 1_000_000
#: Type and rank of each tensor of `masks.safetensors`.
BANK_TENSORS = {"bits": ("U8", 1), "class_index": ("I32", 1), "size_hw": ("I32", 2), "edges": ("U8", 2)}
CENTRES = "centre_yx"
#: Likewise, of what a bank may leave out.
OPTIONAL_TENSORS = {CENTRES: ("F32", 2)}


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
