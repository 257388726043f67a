"""From latents to pairs and shapes. All randomness comes from the seed; no global generator is touched."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from albu_gan.defects import Shape
from training.gan.dcgan.data import class_condition, shape_condition, span_for
from training.gan.dcgan.folder import DCGAN
from training.tensors import uint8_images

BATCH = 32  # fixed, as results of another batch size may differ in the last bit
PAIR_LEVEL = 1 / 3  # of softened masks: keeps lines of a pixel and does not widen thicker ones
SHAPE_LEVEL = 1 / 3  # of coverage, above which a pixel belongs to the shape's part
LEVELS = (0.2, 0.6)  # between which the outline of an enlarged shape is looked for
MIN_AREA = 6  # source pixels, as of real shapes
MIN_SPAN = 0.4  # of the span that was asked for; what is shorter is a speck
MIN_SHARE = 0.6  # of all that was drawn, in the largest part
TRIES = 20  # decoded for each shape that is asked for, before giving up
FEWEST = 4  # shapes inside their image, from which their sizes are taken rather than those of all shapes


class SamplingError(RuntimeError):
    """The decoder does not give what is asked for; the message says what to do."""


def sample_pairs(dcgan: DCGAN, count: int, class_index: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make images together with their masks.

    Args:
        dcgan: trained on pairs.
        count: how many, N.
        class_index: asked of every pair; None draws classes evenly. The mask says what came of it, and may be empty.
        seed: the same seed, the same pairs.

    Returns:
        Images (N, H, W, C) uint8, and masks (N, H, W) uint8: 0 clean, class index + 1 for a defect.

    Raises:
        ValueError: if the decoder was trained on masks only, or knows no such class.
    """
    if dcgan.generator.config.masks_only:
        raise ValueError("this dcgan was trained on masks only and makes no images; train without --masks-only")
    _check(dcgan, count, class_index)
    num_classes, rng = len(dcgan.class_names), np.random.default_rng(seed)
    classes = rng.integers(num_classes, size=count) if class_index is None else np.full(count, class_index)
    conditions = np.stack([class_condition(int(c), num_classes) for c in classes])
    images, masks = [], []
    decode = _decoder(dcgan, seed)
    for start in range(0, count, BATCH):
        image, mask = decode(conditions[start : start + BATCH])
        images.append(uint8_images(image).numpy())
        masks.append(index_masks(mask).numpy())
    return np.concatenate(images), np.concatenate(masks)


def index_masks(masks: Tensor) -> Tensor:
    """(B, K, H, W) soft class masks to (B, H, W) uint8 of class index + 1."""
    labelled = masks.amax(dim=1) > PAIR_LEVEL
    return ((masks.argmax(dim=1) + 1) * labelled).to(torch.uint8).cpu()


