"""Pictures of an evaluation, and one page that holds them all with the table."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from albu_gan.pictures import grid, outline, to_rgb, write_png
from training.atomic import write_text
from training.evaluation.features import DefectFeatures
from training.evaluation.full import segment
from training.evaluation.measure import WindowSet
from training.evaluation.memorisation import TrainingBank
from training.evaluation.table import figure_table, inception_table

ROWS = 6
CELL = 128
RIGHT_RGB, WRONG_RGB = (60, 220, 90), (230, 60, 230)  # contours of what the segmenter sees: the class, another one
PICTURES = "pictures"
PAGE = "report.html"
STYLE = """body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em }
table { border-collapse: collapse; font-size: 13px }
td, th { border: 1px solid #bbb; padding: 3px 8px; text-align: left }
img { max-width: 100% }"""


def side_by_side(sets: Mapping[str, WindowSet], features: DefectFeatures, class_index: int, seed: int) -> np.ndarray:
    """Draw windows at random: real, painted and pasted ones, each beside what the segmenter, if there is one, sees.

    Returns:
        (H, W, 3) uint8.
    """
    rng = np.random.default_rng(seed)
    count = len(sets["painted"].images)
    chosen = sorted(int(i) for i in rng.choice(count, min(ROWS, count), replace=False))
    real = [int(i) for i in rng.choice(len(sets["real"].images), len(chosen))]
    shown = {
        name: [(sets[name].images[i], sets[name].labels[i]) for i in (real if name == "real" else chosen)]
        for name in ("real", "clean", "painted", "copy_paste")
    }
    seen = {
        name: segment(features, [image for image, _ in pairs])
        for name, pairs in shown.items()
        if name != "clean" and features.can_segment
    }
    rows = []
    for row in range(len(chosen)):
        cells = []
        for name in ("real", "clean", "painted", "copy_paste"):
            image, labels = shown[name][row]
            cells.append(outline(image, labels) if name in ("real", "clean") else image)
            if name in seen:
                cells.append(predicted(image, seen[name][row], class_index))
        rows.append(cells)
    titles = ["real, mask", "segmenter", "clean, mask", "painted", "segmenter", "copy-paste", "segmenter"]
    return grid(rows, (CELL, CELL), [title for title in titles if seen or title != "segmenter"])


def predicted(image: np.ndarray, prediction: np.ndarray, class_index: int) -> np.ndarray:
    """Draw the contours of an index mask: one colour for a class, another for all others."""
    drawn = to_rgb(image)
    for mask, colour in (
        (prediction == class_index + 1, RIGHT_RGB),
        ((prediction > 0) & (prediction != class_index + 1), WRONG_RGB),
    ):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, colour, 1)
    return drawn


def nearest_pairs(sets: Mapping[str, WindowSet], bank: TrainingBank, class_index: int) -> tuple[np.ndarray, str]:
    """Show the painted windows that are most like a training defect, beside such unseen and pasted ones.

    Returns:
        (H, W, 3) uint8, and a sentence with the likenesses.
    """
    columns: list[list[np.ndarray]] = []
    said = []
    for name, title in (("painted", "painted"), ("real", "unseen"), ("copy_paste", "copy-paste")):
        windows = sets[name]
        likeness, indices = bank.nearest(windows.images, [labels == class_index + 1 for labels in windows.labels])
        order, shown = [], set()
        for i in np.argsort(-likeness):  # a training defect once, else one of them could fill the picture
            if int(indices[i]) not in shown and len(order) < ROWS:
                shown.add(int(indices[i]))
                order.append(int(i))
        columns.append([outline(windows.images[i], windows.labels[i]) for i in order])
        columns.append([outline(bank.windows[indices[i]].image, bank.windows[indices[i]].mask) for i in order])
        said.append(f"{title} {', '.join(f'{likeness[i]:.2f}' for i in order)}")
    depth = min(len(column) for column in columns)
    rows = [[column[row] for column in columns] for row in range(depth)]
    titles = ["painted", "nearest", "unseen", "nearest", "copy-paste", "nearest"]
    return grid(rows, (CELL, CELL), titles), "Likeness, top to bottom: " + "; ".join(said) + "."


def write_pictures(out: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write each picture as PNG into `out/pictures`."""
    for name, picture in pictures.items():
        write_png(out / PICTURES / f"{name}.png", picture)


def write_page(out: Path, name: str, metrics: Mapping[str, Any], captions: Mapping[str, str]) -> Path:
    """Write one HTML page that holds the table and, inside of it, every picture.

    Args:
        out: folder with `pictures/`.
        name: of the weights.
        metrics: contents of `metrics.json`.
        captions: of each picture, by its name, in order.

    Returns:
        The path of the page.
    """
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>{html.escape(name)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{html.escape(name)}, {html.escape(str(metrics['side']).replace('_', '-'))} groups</h1>",
        _table(figure_table(metrics)),
        f"<p>Features: {html.escape(str(metrics['features']))}. What each figure means and how to read it: "
        "docs/evaluation.md. The pictures show images of the data set: mind its licence.</p>",
    ]
    inception = inception_table(metrics)
    if inception:
        parts += [_table(inception), f"<p>Features: {html.escape(str(metrics['inception_features']))}.</p>"]
    for picture, caption in captions.items():
        data = base64.b64encode((out / PICTURES / f"{picture}.png").read_bytes()).decode()
        parts.append(f"<h2>{html.escape(picture)}</h2><p>{html.escape(caption)}</p>")
        parts.append(f"<img alt='{html.escape(picture, quote=True)}' src='data:image/png;base64,{data}'>")
    write_text(out / PAGE, "\n".join([*parts, "</body></html>\n"]))
    return out / PAGE


def _table(cells: Sequence[Sequence[str]]) -> str:
    tags = ["th", *["td"] * (len(cells) - 1)]
    rows = [
        "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for tag, row in zip(tags, cells, strict=True)
    ]
    return "<table>" + "".join(rows) + "</table>"
