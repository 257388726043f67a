"""Splits that never divide a group and keep every class on each side."""

from __future__ import annotations

import dataclasses
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from albu_gan.data import SIDES, DataError, Record

TRIES = 400
CANDIDATES = 20  # of the best divisions, those that are looked at for a further one

CLEAN = -1  # stands for a class in what is balanced: images without a defect


@dataclass(frozen=True)
class Split:
    """Names of the groups on each side; `validation` may be empty."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    validation: tuple[str, ...] = ()

    def select(self, records: Sequence[Record], side: str) -> list[Record]:
        """Return the records whose group is on `side`: "train", "validation" or "held_out"."""
        if side not in SIDES:
            raise ValueError(f"side must be one of {SIDES}, got {side!r}")
        groups = set(getattr(self, side))
        return [record for record in records if record.group in groups]


def split_by_group(
    records: Sequence[Record],
    class_names: Sequence[str],
    train_fraction: float,
    seed: int,
    validation_fraction: float = 0.0,
) -> Split:
    """Divide the groups at random so that each class, and the clean images, come near the wanted fractions.

    Of `TRIES` random divisions the one closest to the wanted fraction, class by class, is kept. A class of three groups
    or more keeps two for training, so that validation can have one. Validation is then taken from the training groups:
    what is held out does not depend on it. A class of a single group is in training alone; one that no image shows does
    not count.

    Args:
        records: all records of a data set.
        class_names: for messages.
        train_fraction: wanted share of the groups of each class that is not held out, strictly between 0 and 1.
        seed: same seed, same split.
        validation_fraction: wanted share of all groups of each class, below `train_fraction`.

    Warns:
        UserWarning: if a class has no group, or a single one, so that nothing of it is held out; or if validation lacks
            a class, because training has a single group of it.

    Raises:
        DataError: if no division was found that has every other class on both sides.
    """
    if not 0 < train_fraction < 1:
        raise DataError(f"train_fraction must lie between 0 and 1, got {train_fraction}")
    groups_of = _groups_by_class(records)
    names = sorted({record.group for record in records})
    if len(names) < 2:
        raise DataError(f"all images are in one group, {''.join(names)!r}; a split by group needs at least two")
    _warn_of_unused(class_names, groups_of)
    for index, name in enumerate(class_names):
        if len(groups_of[index]) == 1:
            warnings.warn(
                f"class {name!r} is in one group, {next(iter(groups_of[index]))!r}: it is in training, and nothing of "
                "it is held out; give groups that divide it, or more images",
                stacklevel=2,
            )
    rng = np.random.default_rng(seed)
    counts = {c: len(groups_of[c]) for c in range(len(class_names)) if groups_of[c]}
    wanted = {c: (min(2, count - 1), 1) if count > 1 else (1, 0) for c, count in counts.items()}
    enough = {c: (1, int(count > 1)) for c, count in counts.items()}
    train = _divide(names, groups_of, train_fraction, rng, wanted, again=True)
    if train is None and wanted != enough:
        train = _divide(names, groups_of, train_fraction, rng, enough)
    if train is None:
        raise DataError(
            "no division of the groups was found that has every class on both sides; leave out the rarest class, or "
            "give groups that divide it"
        )
    split = Split(tuple(n for n in names if n in train), tuple(n for n in names if n not in train))
    return with_validation(split, records, class_names, validation_fraction / train_fraction, seed)


def with_validation(
    split: Split, records: Sequence[Record], class_names: Sequence[str], fraction: float, seed: int
) -> Split:
    """Move some training groups to validation.

    Args:
        split: without validation groups.
        records: all records of a data set.
        class_names: for messages.
        fraction: wanted share of the training groups of each class, at least 0 and below 1.
        seed: same seed, same result.

    Warns:
        UserWarning: if validation lacks a class that training has.

    Raises:
        DataError: if the fraction is none.
    """
    if not 0 <= fraction < 1:
        raise DataError("validation_fraction must be at least 0, and leave some of the training groups for training")
    if fraction == 0:
        return split
    groups_of = _groups_by_class(split.select(records, "train"))
    rng = np.random.default_rng((seed, 1))
    classes = range(len(class_names))
    least = {c: (min(1, len(groups_of[c])), int(len(groups_of[c]) > 1)) for c in classes}
    train = _divide(list(split.train), groups_of, 1 - fraction, rng, least)
    if train is None:  # every class stays in training; of validation, as many classes as a random division has
        train = _divide(list(split.train), groups_of, 1 - fraction, rng, {c: (n, 0) for c, (n, _) in least.items()})
    train = train or set(split.train)
    missing = [name for index, name in enumerate(class_names) if groups_of[index] and groups_of[index] <= train]
    if missing:
        warnings.warn(
            f"validation has no {', '.join(missing)}: there are too few training groups to divide", stacklevel=3
        )
    return dataclasses.replace(
        split,
        train=tuple(n for n in split.train if n in train),
        validation=tuple(n for n in split.train if n not in train),
    )


def k_folds(
    records: Sequence[Record], class_names: Sequence[str], folds: int, seed: int, validation_fraction: float = 0.0
) -> list[Split]:
    """Divide the groups into folds, each held out once; every class is on both sides of every fold.

    Args:
        records: all records of a data set.
        class_names: for messages.
        folds: how many, at least two.
        seed: same seed, same folds.
        validation_fraction: wanted share of all groups of each class, taken from the training groups of each fold.

    Warns:
        UserWarning: if no image shows a class, or validation lacks one.

    Raises:
        DataError: if a class that images show has fewer groups than there are folds.
    """
    if folds < 2:
        raise DataError(f"at least two folds are needed, got {folds}")
    groups_of = _groups_by_class(records)
    _warn_of_unused(class_names, groups_of)
    shown = [index for index in range(len(class_names)) if groups_of[index]]
    for index in shown:
        name = class_names[index]
        if len(groups_of[index]) < folds:
            raise DataError(
                f"class {name!r} is in {len(groups_of[index])} group(s); {folds} folds need at least {folds}. "
                f"Ask for fewer folds, or give groups that divide it"
            )
    names = sorted({record.group for record in records})
    classes_of: dict[str, list[int]] = defaultdict(list)
    for index, groups in groups_of.items():
        for group in groups:
            classes_of[group].append(index)
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        held_out = _deal(names, classes_of, groups_of, folds, rng)
        if all(groups_of[index] & part for index in shown for part in held_out):
            break
    else:
        raise DataError(
            f"no {folds} folds were found that have every class on both sides; ask for fewer, or leave out the rarest "
            "class"
        )
    splits = []
    for number, part in enumerate(held_out):
        split = Split(tuple(n for n in names if n not in part), tuple(n for n in names if n in part))
        fraction = validation_fraction / (1 - 1 / folds)
        splits.append(with_validation(split, records, class_names, fraction, seed + number))
    return splits


def _warn_of_unused(class_names: Sequence[str], groups_of: Mapping[int, set[str]]) -> None:
    unused = [name for index, name in enumerate(class_names) if not groups_of[index]]
    if unused:
        warnings.warn(f"no image shows {', '.join(unused)}", stacklevel=3)


def _groups_by_class(records: Sequence[Record]) -> dict[int, set[str]]:
    """Return the groups of each class index, and of the clean images."""
    groups_of: dict[int, set[str]] = defaultdict(set)
    for record in records:
        for index in record.classes or {CLEAN}:
            groups_of[index].add(record.group)
    return groups_of


def _deal(
    names: list[str],
    classes_of: Mapping[str, list[int]],
    groups_of: Mapping[int, set[str]],
    folds: int,
    rng: np.random.Generator,
) -> list[set[str]]:
    """Deal the groups to the folds, rarest class first, each to the fold that has the fewest of its class."""
    order = [names[i] for i in rng.permutation(len(names))]
    rarest = {name: min(classes_of[name], key=lambda c: (len(groups_of[c]), c)) for name in names}
    order.sort(key=lambda name: (len(groups_of[rarest[name]]), rarest[name]))
    counts = np.zeros((max(groups_of) + 2, folds), int)  # CLEAN is the last row
    total = np.zeros(folds, int)
    parts: list[set[str]] = [set() for _ in range(folds)]
    for name in order:
        fold = int(np.lexsort((rng.random(folds), total, counts[rarest[name]]))[0])
        parts[fold].add(name)
        counts[classes_of[name], fold] += 1
        total[fold] += 1
    return parts


def _divide(
    names: list[str],
    groups_of: Mapping[int, set[str]],
    train_fraction: float,
    rng: np.random.Generator,
    least: Mapping[int, tuple[int, int]],
    again: bool = False,
) -> set[str] | None:
    """Choose the training groups; None if no division was found.

    Args:
        names: of all groups.
        groups_of: the groups of each class.
        train_fraction: wanted share of each class.
        rng: draws the divisions.
        least: for each class, the least number of its groups in training and on the other side.
        again: prefer a division whose training groups can be divided once more, with every class of two groups or more
            on both sides.
    """
    keys = sorted(key for key, groups in groups_of.items() if groups)
    member = np.array([[name in groups_of[key] for name in names] for key in keys]).reshape(len(keys), len(names))
    sizes = member.sum(axis=1)
    lower = np.array([least.get(key, (0, 0))[0] for key in keys])
    upper = sizes - np.array([least.get(key, (0, 0))[1] for key in keys])
    found: list[tuple[float, np.ndarray]] = []
    for _ in range(TRIES):
        chosen = rng.permutation(len(names))[: max(1, round(train_fraction * len(names)))]
        counts = member[:, chosen].sum(axis=1)
        if (counts >= lower).all() and (counts <= upper).all():
            found.append((float(((counts / sizes - train_fraction) ** 2).sum()), chosen))
    if not found:
        train = _repaired(member, train_fraction, rng, lower, upper, TRIES)
        return None if train is None else {names[i] for i in np.flatnonzero(train)}
    found.sort(key=lambda division: division[0])
    best = found[0][1]
    for _, chosen in found[:CANDIDATES] if again else ():
        inner = member[[key != CLEAN for key in keys]][:, chosen]
        sizes = inner.sum(axis=1)
        both = (sizes > 1).astype(int)
        if _repaired(inner, 0.5, np.random.default_rng(0), both, sizes - both, 10) is not None:
            best = chosen
            break
    return {names[i] for i in best}


def _repaired(
    member: np.ndarray,
    train_fraction: float,
    rng: np.random.Generator,
    lower: np.ndarray,
    upper: np.ndarray,
    tries: int,
) -> np.ndarray | None:
    """Divide many rare classes: start at random and move groups of classes that are short on one side.

    Args:
        member: (classes, groups) bool.
        train_fraction: share of the groups to start with.
        rng: draws starts and moves.
        lower: of each class, the least number of groups in training.
        upper: and the greatest.
        tries: starts, before it is given up.

    Returns:
        (groups,) bool, or None.
    """
    for _ in range(tries):
        train = rng.random(member.shape[1]) < train_fraction
        for _ in range(20 * len(member) + 1):
            counts = (member & train).sum(axis=1)
            short = np.flatnonzero((counts < lower) | (counts > upper))
            if not len(short):
                return train
            row = short[rng.integers(len(short))]
            movable = np.flatnonzero(member[row] & (train if counts[row] > upper[row] else ~train))
            train[movable[rng.integers(len(movable))]] ^= True
    return None
