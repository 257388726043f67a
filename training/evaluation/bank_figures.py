"""The figures of one class of a bank: how near painted defects come to unseen real ones, how new they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from albu_gan.painting import WindowShape
from training.evaluation.bank_draws import WORN, draw_places, key_of
from training.evaluation.bank_sides import Sides, View, cut_view
from training.evaluation.distance import mean_distance, within_class_distance
from training.evaluation.features import DefectFeatures, pack
from training.evaluation.fid_kid import kid
from training.evaluation.memorisation import FLIPS, MARGIN, SIDE, TrainingBank

PAIRS = 300  # of real defects, whose pixels are compared
Views = Mapping[str, Sequence[View]]


def class_views(
    sides: Sides,
    class_index: int,
    draws: int,
    variations: Sequence[float],
    shapes: tuple[WindowShape, ...],
    seed: int,
) -> dict[str, list[View]]:
    """Cut the windows of a class.

    Returns:
        real: unseen defects; train: those of the training half, as many at most; painted_V and painted_V_again: what
        is painted at each variation, twice; worn and worn_again: other defects' looks in the same shapes and places;
        copy_paste: the same draws pasted. The last ones correspond to each other.
    """
    rng = np.random.default_rng((seed, class_index, 1))
    views: dict[str, list[View]] = defaultdict(list)
    for name, defects in (("real", sides.unseen), ("train", sides.donors)):
        own = [defect for defect in defects if defect.class_index == class_index]
        chosen = rng.permutation(len(own))[: 2 * draws]
        views[name] = [own[int(i)].view(shapes) for i in chosen]
    for placed, painted in draw_places(sides, class_index, draws, variations, seed):
        assert placed.shape.donor is not None, "it is of the bank"
        donor_group = sides.donors[placed.shape.donor].group
        for name, made in painted.items():
            corner, group = (made.top, made.left), placed.surface.group
            views[name].append(cut_view(made.image, made.mask, corner, shapes, class_index, donor_group, group))
    return dict(views)


def class_figures(
    views: Views, donors: TrainingBank, variations: Sequence[float], features: DefectFeatures, seed: int
) -> dict[str, Any]:
    """Return the figures of a class.

    Args:
        views: of `class_views`.
        donors: every training defect of the class.
        variations: that there are.
        features: of the windows.
        seed: of what is compared.

    Returns:
        kid: of each set to the unseen defects, `train` is the floor. memorisation: how far the nearest training defect
        is, as a share of how far it is from copy-paste. newness and newness_pixels: how far two draws of one shape in
        one place are apart, as a share of how far two real defects are; `worn`: how far the looks of two real defects
        are, laid into that shape and place. All by set, and numbers of windows and groups.
    """
    vectors = {name: embed(group, features) for name, group in views.items()}
    real = views["real"]
    groups = np.array([view.group for view in real])
    spread = within_class_distance(vectors["real"], groups)
    spread_pixels = _real_pixel_distance(real, np.random.default_rng(seed))
    compared = [*(key_of(v) for v in variations), "copy_paste"]
    away = {name: _distance_to_donors(views[name], donors) for name in (*compared, "real")}
    pairs = {**{key_of(v): (key_of(v), key_of(v, again=True)) for v in variations}, WORN[0]: WORN}
    return {
        "kid": {name: kid(vectors["real"], vectors[name], seed) for name in (*compared, "train")},
        "memorisation": {name: away[name] / max(away["copy_paste"], 1e-6) for name in (*compared, "real")},
        "repeats": {key_of(v): _repeats(views[key_of(v)], views["copy_paste"]) for v in variations},
        "newness": {k: mean_distance(vectors[a], vectors[b]) / spread for k, (a, b) in pairs.items()},
        "newness_pixels": {
            k: float(np.mean([_pixel_distance(*two) for two in zip(views[a], views[b], strict=True)])) / spread_pixels
            for k, (a, b) in pairs.items()
        },
        "draws": len(views["copy_paste"]),
        "unseen_defects": len(real),
        "unseen_groups": len(np.unique(groups)),
        "training_defects": len(donors.patches) // len(FLIPS),
    }


def embed(views: Sequence[View], features: DefectFeatures) -> np.ndarray:
    """Features inside the mask, (N, D); windows may differ in size."""
    vectors = np.empty((len(views), features.num_features))
    for size in {view.mask.shape for view in views}:
        rows = [i for i, view in enumerate(views) if view.mask.shape == size]
        packed = pack([views[i].image for i in rows], [views[i].mask for i in rows])
        vectors[rows] = features.embed(packed)
    return vectors


def mean_figures(classes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean over the classes of every figure that is a share or a distance."""
    every = list(classes.values())
    figures = [key for key, value in every[0].items() if isinstance(value, Mapping)]
    return {
        key: {name: float(np.mean([figure[key][name] for figure in every])) for name in every[0][key]}
        for key in figures
    }


def _distance_to_donors(views: Sequence[View], donors: TrainingBank) -> float:
    """Median distance, 1 less the likeness, of the nearest training defect."""
    likeness, _ = donors.nearest([view.image for view in views], [view.mask for view in views])
    return float(np.median(1 - likeness))


def _repeats(painted: Sequence[View], pasted: Sequence[View]) -> float:
    """Median likeness of painted defects and the same donors pasted, as `TrainingBank` has it.

    Turned by some degrees in its box, a thin donor is no longer known for the same by `TrainingBank.nearest`; here both
    are turned alike.
    """
    found = []
    for view, copy in zip(painted, pasted, strict=True):
        likeness, _ = TrainingBank.of_masks([copy.image], [copy.mask]).nearest([view.image], [view.mask])
        found.append(float(likeness[0]))
    return float(np.median(found))


def _pixel_distance(one: View, other: View) -> float:
    """How far two windows are apart in the box that holds both masks, whatever their size and mean brightness."""
    box = cv2.boundingRect((one.mask | other.mask).astype(np.uint8)) if one.mask.shape == other.mask.shape else None
    return float(np.sqrt(np.mean((_patch(one, box) - _patch(other, box)) ** 2)))


def _real_pixel_distance(views: Sequence[View], rng: np.random.Generator) -> float:
    """The same, the mean over pairs of real defects of different groups; of any if there is one group alone."""
    several = len({view.group for view in views}) > 1
    found = []
    for _ in range(20 * PAIRS):
        a, b = rng.choice(len(views), 2, replace=False)
        if len(found) < PAIRS and not (several and views[a].group == views[b].group):
            one, other = (_patch(views[i], cv2.boundingRect(views[i].mask.astype(np.uint8))) for i in (a, b))
            found.append(float(np.sqrt(np.mean((one - other) ** 2))))
    return max(float(np.mean(found)), 1e-6)


def _patch(view: View, box: Sequence[int] | None) -> np.ndarray:
    left, top, width, height = cv2.boundingRect(view.mask.astype(np.uint8)) if box is None else box
    rows = slice(max(0, top - MARGIN), top + height + MARGIN)
    gray = view.image[rows, max(0, left - MARGIN) : left + width + MARGIN].mean(axis=2, dtype=np.float32)
    gray = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(gray - gray.mean())
