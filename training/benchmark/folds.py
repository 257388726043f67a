"""Folds by group, and the nested fractions of their training groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from albu_gan.data import DataError, Record
from training.datasets import k_folds

CLEAN = -1  # stands for a class: groups without any defect


@dataclass(frozen=True)
class Fold:
    """One fold at one fraction; no group is on two sides.

    Attributes:
        number: of the fold, from 0.
        folds: how many there are.
        fraction: of the training groups that are used.
        train: groups trained on, by the painter and by the network.
        validation: groups that the validation curve is measured on; the same for every fraction.
        test: groups that are held out.
    """

    number: int
    folds: int
    fraction: float
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        """What files of this fold and fraction are called."""
        return f"fold{self.number}of{self.folds}-fraction{self.fraction:g}"

    def select(self, records: Sequence[Record], side: str) -> list[Record]:
        """Return the records whose group is on `side`: "train", "validation" or "test"."""
        groups = set(getattr(self, side))
        return [record for record in records if record.group in groups]


def make_folds(
    records: Sequence[Record],
    class_names: Sequence[str],
    folds: int,
    fraction: float,
    seed: int = 0,
    validation_fraction: float = 0.15,
) -> list[Fold]:
    """Divide the groups into folds, and take a fraction of the training groups of each.

    Test and validation groups do not depend on the fraction, and what a smaller fraction trains on a larger one trains
    on too.

    Args:
        records: all records of a data set.
        class_names: for messages.
        folds: how many, at least two.
        fraction: of the training groups, above 0 and at most 1; of every class at least one group is kept.
        seed: same seed, same folds.
        validation_fraction: wanted share of all groups of each class.

    Warns:
        UserWarning: if the validation part of a fold lacks a class.

    Raises:
        DataError: if a class has fewer groups than there are folds, or the fraction is none.
    """
    if not 0 < fraction <= 1:
        raise DataError(f"a fraction must lie above 0 and not above 1, got {fraction:g}; 0.25 is a quarter")
    made = []
    for number, split in enumerate(k_folds(records, class_names, folds, seed, validation_fraction)):
        kept = nested_groups(split.select(records, "train"), fraction, seed + number)
        train = tuple(name for name in split.train if name in kept)
        made.append(Fold(number, folds, fraction, train, split.validation, split.held_out))
    return made


def nested_groups(records: Sequence[Record], fraction: float, seed: int) -> set[str]:
    """Choose a fraction of the groups, class by class, so that a smaller fraction is part of a larger one.

    Groups count for the rarest of their classes. In one random order, the first group of every class (and the first
    without a defect) comes first, so every class has at least one.

    Args:
        records: whose groups are chosen from.
        fraction: above 0 and at most 1.
        seed: of the order.
    """
    classes_of: dict[str, set[int]] = {}
    for record in records:
        classes_of.setdefault(record.group, set()).update(record.classes)
    groups = sorted(classes_of)
    order = [groups[i] for i in np.random.default_rng((seed, 7)).permutation(len(groups))]
    members = {
        c: [n for n in order if c in (classes_of[n] or {CLEAN})] for c in sorted({CLEAN}.union(*classes_of.values()))
    }
    first = {names[0] for names in members.values() if names}
    strata: dict[int, list[str]] = {}
    for name in sorted(order, key=lambda n: n not in first):
        strata.setdefault(min(classes_of[name] or {CLEAN}, key=lambda c: (len(members[c]), c)), []).append(name)
    return first | {name for names in strata.values() for name in names[: max(1, round(fraction * len(names)))]}
