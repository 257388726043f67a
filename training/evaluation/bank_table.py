"""The table of what banks of several data sets reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.table import MISSING, markdown

VARIATIONS = (0.0, 0.5, 1.0)
JUDGED = "painted_0.5"


def bank_table(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table, one row a data set, and their means.

    Args:
        sets: contents of `metrics.json` by name of the data.
    """
    titles = [
        "data",
        *(f"KID, variation {variation:g}" for variation in VARIATIONS),
        "KID, copy-paste",
        "KID, real (floor)",
        "AUC, 0.5",
        "AUC, copy-paste",
        "sharpest AUC, 0.5",
        "sharpest AUC, copy-paste",
        "newness, 0",
        "newness, 0.5",
        "newness of two real looks",
        "newness in pixels, 0.5",
        "of two real looks, in pixels",
        "memorisation, 0.5",
        "likeness to its donor, 0.5",
    ]
    rows = {name: row_of(metrics) for name, metrics in sets.items()}
    cells = [titles, *([name, *(_written(value) for value in row)] for name, row in rows.items())]
    if len(rows) > 1:
        columns = zip(*rows.values(), strict=True)
        cells.append(["mean", *(_written(_mean(column)) for column in columns)])
    return markdown(cells)


def row_of(metrics: Mapping[str, Any]) -> list[float | None]:
    """Return the figures of one data set in the order of the table; None for what was not measured."""
    means, told = metrics["means"], metrics["same_background"]
    kids = [means["kid"].get(f"painted_{variation:g}") for variation in VARIATIONS]
    areas = [(told.get(name) or {}).get(key) for key in ("mean", "sharpest") for name in ("painted", "copy_paste")]
    newness = [means["newness"].get(name) for name in ("painted_0", JUDGED, "worn")]
    newness += [means["newness_pixels"].get(name) for name in (JUDGED, "worn")]
    others = [means[key].get(JUDGED) for key in ("memorisation", "repeats")]
    return [
        *kids,
        means["kid"]["copy_paste"],
        means["kid"]["train"],
        *areas,
        *newness,
        *others,
    ]


def class_table(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table, one row a class of each data set: the figures at 0.5 and of copy-paste, and counts."""
    titles = ["data", "class", "KID, 0.5", "copy-paste", "floor", "newness, 0.5", "in pixels", "AUC, 0.5", "copy-paste"]
    titles += ["draws", "unseen defects, in groups", "donors", "pairs of the set"]
    cells = [titles]
    for data, metrics in sets.items():
        told = metrics["same_background"]
        for name, values in metrics["classes"].items():
            areas = [told[key]["classes"].get(name, {}).get("mean") for key in ("painted", "copy_paste")]
            figures = [values["kid"].get(key) for key in (JUDGED, "copy_paste", "train")]
            figures += [values[key].get(JUDGED) for key in ("newness", "newness_pixels")]
            counts = [
                str(values["draws"]),
                f"{values['unseen_defects']}, in {values['unseen_groups']}",
                str(values["training_defects"]),
                str(told["pairs"]),
            ]
            cells.append([data, name, *(_written(figure) for figure in (*figures, *areas)), *counts])
    return markdown(cells)


def nearer(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in words on how many sets the default is nearer to real defects than copy-paste."""
    rows = [row_of(metrics) for metrics in sets.values()]
    kids = [(row[1], row[3]) for row in rows if row[1] is not None and row[3] is not None]
    areas = [(row[5], row[6]) for row in rows if row[5] is not None and row[6] is not None]
    won = [sum(painted < pasted for painted, pasted in pairs) for pairs in (kids, areas)]
    return (
        f"At variation 0.5 painted defects are nearer than copy-paste on {won[0]} of {len(kids)} sets by KID, and "
        f"harder to tell on {won[1]} of {len(areas)} by the mean of the classifiers."
    )


def _mean(column: Sequence[float | None]) -> float | None:
    known = [value for value in column if value is not None]
    return sum(known) / len(known) if len(known) == len(column) else None


def _written(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"
