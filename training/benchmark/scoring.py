"""What a prediction is worth: counts of each image, and the figures made of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import binary_average_precision

from training.datasets import Record

FACTORS = tuple(2.0**power for power in range(-3, 13))  # of the background's odds, that are tried

Image = Mapping[str, Any]
"""What `score_image` returns."""


def decide(probabilities: np.ndarray, background_factor: float = 1.0) -> np.ndarray:
    """Return what each pixel is called: (H, W) uint8, class index + 1, 0 for the background.

    Args:
        probabilities: (K + 1, H, W), background first.
        background_factor: by which the background's odds are multiplied first.
    """
    weighted = np.concatenate([probabilities[:1] * background_factor, probabilities[1:]])
    return weighted.argmax(axis=0).astype(np.uint8)


def choose_factor(score: Callable[[float], float | None]) -> float:
    """Return the factor of the background's odds, one of `FACTORS`, that scores highest; of several the nearest to 1.

    A network whose crops show more defects than images do, and whose loss weighs them, calls too much a defect. How
    much too much depends on how many it was shown, so arms are compared at an operating point of their own each.

    Args:
        score: of a factor, on validation images; None where there is nothing to score.
    """
    scores = {factor: score(factor) for factor in FACTORS}
    return min(FACTORS, key=lambda factor: (-(scores[factor] or 0.0), abs(math.log(factor))))


def score_image(
    record: Record, mask: np.ndarray, probabilities: np.ndarray, score_pixels: int, background_factor: float = 1.0
) -> dict[str, Any]:
    """Count one image.

    Args:
        record: of the image.
        mask: (H, W) uint8, class index + 1.
        probabilities: (K + 1, H, W), background first.
        score_pixels: how many of the most suspicious pixels the score is the mean of.
        background_factor: see `decide`; the score does not depend on it.

    Returns:
        JSON values: name, group, classes; pixels; counts, for each class its true positive, false positive and false
        negative pixels; alarm, the pixels that are called a defect of any class; and score in [0, 1].
    """
    predicted = decide(probabilities, background_factor)
    counts = []
    for value in range(1, len(probabilities)):
        truth, found = mask == value, predicted == value
        hit = int((truth & found).sum())
        counts.append([hit, int(found.sum()) - hit, int(truth.sum()) - hit])
    suspicion = 1 - probabilities[0].ravel()
    count = min(score_pixels, suspicion.size)
    return {
        "name": record.name,
        "group": record.group,
        "classes": [int(value) - 1 for value in np.unique(mask[mask > 0])],
        "pixels": int(mask.size),
        "counts": counts,
        "alarm": int((predicted > 0).sum()),
        "score": round(float(np.partition(suspicion, -count)[-count:].mean()), 6),
    }


def dice(counts: Sequence[int]) -> float:
    """2 TP / (2 TP + FP + FN)."""
    hit, extra, missed = counts
    return 2 * hit / max(2 * hit + extra + missed, 1)


def iou(counts: Sequence[int]) -> float:
    """TP / (TP + FP + FN)."""
    hit, extra, missed = counts
    return hit / max(hit + extra + missed, 1)


def by_group(
    images: Sequence[Image], class_index: int, metric: Callable[[Sequence[int]], float] = dice
) -> dict[str, float]:
    """Return the mean of a metric over the images of each group that show a class."""
    values: dict[str, list[float]] = defaultdict(list)
    for image in images:
        if class_index in image["classes"]:
            values[image["group"]].append(metric(image["counts"][class_index]))
    return {group: float(np.mean(v)) for group, v in values.items()}


def false_alarms(images: Sequence[Image]) -> dict[str, float]:
    """Return the mean of false-positive pixels of each group's clean images, per million pixels."""
    values: dict[str, list[float]] = defaultdict(list)
    for image in images:
        if not image["classes"]:
            values[image["group"]].append(1e6 * image["alarm"] / image["pixels"])
    return {group: float(np.mean(v)) for group, v in values.items()}


def average_precision(images: Sequence[Image]) -> float | None:
    """Return the average precision of finding the images with a defect; None if all or none have one."""
    truth = [bool(image["classes"]) for image in images]
    if all(truth) or not any(truth):
        return None
    scores = torch.tensor([image["score"] for image in images], dtype=torch.float64)
    return float(binary_average_precision(scores, torch.tensor(truth).int()))


def summary(images: Sequence[Image], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the figures of one run: images of a group are averaged first, then groups, then classes."""
    figures: dict[str, Any] = {}
    for name, metric in (("dice", dice), ("iou", iou)):
        values = {c: by_group(images, index, metric) for index, c in enumerate(class_names)}
        figures[name] = {c: float(np.mean(list(v.values()))) for c, v in values.items() if v}
        figures[f"mean_{name}"] = float(np.mean(list(figures[name].values()))) if figures[name] else None
    alarms = false_alarms(images)
    figures["average_precision"] = average_precision(images)
    figures["false_alarm_ppm"] = float(np.mean(list(alarms.values()))) if alarms else None
    return figures
