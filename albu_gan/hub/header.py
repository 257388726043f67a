"""The header of a safetensors file, checked entry by entry against the file's size; no tensor is read.

A safetensors file is eight bytes that say how long its header is, the header, which is JSON, and the tensors' bytes one
after the other. Whatever the header claims, no more than `MAX_HEADER_BYTES` are read here.

References:
    Hugging Face: safetensors, https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albu_gan.hub.errors import WeightsError

MAX_TENSOR_BYTES = 2 << 30  # of one safetensors file
MAX_HEADER_BYTES = 1 << 20  # some ten thousand tensors
MAX_NAME = 256
MAX_RANK = 8
BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}


@dataclass(frozen=True)
class TensorEntry:
    """What a header says of one tensor: a key of `BYTES`, and the shape."""

    dtype: str
    shape: tuple[int, ...]


def check_safetensors(path: Path) -> dict[str, TensorEntry]:
    """Check a safetensors file's header against its size without reading a tensor.

    Returns:
        The tensors that the file holds, by name.

    Raises:
        WeightsError: if it is no safetensors file, is truncated or has bytes too many, is larger than allowed, or if
            its header contradicts itself.
    """
    try:
        size = path.stat().st_size
        if size > MAX_TENSOR_BYTES:
            raise WeightsError(
                f"{path}: {size} bytes is more than albu-gan loads ({MAX_TENSOR_BYTES}); is this its file?"
            )
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise WeightsError(f"{path}: not a safetensors file, or truncated; download or export it again")
            header = file.read(length)
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); check its permissions") from err
    try:
        entries, end = _parse(json.loads(header))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise WeightsError(f"{path}: its safetensors header is damaged; download or export it again") from err
    if 8 + length + end != size:
        state = "truncated" if 8 + length + end > size else "oversized"
        raise WeightsError(f"{path}: {state}, {size} bytes instead of {8 + length + end}; download or export it again")
    return entries


def _parse(values: Any) -> tuple[dict[str, TensorEntry], int]:
    """Return the entries, and where the last one ends.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: if an entry is not as the format says, or entries leave a gap
            or overlap.
    """
    metadata = values.pop("__metadata__", {})
    if not all(isinstance(text, str) for text in metadata.values()):
        raise TypeError("metadata must be strings")
    entries, ranges = {}, []
    for name, value in values.items():
        dtype, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
        if len(name) > MAX_NAME or not isinstance(shape, list) or len(shape) > MAX_RANK:
            raise ValueError("a name too long, or a shape that is none")
        if not all(type(number) is int and 0 <= number <= MAX_TENSOR_BYTES for number in (*shape, begin, end)):
            raise ValueError("sides and offsets must be integers that a file can have")
        if end - begin != math.prod(shape) * BYTES[dtype]:
            raise ValueError("offsets that are not the shape's")
        entries[name] = TensorEntry(dtype, tuple(shape))
        ranges.append((begin, end))
    last = 0
    for begin, end in sorted(ranges):
        if begin != last:
            raise ValueError("a gap or an overlap")
        last = end
    return entries, last
