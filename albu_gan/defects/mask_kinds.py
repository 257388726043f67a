"""What kind of mask a target is, as far as its values say: index, binary, one-hot, or no labels at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GRID = 64  # rows and columns of a mask that are looked at where a sample of it is enough
LOOKED_AT = 1 << 20  # pixels of a mask, all of which are looked at
ADVICE = (
    "give mask_values=1 or mask_values=255 for a binary mask (one value for all classes), {class: value} for an index "
    "mask"
)


def require_plain_values(key: str, mask: np.ndarray, values: Sequence[int], ignore_value: int | None) -> None:
    """Raise if a mask of one channel plainly is binary and class values that it does not use would go into it.

    Args:
        key: of the target.
        mask: (H, W) or (H, W, 1).
        values: that would be written, of the painted classes; none of them was asked for.
        ignore_value: which is no label.

    Raises:
        ValueError: if it holds 0 and 255 alone, or is floating point and holds 0 and 1 alone, and `values` are others.
    """
    if mask.dtype == np.bool_:
        return
    # Of a large mask a sample: what a call costs must not grow with its image.
    mask = mask if mask.size <= LOOKED_AT else on_grid(mask)
    highest = float(mask.max())
    if highest == 255 and ignore_value != 255 and set(values) != {255} and not ((mask != 0) & (mask != 255)).any():
        raise ValueError(
            f"{key} holds 0 and 255 alone, as a binary mask does, and classes would be written as {_told(values)}; "
            "give mask_values=255 if 255 is a defect, ignore_value=255 if it is to be ignored"
        )
    if mask.dtype.kind == "f" and 0 < highest <= 1 and set(values) != {1}:
        raise ValueError(
            f"{key} is {mask.dtype} and holds 0 to 1, as a binary mask does, and classes would be written as "
            f"{_told(values)}; {ADVICE}"
        )


def float_advice(key: str, mask: np.ndarray, values: Sequence[int]) -> str | None:
    """Say what to do where several class values go into a floating point mask and nobody asked for them."""
    if mask.dtype.kind != "f" or max(values) <= 1:
        return None
    return (
        f"{key} is {mask.dtype}, in which losses expect 0 and 1; classes are written as {_told(values)}. To say what "
        f"is wanted, {ADVICE}"
    )


def _told(values: Sequence[int]) -> str:
    known = sorted(set(values))
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def background_channel(
    layers: Sequence[np.ndarray], classes: Sequence[int], ignore_value: int | None = None
) -> int | None:
    """Find the background of a one-hot mask: the channel that is set where no class is.

    Args:
        layers: (H, W) each, the channels.
        classes: channels that belong to a class.
        ignore_value: pixels that hold it in some channel say nothing.

    Returns:
        The channel of no class that covers the most, if every pixel is set in exactly one channel and that one covers
        half of them; else None.
    """
    others = [index for index in range(len(layers)) if index not in classes]
    if not others:
        return None
    sparse = np.stack([on_grid(layer) for layer in layers])
    told = np.ones(sparse.shape[1:], bool) if ignore_value is None else ~(sparse == ignore_value).any(axis=0)
    on = (sparse != 0) & told
    if not (on.sum(axis=0) == told).all():
        return None
    counts = on[others].sum(axis=(1, 2))
    best = int(counts.argmax())
    if 2 * counts[best] < told.sum() or not counts[best]:
        return None
    if ignore_value is None and sum(int(np.count_nonzero(layer)) for layer in layers) != layers[0].size:
        return None  # what the sample did not show
    return others[best]


def holds_no_labels(mask: np.ndarray) -> bool:
    """Whether a mask plainly is something else: it has fractions, as depth has, or is nowhere 0, as weights are."""
    sparse = on_grid(mask)
    if mask.dtype.kind == "f" and (sparse != np.rint(sparse)).any():
        return True
    return bool((sparse != 0).all() and (mask != 0).all())


def covers_most(mask: np.ndarray) -> bool:
    """Whether more than half of a mask is labelled."""
    sparse = on_grid(mask) != 0
    return bool((sparse.any(axis=2) if sparse.ndim == 3 else sparse).mean() > 0.5)


def one_each(masks: Sequence[np.ndarray]) -> bool:
    """Whether several masks look like one a class or one an instance: bools, or one value in places of their own."""
    if len(masks) < 2 or any(mask.ndim == 3 and mask.shape[2] > 1 for mask in masks):
        return False
    if all(mask.dtype == np.bool_ for mask in masks):
        return True
    sparse = np.stack([on_grid(mask.reshape(mask.shape[:2])) for mask in masks])
    on = sparse != 0
    if on.any(axis=(1, 2)).sum() < 2 or (on.sum(axis=0) > 1).any():
        return False
    return len(np.unique(sparse[on])) == 1


def on_grid(mask: np.ndarray) -> np.ndarray:
    """Some evenly spaced rows and columns of a mask, about `GRID` of each; a view."""
    steps = [max(1, side // GRID) for side in mask.shape[:2]]
    return mask[:: steps[0], :: steps[1]]
