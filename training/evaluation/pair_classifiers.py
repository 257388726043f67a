"""Classifiers that try to tell real from painted windows of the same background, cross-validated by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from training.evaluation.bank_sides import View
from training.evaluation.classifier import STRENGTH
from training.evaluation.features import DefectFeatures
from training.evaluation.same_background import FOLDS, Pair

SIDE = 48  # pixels of what the small network sees
STEPS, BATCH = 80, 12  # of its training, a fold; pairs
LEAST = 4  # pairs of a fold, that it takes to test on
EDGE = 3  # pixels to either side of a mask's edge that count as its rim
Scores = Callable[[list[Pair], list[Pair], int], np.ndarray]  # fitted, tested, seed: (2, N), the more the more painted


def areas(
    pairs: Sequence[Pair], embed: Callable[[Sequence[View]], np.ndarray], seed: int
) -> dict[int | None, dict[str, float | None]]:
    """Return the area under the ROC curve of every classifier, the mean over folds: of each class, None for all.

    Args:
        pairs: of real and painted windows; those of a fold are tested by a classifier that saw neither their
            backgrounds nor their donors.
        embed: features of windows inside their masks.
        seed: of the classifiers.

    Returns:
        0.5 where they cannot be told apart, 1 where always; None if there are too few pairs.
    """
    judged = {name: _cross_validated(pairs, scores, seed) for name, scores in classifiers(embed).items()}
    of_class: dict[int | None, list[int]] = {None: sorted({pair.class_index for pair in pairs})}
    of_class |= {index: [index] for index in of_class[None]}
    return {key: {name: _area(folds, chosen) for name, folds in judged.items()} for key, chosen in of_class.items()}


def classifiers(embed: Callable[[Sequence[View]], np.ndarray]) -> dict[str, Scores]:
    """Return the classifiers by name."""
    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000))

    def by_features(fitted: list[Pair], tested: list[Pair], seed: int) -> np.ndarray:
        logistic.fit(*_rows(fitted, lambda p: _both(p, embed)))
        return np.asarray(logistic.decision_function(_rows(tested, lambda p: _both(p, embed))[0])).reshape(2, -1)

    described: dict[int, tuple[Pair, np.ndarray]] = {}  # each pair is in several folds

    def describe(pairs: list[Pair]) -> np.ndarray:
        for pair in pairs:
            if id(pair) not in described:
                both = [statistics(image, pair.mask) for image in (pair.real, pair.painted)]
                described[id(pair)] = pair, np.stack(both)
        return np.concatenate([described[id(pair)][1][:, None] for pair in pairs], axis=1).reshape(2 * len(pairs), -1)

    def by_statistics(fitted: list[Pair], tested: list[Pair], seed: int) -> np.ndarray:
        forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=seed)
        forest.fit(*_rows(fitted, describe))
        return np.asarray(forest.predict_proba(describe(tested))[:, 1]).reshape(2, -1)

    return {"features": by_features, "statistics": by_statistics, "network": by_network}


def embedder(features: DefectFeatures) -> Callable[[Sequence[View]], np.ndarray]:
    """Return what embeds windows, each once."""
    from training.evaluation.bank_figures import embed

    known: dict[int, tuple[View, np.ndarray]] = {}

    def remembered(views: Sequence[View]) -> np.ndarray:
        new = [view for view in views if id(view.image) not in known]
        for view, vector in zip(new, embed(new, features) if new else [], strict=True):
            known[id(view.image)] = view, vector  # the view is kept, so that its number is not given to another
        return np.stack([known[id(view.image)][1] for view in views])

    return remembered


def _cross_validated(pairs: Sequence[Pair], scores: Scores, seed: int) -> list[tuple[list[Pair], np.ndarray]]:
    """Return the tested pairs of each fold and their (2, N) scores."""
    found = []
    for fold in range(FOLDS):
        fitted, tested = [p for p in pairs if p.fold != fold], [p for p in pairs if p.fold == fold]
        if len(tested) >= LEAST and len(fitted) >= LEAST:
            found.append((tested, scores(fitted, tested, seed)))
    return found


def _area(folds: Sequence[tuple[list[Pair], np.ndarray]], classes: Sequence[int]) -> float | None:
    """Mean over the folds that have enough pairs of the classes."""
    found = []
    for tested, given in folds:
        chosen = given[:, [pair.class_index in classes for pair in tested]]
        if chosen.shape[1] >= LEAST:
            found.append(float(roc_auc_score(np.repeat([0, 1], chosen.shape[1]), chosen.ravel())))
    return float(np.mean(found)) if found else None


def _rows(pairs: list[Pair], describe: Callable[[list[Pair]], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(2 N, D) descriptions, real ones first, and (2 N,) 0 for real and 1 for painted."""
    return describe(pairs), np.repeat([0, 1], len(pairs))


