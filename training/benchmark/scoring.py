"""What a prediction is worth: counts of each image, and the figures made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import binary_average_precision

from albu_gan.data import Record

FACTORS = tuple(2.0**power for power in range(-3, 13))  # of the background's odds; 1 is what the network says

Image = Mapping[str, Any]
"""What `score_image` returns."""


def score_image(record: Record, mask: np.ndarray, probabilities: np.ndarray, score_pixels: int) -> dict[str, Any]:
    """Count one image.

    Args:
        record: of the image.
        mask: (H, W) uint8, class index + 1.
        probabilities: (K + 1, H, W), background first.
        score_pixels: how many of the most suspicious pixels the score is the mean of.

    Returns:
        JSON values: name, group, classes; pixels; counts, for each class its true positive, false positive and false
        negative pixels; alarm, the pixels that are called a defect of any class; score in [0, 1]; dice_at, for each of
        classes its Dice with the background's odds multiplied by each of `FACTORS`; and alarm_at, of a clean image.
    """
    predicted = probabilities.argmax(axis=0)
    counts = []
    for value in range(1, len(probabilities)):
        truth, found = mask == value, predicted == value
        hit = int((truth & found).sum())
        counts.append([hit, int(found.sum()) - hit, int(truth.sum()) - hit])
    classes = [int(value) - 1 for value in np.unique(mask[mask > 0])]
    called = pixels_at(mask, probabilities)  # (K + 1, K + 1, F): truth, called
    hits = {index: called[index + 1, index + 1] for index in classes}
    sizes = {index: called[:, index + 1].sum(axis=0) + int((mask == index + 1).sum()) for index in classes}
    suspicion = 1 - probabilities[0].ravel()
    count = min(score_pixels, suspicion.size)
    return {
        "name": record.name,
        "group": record.group,
        "classes": classes,
        "pixels": int(mask.size),
        "counts": counts,
        "alarm": int((predicted > 0).sum()),
        "score": round(float(np.partition(suspicion, -count)[-count:].mean()), 6),
        "dice_at": [np.round(2 * hits[index] / np.maximum(sizes[index], 1), 4).tolist() for index in classes],
        **({} if classes else {"alarm_at": called[0, 1:].sum(axis=0).tolist()}),
    }


def pixels_at(mask: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Count pixels by what they are and what they are called, with the background's odds multiplied by `FACTORS`.

    Args:
        mask: (H, W) uint8, class index + 1.
        probabilities: (K + 1, H, W), background first.

    Returns:
        (K + 1, K + 1, F) int64: truth, called, factor.
    """
    total, factors = len(probabilities), len(FACTORS)
    odds = probabilities[1:].max(axis=0) / np.maximum(probabilities[0], np.float32(1e-30))
    # As many of the factors leave a pixel its likeliest defect as are below the odds of that.
    kept = np.searchsorted(FACTORS, odds.ravel(), side="left")
    likeliest = probabilities[1:].argmax(axis=0).ravel() + 1
    cells = (mask.ravel().astype(np.int64) * total + likeliest) * (factors + 1) + kept
    found = np.bincount(cells, minlength=total * total * (factors + 1)).reshape(total, total, factors + 1)
    defects: np.ndarray = np.flip(np.cumsum(np.flip(found, axis=2), axis=2), axis=2)[:, :, 1:]
    defects[:, 0] = np.bincount(mask.ravel(), minlength=total)[:, None] - defects[:, 1:].sum(axis=1)
    return defects


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


def average_precisions(images: Sequence[Image], times: np.ndarray) -> np.ndarray:
    """Return the average precision of many draws of the same images, which are sorted once.

    Args:
        images: (N,).
        times: (R, N) integers, how often each draw has each image.

    Returns:
        (R,) float64, nan where all images of a draw or none have a defect.
    """
    scores = np.array([image["score"] for image in images], np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # images of one score have one threshold
    times = times[:, order]
    found = (times * np.array([bool(image["classes"]) for image in images])[order]).cumsum(axis=1)[:, ends]
    shown = times.cumsum(axis=1)[:, ends]
    gained = np.diff(found, axis=1, prepend=0)
    sums = (gained * found / np.maximum(shown, 1)).sum(axis=1)
    defective, all_images = found[:, -1], shown[:, -1]
    defined = (defective > 0) & (defective < all_images)
    return np.where(defined, sums / np.maximum(defective, 1), np.nan)


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
