"""Pictures of a data set's statistics."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.atomic import write_bytes

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")  # Okabe, Ito 2008
GRAY = "#8c8c8c"


def plot_statistics(statistics: dict[str, Any], folder: Path) -> list[Path]:
    """Draw class balance, polygons per image and areas.

    Args:
        statistics: what `measure` returns.
        folder: existing; takes `class_balance.webp`, `polygons_per_image.webp` and `areas.webp`.

    Returns:
        Paths of the files.
    """
    figures = {"class_balance": class_balance, "polygons_per_image": polygons_per_image, "areas": areas}
    paths = []
    for name, draw in figures.items():
        stream = io.BytesIO()
        FigureCanvasAgg(draw(statistics)).print_webp(stream, pil_kwargs={"lossless": True})
        paths.append(folder / f"{name}.webp")
        write_bytes(paths[-1], stream.getvalue())
    return paths


def class_balance(statistics: dict[str, Any]) -> Figure:
    """Bars: images and polygons of each class, and images without a defect."""
    classes = statistics["classes"]
    names, images = list(classes), statistics["images"]
    figure = Figure(figsize=(max(8.0, 1.1 * len(names) + 5), 3.8), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = [images["without_defects"], *(classes[name]["images"] for name in names)]
    _bars(left, ["no defect", *names], counts, [GRAY, *_colours(names)])
    left.set(title=f"{images['total']} images", ylabel="images")
    _bars(right, names, [classes[name]["polygons"] for name in names], _colours(names))
    right.set(title=f"{statistics['all']['polygons']} polygons", ylabel="polygons")
    return figure


def polygons_per_image(statistics: dict[str, Any]) -> Figure:
    """Histograms: polygons per image with a defect, in all and of each class."""
    classes = statistics["classes"]
    shown = {"all classes": statistics["all"], **classes}
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    for axis, (name, figures), colour in zip(axes, shown.items(), [GRAY, *_colours(list(classes))], strict=False):
        counts = {int(number): n for number, n in figures["polygons_per_image"]["images_by_count"].items()}
        greatest = max(counts, default=1)
        step = -(-greatest // 30)  # at most 30 bars
        edges = np.arange(0.5, greatest + step + 0.5, step)
        axis.hist(list(counts), bins=edges, weights=list(counts.values()), color=colour, rwidth=0.9)
        axis.set(title=f"{name}: {figures['images']} images", xlabel="polygons in an image", ylabel="images")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        _tidy(axis)
    return figure


def areas(statistics: dict[str, Any]) -> Figure:
    """Boxes and points on a logarithmic scale: area of the polygons of each class."""
    classes = {name: figures for name, figures in statistics["classes"].items() if figures["areas"]}
    figure = Figure(figsize=(max(6.0, 1.1 * len(classes) + 2), 4.2), dpi=150, layout="constrained")
    axis = figure.subplots()
    rng = np.random.default_rng(0)
    all_names = list(statistics["classes"])
    for place, (name, figures) in enumerate(classes.items()):
        values, colour = np.asarray(figures["areas"], float), _colours(all_names)[all_names.index(name)]
        axis.scatter(
            place + rng.uniform(-0.28, 0.28, len(values)),
            values,
            s=6,
            alpha=min(0.6, 60 / len(values) + 0.1),
            c=colour,
            lw=0,
        )
        axis.boxplot(
            values,
            positions=[place],
            widths=0.6,
            whis=(5, 95),
            showfliers=False,
            boxprops={"color": colour, "linewidth": 1.4},
            whiskerprops={"color": colour, "linewidth": 1.4},
            capprops={"color": colour, "linewidth": 1.4},
            medianprops={"color": "black", "linewidth": 1.6},
        )
    axis.set_yscale("log")
    axis.set_xticks(range(len(classes)), [f"{name}\n{f['polygons']} polygons" for name, f in classes.items()])
    axis.set_xlim(-0.6, max(1, len(classes)) - 0.4)
    axis.set(title="Area of a polygon: median, quartiles, 5 % to 95 %", ylabel="pixels")
    _turn_labels(axis, list(classes))
    _tidy(axis)
    return figure


def _colours(names: list[str]) -> list[str]:
    return [PALETTE[index % len(PALETTE)] for index in range(len(names))]


def _bars(axis: Axes, names: list[str], counts: list[int], colours: list[str]) -> None:
    bars = axis.bar(range(len(names)), counts, color=colours)
    axis.bar_label(bars, padding=2)
    axis.set_xticks(range(len(names)), names)
    axis.margins(y=0.12)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    _turn_labels(axis, names)
    _tidy(axis)


def _turn_labels(axis: Axes, names: list[str]) -> None:
    """Slant labels that would run into each other."""
    if sum(map(len, names)) > 45 or len(names) > 8:
        axis.tick_params(axis="x", labelrotation=35)
        for label in axis.get_xticklabels():
            label.set_horizontalalignment("right")


def _tidy(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