def _both(pairs: list[Pair], embed: Callable[[Sequence[View]], np.ndarray]) -> np.ndarray:
    images = [(getattr(pair, name), pair) for name in ("real", "painted") for pair in pairs]
    return embed([View(image, pair.mask, pair.class_index, pair.group, pair.group) for image, pair in images])


def statistics(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Describe brightness, slopes and grain inside a mask, at its rim and around it.

    Args:
        image: (H, W, C) uint8.
        mask: (H, W) bool.

    Returns:
        (D,) float64: quantiles of each part, less the median around the mask.
    """
    gray = image.mean(axis=2, dtype=np.float32)
    kernel = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    wide, narrow = cv2.dilate(mask.view(np.uint8), kernel) > 0, cv2.erode(mask.view(np.uint8), kernel) > 0
    parts = [part if part.any() else mask for part in (mask, wide & ~narrow, narrow, ~wide)]
    slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    fine = np.abs(gray - cv2.blur(gray, (3, 3)))
    coarse = np.abs(cv2.blur(gray, (3, 3)) - cv2.blur(gray, (7, 7)))
    colour = image.astype(np.float32).std(axis=2)
    described = []
    for layer in (gray, slope, fine, coarse, colour):
        level = float(np.median(layer[parts[-1]]))
        described += [np.quantile(layer[part], (0.02, 0.25, 0.5, 0.75, 0.98)) - level for part in parts]
    return np.concatenate(described)


def by_network(fitted: list[Pair], tested: list[Pair], seed: int) -> np.ndarray:
    """Train a small network from scratch; it sees the window, brought to one size, and the mask."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels = fitted[0].real.shape[2] + 1
        network = nn.Sequential(
            *(nn.Conv2d(channels, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU()),
            *(nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU()),
            *(nn.Conv2d(24, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.ReLU()),
            *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(48, 1)),
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
        windows, rng = _tensors(fitted), np.random.default_rng(seed)
        for _ in range(STEPS):
            chosen = rng.choice(len(fitted), min(BATCH, len(fitted)), replace=False)
            batch = windows[:, chosen]
            for axis in (-1, -2):
                batch = batch.flip(axis) if rng.random() < 0.5 else batch
            given = network(batch.flatten(0, 1)).reshape(2, -1)
            target = torch.tensor([[0.0], [1.0]]).expand_as(given)
            loss = nn.functional.binary_cross_entropy_with_logits(given, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        return network(_tensors(tested).flatten(0, 1)).reshape(2, -1).numpy()


def _tensors(pairs: list[Pair]) -> torch.Tensor:
    """(2, N, C + 1, SIDE, SIDE) float32: real and painted, each less the mean of its pair, with the mask."""
    both = []
    for pair in pairs:
        layers = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in (pair.real, pair.painted)]
        stacked = np.stack(layers).reshape(2, SIDE, SIDE, -1).astype(np.float32)
        mask = cv2.resize(pair.mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        wide = np.broadcast_to(mask[None, :, :, None], (2, SIDE, SIDE, 1))
        both.append(np.concatenate([(stacked - stacked.mean()) / 48, wide], axis=3))
    return torch.from_numpy(np.stack(both, axis=1)).permute(0, 1, 4, 2, 3).contiguous()
