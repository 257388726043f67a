"""Whether a segmenter trained on real defects sees in a window what its mask says: place, shape and class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOUND_IOU = 0.25  # low on purpose: a crack three pixels wide that is found one pixel beside has 0.5


def mask_agreement(predicted: Sequence[np.ndarray], labels: Sequence[np.ndarray], class_index: int) -> dict[str, float]:
    """Compare predicted with given masks, window by window.

    Args:
        predicted: (H, W) uint8 index masks: 0 for the background, class index + 1 for a defect.
        labels: likewise, of the same sizes; each shows the class.
        class_index: of the defect that the windows are about.

    Returns:
        found: share of windows whose labelled pixels and whose pixels predicted as a defect of any class have an
            intersection over union of at least `FOUND_IOU`.
        found_class: share of windows where, besides, most of what is predicted inside the class's mask is this class.
        mask_iou: mean intersection over union of the pixels predicted and labelled as this class.
    """
    value = class_index + 1
    found, right, overlaps = [], [], []
    for prediction, label in zip(predicted, labels, strict=True):
        found.append(iou(prediction > 0, label > 0) >= FOUND_IOU)
        votes = np.bincount(prediction[label == value], minlength=value + 1)
        votes[0] = 0
        right.append(found[-1] and votes[value] > 0 and votes.argmax() == value)
        overlaps.append(iou(prediction == value, label == value))
    return {
        "found": float(np.mean(found)),
        "found_class": float(np.mean(right)),
        "mask_iou": float(np.mean(overlaps)),
    }


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two bool masks; 0 if both are empty."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 0.0
