"""Read the split that `python -m training.datasets split` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from albu_gan.data import DataError, Record
from training.datasets.split import SIDES, Split


def read_split(path: Path, records: Sequence[Record]) -> Split:
    """Read the groups of each side.

    Args:
        path: of the JSON.
        records: of the data set; each group must be on one side.

    Raises:
        DataError: naming the file, if it is no split, or not one of these records.
    """
    try:
        sides = json.loads(path.read_text(encoding="utf-8"))["sides"]
        groups = {side: tuple(str(name) for name in sides[side]["groups"]) for side in SIDES if side in sides}
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror}); see python -m training.datasets split") from err
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"{path}: not a split; make it with python -m training.datasets split") from err
    side_of: dict[str, str] = {}
    for side, names in groups.items():
        for name in names:
            if side_of.setdefault(name, side) != side:
                raise DataError(f"{path}: group {name!r} is on two sides; a split must not divide a group")
    missing = sorted({record.group for record in records} - side_of.keys())
    if missing:
        raise DataError(
            f"{path}: {len(missing)} groups of the data are on no side, the first {missing[0]!r}; split this very data "
            "and its groups"
        )
    present = {record.group for record in records}
    kept = {side: tuple(name for name in names if name in present) for side, names in groups.items()}
    return Split(kept.get("train", ()), kept.get("held_out", ()), kept.get("validation", ()))
