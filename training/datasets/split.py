"""Splits that never divide a group and keep every class on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.datasets.record import DataError, Record

TRIES = 400


@dataclass(frozen=True)
class Split:
    """Names of the groups on either side."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def select(self, records: Sequence[Record], side: str) -> list[Record]:
        """Return the records whose group is on `side`: "train" or "held_out"."""
        groups = set(getattr(self, side))
        return [record for record in records if record.group in groups]


def split_by_group(records: Sequence[Record], class_names: Sequence[str], train_fraction: float, seed: int) -> Split:
    """Divide the groups at random so that each class, and the clean images, come near `train_fraction`.

    Of `TRIES` random divisions the one closest to the wanted fraction, class by class, is kept.

    Args:
        records: all records of a data set.
        class_names: for messages.
        train_fraction: wanted share of the groups of each class, strictly between 0 and 1.
        seed: same seed, same split.

    Raises:
        DataError: if a class has fewer than two groups, so that it cannot be on both sides.
    """
    if not 0 < train_fraction < 1:
        raise DataError(f"train_fraction must lie between 0 and 1, got {train_fraction}")
    groups_of: dict[int, set[str]] = defaultdict(set)
    for record in records:
        for index in record.classes or {-1}:
            groups_of[index].add(record.group)
    for index, name in enumerate(class_names):
        if len(groups_of[index]) < 2:
            raise DataError(
                f"class {name!r} is in {len(groups_of[index])} group(s); a split by group needs at least two. "
                "Leave the class out, or give groups that divide it"
            )
    names = sorted({record.group for record in records})
    rng = np.random.default_rng(seed)
    best: tuple[float, list[str]] | None = None
    for _ in range(TRIES):
        order = [names[i] for i in rng.permutation(len(names))]
        train = set(order[: max(1, round(train_fraction * len(order)))])
        shares = {index: len(groups & train) / len(groups) for index, groups in groups_of.items()}
        if any(not 0 < shares[index] < 1 for index in range(len(class_names))):
            continue
        error = sum((share - train_fraction) ** 2 for share in shares.values())
        if best is None or error < best[0]:
            best = (error, sorted(train))
    if best is None:
        train_names = _repaired(names, [groups_of[index] for index in range(len(class_names))], train_fraction, rng)
    else:
        train_names = set(best[1])
    return Split(tuple(n for n in names if n in train_names), tuple(n for n in names if n not in train_names))


def _repaired(names: list[str], classes: list[set[str]], train_fraction: float, rng: np.random.Generator) -> set[str]:
    """Divide many rare classes: start at random and move groups of classes that are on one side only."""
    for _ in range(TRIES):
        train = {name for name in names if rng.random() < train_fraction}
        for _ in range(20 * len(classes)):
            onesided = [groups for groups in classes if groups <= train or not groups & train]
            if not onesided:
                return train
            choice = sorted(onesided[rng.integers(len(onesided))])
            train ^= {choice[rng.integers(len(choice))]}
    raise DataError(
        "no division of the groups was found that has every class on both sides; leave out the rarest class, or give "
        "groups that divide it"
    )
