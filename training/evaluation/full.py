"""All figures of a class: those of a training's validation, and those that only a full evaluation can afford."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from training.evaluation.classifier import tell_apart
from training.evaluation.features import DefectFeatures
from training.evaluation.fid_kid import fid, kid
from training.evaluation.inception import InceptionFeatures
from training.evaluation.mask_agreement import mask_agreement
from training.evaluation.measure import MIN_CONTRAST, ClassSamples, WindowSet, class_figures, contrasts
from training.evaluation.memorisation import TrainingBank
from training.evaluation.prdc import prdc

COMPARED = {"painted": "painted", "copy_paste": "copy_paste", "real": "train"}  # suffix of a figure: its set
SEEN = {"painted": "painted", "copy_paste": "copy_paste", "real": "real"}  # where unseen defects are themselves judged
Sets = Mapping[str, WindowSet]


def all_figures(
    sets: Sets,
    samples: ClassSamples,
    features: DefectFeatures,
    bank: TrainingBank,
    inception: InceptionFeatures | None = None,
) -> dict[str, Any]:
    """Return every figure of one class, each for the painter and, with the suffixes below, for the two floors.

    `_painted` is the painter and `_copy_paste` is copy-paste. `_real` is, where sets are compared with unseen defects,
    training defects; where single windows are judged, the unseen defects themselves.

    Args:
        sets: of `window_sets`, floors included.
        samples: that they were made from.
        features: without their segmenter, what it sees is left out.
        bank: training defects of the class.
        inception: for `inception`: FID and KID of whole windows.

    Returns:
        What `class_figures` returns, and fid, precision, recall, density; contrast_reached and coverage of copy-paste;
        found, found_class and mask_iou, of what the segmenter sees; found_clean, where nothing is painted;
        classifier_auc, None with too few groups; nearest, the median likeness of the nearest training defect. All plain
        floats.
    """
    figures = class_figures(sets, samples)
    reached = contrasts(sets["clean"], sets["copy_paste"], samples.class_index) >= MIN_CONTRAST
    figures["contrast_reached_copy_paste"] = float(reached.mean())
    for suffix, name in COMPARED.items():
        compared = prdc(sets["real"].vectors, sets[name].vectors)
        compared.pop("coverage") if suffix != "copy_paste" else None  # there already, under names without a suffix
        figures |= {f"{key}_{suffix}": value for key, value in compared.items()}
    figures |= set_distances(sets)
    for suffix, name in (*SEEN.items(), ("clean", "clean")) if features.can_segment else ():
        windows = sets[name]
        agreement = mask_agreement(segment(features, windows.images), windows.labels, samples.class_index)
        figures |= {f"{key}_{suffix}": value for key, value in agreement.items() if suffix != "clean" or key == "found"}
    for suffix, name in SEEN.items():
        windows = sets[name]
        likeness, _ = bank.nearest(windows.images, [labels == samples.class_index + 1 for labels in windows.labels])
        figures[f"nearest_{suffix}"] = float(np.median(likeness))
    if inception is not None:
        figures["inception"] = inception_distances(sets, inception)
    return {key: None if value != value else value for key, value in figures.items()}  # JSON has no NaN


def set_distances(sets: Sets) -> dict[str, float | None]:
    """Return FID and the classifier's AUC of each compared set against the unseen defects."""
    real = sets["real"]
    figures: dict[str, float | None] = {}
    for suffix, name in COMPARED.items():
        other = sets[name]
        figures[f"fid_{suffix}"] = fid(real.vectors, other.vectors)
        figures[f"classifier_auc_{suffix}"] = tell_apart(
            real.vectors, real.groups, other.vectors, other.groups, None if name == "train" else other.backgrounds
        )
    return figures


def inception_distances(sets: Sets, inception: InceptionFeatures) -> dict[str, float]:
    """Return FID and KID of each compared set against the unseen defects, whole windows in Inception's features."""
    real = inception.embed(sets["real"].images)
    figures = {}
    for suffix, name in COMPARED.items():
        vectors = inception.embed(sets[name].images)
        figures |= {f"fid_{suffix}": fid(real, vectors), f"kid_{suffix}": kid(real, vectors)}
    return figures


def together(classes: Iterable[Sets], inception: InceptionFeatures | None = None) -> dict[str, Any]:
    """Return FID, KID and the classifier's AUC over all classes at once: more windows and groups than a class has."""
    classes = list(classes)
    joined = {
        name: WindowSet(
            [image for sets in classes for image in sets[name].images],
            [labels for sets in classes for labels in sets[name].labels],
            *(
                np.concatenate([getattr(sets[name], key) for sets in classes])
                for key in ("vectors", "groups", "backgrounds")
            ),
        )
        for name in ("real", *COMPARED.values())
    }
    real = joined["real"].vectors
    figures: dict[str, Any] = {"draws": len(real), **set_distances(joined)}
    figures |= {f"kid_{suffix}": kid(real, joined[name].vectors) for suffix, name in COMPARED.items()}
    if inception is not None:
        figures["inception"] = inception_distances(joined, inception)
    return figures


def segment(features: DefectFeatures, images: list[np.ndarray]) -> list[np.ndarray]:
    """Predict index masks of windows whose sizes differ."""
    predicted: dict[int, np.ndarray] = {}
    for size in {image.shape for image in images}:
        chosen = [index for index, image in enumerate(images) if image.shape == size]
        predicted |= dict(zip(chosen, features.segment([images[i] for i in chosen]), strict=True))
    return [predicted[index] for index in range(len(images))]
