"""Patches as text: what a replay needs, for JSON and for a DataLoader's collate."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence

import numpy as np

from albu_gan.painting.compositing import Patch


def patches_to_text(patches: Sequence[Patch]) -> str:
    """Write patches as one line of JSON, exact to the bit inside their masks."""
    return json.dumps([_plain(patch) for patch in patches])


def patches_from_text(text: str) -> tuple[Patch, ...]:
    """Read what `patches_to_text` wrote; residuals are 0 outside the masks."""
    return tuple(_patch(entry) for entry in json.loads(text))


def _plain(patch: Patch) -> dict[str, object]:
    inside = np.ascontiguousarray(patch.residual[patch.mask], dtype="<f4")
    return {
        "top": int(patch.top),
        "left": int(patch.left),
        "size": [*patch.mask.shape, patch.residual.shape[2]],
        "class_index": int(patch.class_index),
        "mask": _packed(np.packbits(patch.mask).tobytes()),
        "residual": _packed(inside.tobytes()),
    }


def _patch(entry: dict[str, object]) -> Patch:
    height, width, channels = (int(side) for side in entry["size"])  # type: ignore[attr-defined]
    bits = np.unpackbits(np.frombuffer(_unpacked(entry["mask"]), np.uint8), count=height * width)
    mask = bits.reshape(height, width).astype(bool)
    residual = np.zeros((height, width, channels), np.float32)
    residual[mask] = np.frombuffer(_unpacked(entry["residual"]), "<f4").reshape(-1, channels)
    return Patch(entry["top"], entry["left"], mask, residual, entry["class_index"])  # type: ignore[arg-type]


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 1)).decode("ascii")


def _unpacked(text: object) -> bytes:
    return zlib.decompress(base64.b64decode(str(text)))
