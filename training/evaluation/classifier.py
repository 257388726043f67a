"""A small classifier that tries to tell two sets of windows apart, cross-validated by group."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 4
STRENGTH = 0.01  # C: a hundred windows have five times as many features


def tell_apart(
    a: np.ndarray,
    a_groups: np.ndarray,
    b: np.ndarray,
    b_groups: np.ndarray,
    b_backgrounds: np.ndarray | None = None,
) -> float | None:
    """Area under the ROC curve of a regularised logistic regression, on groups that it was not fitted to.

    A pasted or painted window comes from two groups, that of its shape and that of its background. A fold holds out
    both: it is fitted without either and tested on windows of held-out shapes on held-out backgrounds.

    Args:
        a: (N, D) features.
        a_groups: (N,) what a fold must not divide.
        b: (M, D).
        b_groups: (M,), likewise.
        b_backgrounds: (M,), likewise; None if `b_groups` says it all.

    Returns:
        0.5 if they cannot be told apart, 1 if always; the mean over at most `FOLDS` folds. Below 0.5 if what the
        classifier learned on some groups is the other way round on others, which happens with few. None with fewer than
        two groups on either side.
    """
    groupings = [a_groups, b_groups, *([] if b_backgrounds is None else [b_backgrounds])]
    folds = min(FOLDS, *(len(np.unique(groups)) for groups in groupings))
    if folds < 2:
        return None
    a_fold, b_fold = _fold_of(a_groups, folds), _fold_of(b_groups, folds)
    b_also = b_fold if b_backgrounds is None else _fold_of(b_backgrounds, folds)
    areas = []
    for fold in range(folds):
        fitted = _join(a[a_fold != fold], b[(b_fold != fold) & (b_also != fold)])
        tested = _join(a[a_fold == fold], b[(b_fold == fold) & (b_also == fold)])
        if min(len(set(fitted[1])), len(set(tested[1]))) < 2:
            continue  # of a few windows none has both its shape and its background in this fold
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2000)
        ).fit(*fitted)
        areas.append(roc_auc_score(tested[1], model.decision_function(tested[0])))
    return float(np.mean(areas)) if areas else None


def _fold_of(groups: np.ndarray, folds: int) -> np.ndarray:
    """The fold that each row is tested in; folds are about equally large."""
    fold_of = np.zeros(len(groups), int)
    for fold, (_, tested) in enumerate(GroupKFold(folds).split(groups, groups=groups)):
        fold_of[tested] = fold
    return fold_of


def _join(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