def sample_shapes(dcgan: DCGAN, count: int, class_index: int, seed: int, borders: bool = False) -> list[Shape]:
    """Make shapes of one class, each at a size drawn from the sizes of real ones.

    Of what a latent gives the largest connected part is kept. Specks, scattered drawings and shapes that the window
    cuts off are dropped and drawn again.

    Args:
        dcgan: trained on masks only.
        count: how many.
        class_index: of all of them.
        seed: the same seed, the same shapes.
        borders: ask also for shapes cut off by the border of their image, as often as real ones are.

    Returns:
        Shapes in source pixels; `edges` are False unless `borders`.

    Raises:
        ValueError: if the decoder was trained on pairs, or knows no such class.
        SamplingError: if too few drawings of the decoder are usable.
    """
    config = dcgan.generator.config
    if not config.masks_only:
        raise ValueError("this dcgan was trained on pairs, whose masks have no size of their own; use --masks-only")
    _check(dcgan, count, class_index)
    rng = np.random.default_rng((seed, class_index))
    decode = _decoder(dcgan, int(rng.integers(2**63)))  # classes of one seed do not share latents, and so look alike
    rows = np.array(dcgan.sizes[dcgan.class_names[class_index]])
    if not borders:
        inside = rows[~rows[:, 1:].any(axis=1)]
        rows = inside if len(inside) >= FEWEST else rows * [1, 0, 0, 0, 0]
    shapes: list[Shape] = []
    for _ in range(-(-TRIES * count // BATCH)):
        drawn = rows[rng.integers(len(rows), size=BATCH)]
        sides = drawn[:, 0] * rng.uniform(0.9, 1.1, size=BATCH)
        spans = [span_for(side, config.image_size, rng) for side in sides]
        conditions = [
            shape_condition(class_index, config.num_classes, side / span, row[1:])
            for side, span, row in zip(sides, spans, drawn, strict=True)
        ]
        _, coverage = decode(np.stack(conditions))
        drawings = coverage[:, 0].cpu().numpy()
        for drawing, side, span, row in zip(drawings, sides, spans, drawn, strict=True):
            mask = shape_mask(drawing, float(side), span)
            if mask is not None:
                shapes.append(Shape(mask, class_index, tuple(map(bool, row[1:]))))
        if len(shapes) >= count:
            return shapes[:count]
    raise SamplingError(
        f"class {dcgan.class_names[class_index]!r}: {len(shapes)} usable shapes in {TRIES} tries for each of {count}; "
        "train longer, or ask for fewer"
    )


def shape_mask(coverage: np.ndarray, side: float, span: float) -> np.ndarray | None:
    """Turn a decoded coverage into a shape at its size, or None if it is no usable shape.

    The outline is laid where the shape gets the area that its coverage stands for. So a line that half covers the
    pixels it crosses becomes a line half as wide as they are.

    Args:
        coverage: (S, S) float32 in [0, 1].
        side: source pixels of the longest side that was asked for.
        span: pixels of the window that stand for them.

    Returns:
        (h, w) bool, tight and connected.
    """
    part = _largest(coverage > SHAPE_LEVEL)
    left, top, width, height = cv2.boundingRect(part.astype(np.uint8))
    size = len(coverage)
    if min(left, top) < 1 or max(left + width, top + height) > size - 1:  # also where nothing is drawn
        return None
    if max(width, height) < MIN_SPAN * span or part.sum() < MIN_SHARE * (coverage > SHAPE_LEVEL).sum():
        return None
    near = cv2.dilate(part.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    cut = np.where(near, coverage, np.float32(0))[top - 1 : top + height + 1, left - 1 : left + width + 1]
    scale = side / span
    target_wh = (max(3, round(cut.shape[1] * scale)), max(3, round(cut.shape[0] * scale)))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    drawn = cv2.resize(np.ascontiguousarray(cut), target_wh, interpolation=method)
    covered = float(cut.sum()) * drawn.size / cut.size
    level = np.sort(drawn, axis=None)[::-1][min(drawn.size - 1, round(covered))]
    mask = _largest(drawn >= np.clip(level, *LEVELS))
    if mask.sum() < MIN_AREA:
        return None
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return np.ascontiguousarray(mask[top : top + height, left : left + width])


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of an (H, W) bool mask; empty if it is."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _decoder(dcgan: DCGAN, seed: int) -> Callable[[np.ndarray], tuple[Tensor, Tensor]]:
    """Return what decodes conditions with the seed's next latents. They are drawn on the CPU, for any device alike."""
    source = torch.Generator().manual_seed(seed)
    device = next(dcgan.generator.parameters()).device

    def decode(conditions: np.ndarray) -> tuple[Tensor, Tensor]:
        z = torch.randn(len(conditions), dcgan.generator.config.latent_dim, generator=source)
        with torch.no_grad():
            image, masks = dcgan.generator(z.to(device), torch.from_numpy(conditions).to(device))
        return image, masks.clamp(0, 1)

    return decode


def _check(dcgan: DCGAN, count: int, class_index: int | None) -> None:
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if class_index is not None and not 0 <= class_index < len(dcgan.class_names):
        known = ", ".join(f"{index} {name}" for index, name in enumerate(dcgan.class_names))
        raise ValueError(f"no class {class_index}; this dcgan knows {known}")
