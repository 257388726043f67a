"""Writing defects into masks and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albu_gan.defects.padding import Filling
from albu_gan.painting import Patch


@dataclass(frozen=True)
class Forbidden:
    """Where the masks of a sample and its region forbid painting, looked up part by part.

    Attributes:
        masks: (H, W) or (H, W, C) each.
        region: (H, W) or (H, W, C), nonzero where defects may go; None for everywhere.
        ignore_value: see `occupied`.
        avoid_existing: see `occupied`.
        backgrounds: of each mask its channel that is set where no class is, None for none; () if no mask has one.
        filling: of the image, which is not painted; None for none.
    """

    masks: Sequence[np.ndarray]
    region: np.ndarray | None
    ignore_value: int | None
    avoid_existing: bool
    backgrounds: Sequence[int | None] = ()
    filling: Filling | None = None

    def __call__(self, rows: slice, columns: slice) -> np.ndarray | None:
        """Return (h, w) bool of a part of the image, or None if nothing is forbidden there."""
        found: np.ndarray | None = None
        if self.region is not None:
            region = self.region[rows, columns]
            found = region == 0 if region.ndim == 2 else (region == 0).all(axis=2)
        if self.avoid_existing or self.ignore_value is not None:
            for mask, background in zip(self.masks, self.backgrounds or [None] * len(self.masks), strict=True):
                taken = occupied(mask[rows, columns], self.ignore_value, self.avoid_existing, background)
                if taken is not None:
                    found = taken if found is None else found | taken
        filled = None if self.filling is None else self.filling(rows, columns)
        if filled is not None:
            found = filled if found is None else found | filled
        return found


def occupied(
    mask: np.ndarray, ignore_value: int | None, avoid_existing: bool, background: int | None = None
) -> np.ndarray | None:
    """Where a mask forbids painting: labels (if they are to be avoided) and ignored pixels.

    Args:
        mask: (H, W) or (H, W, C).
        ignore_value: never painted over; None for none.
        avoid_existing: whether labels forbid painting.
        background: channel that is no label; None for none.

    Returns:
        (H, W) bool, or None if nothing is forbidden.
    """
    blocked = mask != 0 if avoid_existing else np.zeros(mask.shape, bool)
    if background is not None:
        blocked[:, :, background] = False
    if ignore_value is not None and _can_hold(mask.dtype, ignore_value):
        blocked |= mask == ignore_value
    if not blocked.any():
        return None
    return np.asarray(blocked.any(axis=2) if blocked.ndim == 3 else blocked)


def _can_hold(dtype: np.dtype[Any], value: int) -> bool:
    """Whether a mask may hold a value at all; numpy does not compare every integer with every dtype."""
    if dtype == np.bool_:
        return value in (0, 1)
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    return int(limits.min) <= value <= int(limits.max)


def check_mask(key: str, mask: Any, image_hw: tuple[int, int]) -> None:
    """Raise unless `mask` is (H, W) or (H, W, C) of the image's size, and holds numbers.

    Raises:
        TypeError: if it is no array, or one of other things than bools, integers and floating point numbers.
        ValueError: if rank or size are wrong.
    """
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"{key} must be a numpy array, got {type(mask).__name__}")
    if mask.dtype.kind not in "biuf":
        raise TypeError(f"{key} must hold bools, integers or floating point numbers, got {mask.dtype}; convert it")
    if mask.ndim not in (2, 3) or mask.shape[:2] != image_hw or 0 in mask.shape:
        raise ValueError(
            f"{key} must be (H, W) or (H, W, C) with {image_hw} like its image, got shape {mask.shape}; "
            "resize both together"
        )


def write_labels(
    mask: np.ndarray,
    patches: Sequence[Patch],
    values: Sequence[int],
    channels: Sequence[int] | None,
    ignore_value: int | None = None,
    background: int | None = None,
) -> np.ndarray:
    """Return a copy of a mask with every patch's label in it.

    Args:
        mask: (H, W), (H, W, 1) or (H, W, C), any dtype.
        patches: to label.
        values: written into a mask of one channel, by class index.
        channels: of an (H, W, C) mask, by class index.
        ignore_value: which is no label, so that a mask that holds 255 for it still gets 1.
        background: channel of an (H, W, C) mask that is set where no class is; see `write_channels`.

    Raises:
        ValueError: if the mask has too few channels or its dtype cannot hold a value.
    """
    out = np.array(mask, order="C")
    if mask.ndim == 3 and mask.shape[2] > 1:
        assert channels is not None
        if patches:
            layers = [out[:, :, channel] for channel in range(mask.shape[2])]
            write_channels(layers, patches, channels, channel_value(mask, ignore_value), background)
        return out
    for patch in patches:
        region = _under(out if mask.ndim == 2 else out[:, :, 0], patch)
        region[patch.mask] = fitting_value(values[patch.class_index], mask.dtype)
    return out


def write_channels(
    layers: Sequence[np.ndarray],
    patches: Sequence[Patch],
    channels: Sequence[int],
    value: int,
    background: int | None = None,
) -> None:
    """Write every patch's label into the channel of its class, in place.

    Args:
        layers: (H, W) each, the channels of a mask.
        patches: to label.
        channels: by class index.
        value: that says "present".
        background: channel that is set where no class is. With one, a pixel has one class: whatever was set under a
            patch is cleared.

    Raises:
        ValueError: if there are too few channels.
    """
    for patch in patches:
        channel = channels[patch.class_index]
        if channel >= len(layers):
            raise ValueError(
                f"mask_channels writes to channel {channel}, the mask has {len(layers)} channels (0 to "
                f"{len(layers) - 1}); give mask_channels={{class: channel}} that fits"
            )
        for layer in layers if background is not None else ():
            _under(layer, patch)[patch.mask] = 0
        _under(layers[channel], patch)[patch.mask] = value


def _under(layer: np.ndarray, patch: Patch) -> np.ndarray:
    """The part of an (H, W) layer, a view, that a patch's mask covers."""
    height, width = patch.mask.shape
    return layer[patch.top : patch.top + height, patch.left : patch.left + width]


def channel_value(mask: np.ndarray, ignore_value: int | None = None) -> int:
    """What "present" is in a multi-channel mask: 255 in one that holds 255 as a label, else 1."""
    return 255 if mask.dtype != np.bool_ and ignore_value != 255 and mask.max(initial=0) == 255 else 1


def fitting_value(value: int, dtype: np.dtype[Any]) -> int:
    """Return `value`, True for a bool mask.

    Raises:
        ValueError: if the dtype cannot hold it, or only a rounded value.
    """
    if dtype == np.bool_:
        return True
    if np.issubdtype(dtype, np.integer):
        fits = np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    else:
        fits = abs(value) <= 2 ** (np.finfo(dtype).nmant + 1)  # up to which every integer is one of its numbers
    if not fits:
        raise ValueError(f"mask value {value} does not fit into {dtype}; give mask_values that do, or a wider mask")
    return value


def patch_box(patch: Patch, image_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return x_min, y_min, x_max, y_max of a patch's mask as fractions of the image."""
    rows, columns = np.flatnonzero(patch.mask.any(axis=1)), np.flatnonzero(patch.mask.any(axis=0))
    height, width = image_hw
    return (
        (patch.left + int(columns[0])) / width,
        (patch.top + int(rows[0])) / height,
        (patch.left + int(columns[-1]) + 1) / width,
        (patch.top + int(rows[-1]) + 1) / height,
    )
