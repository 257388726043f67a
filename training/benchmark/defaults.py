"""What the defaults of `GANDefectInpaint` rest on: the `gan` arm with one setting changed, by the validation groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmark.runs import ResultError, read_runs

ARM, DEFAULT = "gan", "default"
#: What may be changed.
PAINTED = ("p", "defects_range", "class_sampling", "scale_range", "rotate_range", "max_shift", "min_contrast")


def settings_table(folder: Path) -> str:
    """Compare settings of the `gan` arm with the defaults, on the validation groups alone.

    Args:
        folder: with a folder of runs for each setting that was tried, and the folder "default", whose runs they are
            compared with, fold by fold and seed by seed.

    Returns:
        A table, one row a setting, and a sentence on how far seeds alone lie apart.

    Raises:
        ResultError: if there is nothing to compare, or a folder differs from the defaults in more than one setting of
            the painting, or in another.
    """
    base = _by_place(read_runs(folder / DEFAULT).values())
    lines = [
        "| changed | folds | seeds | validation Dice | as it is | difference | validation AP | as it is |",
        "|---|---|---|---|---|---|---|---|",
    ]
    used: dict[tuple[float, int, int], Mapping[str, Any]] = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != DEFAULT):
        runs = _by_place(read_runs(part).values())
        places = sorted(runs.keys() & base.keys())
        if not places:
            raise ResultError(f"{part}: no {ARM} run with the fraction, fold and seed of one in {folder / DEFAULT}")
        name = _changed(part, [runs[place] for place in places], [base[place] for place in places])
        used.update({place: base[place] for place in places})
        dice, plain = ([_last(found[place], "mean_dice") for place in places] for found in (runs, base))
        ap, plain_ap = ([_last(found[place], "average_precision") for place in places] for found in (runs, base))
        lines.append(
            f"| {name} | {_numbers(place[1] for place in places)} | {_numbers(place[2] for place in places)} | "
            f"{np.mean(dice):.3f} | {np.mean(plain):.3f} | {np.mean(dice) - np.mean(plain):+.3f} | "
            f"{np.mean(ap):.3f} | {np.mean(plain_ap):.3f} |"
        )
    if not used:
        raise ResultError(f"{folder}: no folder of runs but {DEFAULT!r} in it; make one a setting")
    return "\n".join(lines) + _noise(used, base)


def _noise(used: Mapping[tuple[float, int, int], Any], base: Mapping[tuple[float, int, int], Any]) -> str:
    """Say how far the seeds of one fold lie apart where nothing was changed."""
    apart = []
    for fraction, fold in sorted({place[:2] for place in used}):
        dice = [_last(run, "mean_dice") for place, run in base.items() if place[:2] == (fraction, fold)]
        if len(dice) > 1:
            apart.append(max(dice) - min(dice))
    return f"\n\nSeeds alone move the validation Dice of a fold by up to {max(apart):.3f}." if apart else ""


def _by_place(runs: Any) -> dict[tuple[float, int, int], Mapping[str, Any]]:
    return {(run["fraction"], run["fold"], run["seed"]): run for run in runs if run["arm"] == ARM}


def _changed(part: Path, runs: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> str:
    """Name the one setting that differs, and its values."""
    for run, plain in zip(runs, base, strict=True):
        different = sorted(key for key in plain["config"] if run["config"].get(key) != plain["config"][key])
        if len(different) != 1 or different[0] not in PAINTED or run["groups"] != plain["groups"]:
            raise ResultError(
                f"{part}: must differ from {DEFAULT!r} in one of {', '.join(PAINTED)} and in nothing else, differs in "
                f"{', '.join(different) or 'nothing'}"
            )
    (key,) = {key for key in base[0]["config"] if runs[0]["config"].get(key) != base[0]["config"][key]}
    if len({str(run["config"][key]) for run in runs}) > 1:
        raise ResultError(f"{part}: holds runs with several values of {key}; make a folder for each")
    return f"`{key}` {_value(runs[0]['config'][key])} for {_value(base[0]['config'][key])}"


def _last(run: Mapping[str, Any], key: str) -> float:
    value = run["curve"][-1][key]
    return float("nan") if value is None else float(value)


def _value(value: Any) -> str:
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)


def _numbers(values: Any) -> str:
    return ", ".join(map(str, sorted(set(values))))
