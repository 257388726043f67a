"""Tables of an evaluation's figures: the painter beside copy-paste and beside real defects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MISSING = "–"
BESIDE = "painted / copy-paste / real"


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        title: as printed.
        painted: key of the painter's figure.
        copy_paste: of copy-paste's; None if there is none.
        real: of the floor of real defects; None if there is none.
        form: how it is written.
    """

    title: str
    painted: str
    copy_paste: str | None
    real: str | None
    form: str

    def cell(self, values: Mapping[str, Any]) -> str:
        """Return "painted / copy-paste / real" of one class, as far as there is such a figure."""
        written = [_written(values.get(key), self.form) for key in (self.painted, self.copy_paste, self.real) if key]
        return MISSING if set(written) == {MISSING} else " / ".join(written)


def _row(title: str, stem: str, form: str) -> Row:
    return Row(title, f"{stem}_painted", f"{stem}_copy_paste", f"{stem}_real", form)


ROWS = (
    Row("contrast reached (no real)", "contrast_reached", "contrast_reached_copy_paste", None, ".0%"),
    Row("diversity across z (painted only)", "diversity", None, None, ".2f"),
    _row("KID", "kid", ".2f"),
    _row("FID", "fid", ".0f"),
    _row("brightness against the surroundings, levels off", "brightness", ".1f"),
    _row("precision", "precision", ".2f"),
    _row("recall", "recall", ".2f"),
    _row("density", "density", ".2f"),
    Row("coverage", "coverage", "coverage_copy_paste", "coverage_real", ".2f"),
    _row("found by the segmenter", "found", ".0%"),
    _row("found, with the right class", "found_class", ".0%"),
    _row("IoU of predicted and given mask", "mask_iou", ".2f"),
    Row("found where nothing is painted", "found_clean", None, None, ".0%"),
    _row("AUC of the classifier", "classifier_auc", ".2f"),
    _row("likeness of the nearest training defect", "nearest", ".2f"),
)


def figure_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of a table, titles first: a row a figure, a column a class, their mean, all classes together.

    Args:
        metrics: contents of `metrics.json`; figures that it lacks have no row.
    """
    classes: Mapping[str, Any] = metrics["classes"]
    several = len(classes) > 1
    columns = [*classes.values()]
    titles = [BESIDE, *classes]
    if several:
        columns += [metrics["means"], metrics.get("together", {})]
        titles += ["mean", "together"]
    rows = [[row.title, *(row.cell(values) for values in columns)] for row in ROWS if _has(row, metrics)]
    rows.append(
        ["windows", *(str(v["draws"]) for v in classes.values())]
        + ([MISSING, str(metrics.get("together", {}).get("draws", MISSING))] if several else [])
    )
    rows.append(
        ["unseen defects, in groups"]
        + [f"{v['unseen_defects']}, in {v['unseen_groups']}" for v in classes.values()]
        + ([MISSING, MISSING] if several else [])
    )
    return [titles, *rows]


def mean_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of a compact table, titles first: means over the classes, a column a set."""
    values = metrics["means"]
    kept = [row for row in ROWS if row.painted in values]
    cells = [
        [row.title.split(" (")[0]]
        + [_written(values.get(key), row.form) if key else "" for key in (row.painted, row.copy_paste, row.real)]
        for row in kept
    ]
    return [["mean over the classes", "painted", "copy-paste", "real"], *cells]


def inception_table(metrics: Mapping[str, Any]) -> list[list[str]] | None:
    """Return the cells of FID and KID by Inception, titles first; None if they were not measured."""
    blocks = {name: values.get("inception") for name, values in metrics["classes"].items()}
    blocks["together"] = metrics.get("together", {}).get("inception")
    found = {name: block for name, block in blocks.items() if block}
    if not found:
        return None
    rows = [_row("FID, Inception", "fid", ".1f"), _row("KID, Inception", "kid", ".4f")]
    return [[BESIDE, *found], *([row.title, *(row.cell(block) for block in found.values())] for row in rows)]


def markdown(cells: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|---" * len(cells[0]) + "|", *lines[1:]])


def _has(row: Row, metrics: Mapping[str, Any]) -> bool:
    return any(values.get(row.painted) is not None for values in metrics["classes"].values())


def _written(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) else MISSING
