"""Plots of the report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from training.atomic import write_bytes
from training.benchmark.statistics import Difference


def plot_curves(fractions: Mapping[float, Mapping[str, Sequence[Mapping[str, Any]]]], path: Path) -> None:
    """Draw validation Dice and loss of the `none` arm (else the first there is) over the steps, each run thin."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, (fraction, arms) in enumerate(fractions.items()):
        arm = "none" if "none" in arms else next(iter(arms))
        for axes, key in ((left, "mean_dice"), (right, "loss")):
            curves = [([p["step"] for p in run["curve"]], [p[key] for p in run["curve"]]) for run in arms[arm]]
            for steps, values in curves:
                known = np.array([np.nan if value is None else value for value in values], float)
                axes.plot(steps, known, color=f"C{index}", alpha=0.3, linewidth=0.8)
            mean = np.mean([[np.nan if v is None else v for v in values] for _, values in curves], axis=0)
            axes.plot(curves[0][0], mean, color=f"C{index}", marker="o", label=f"{arm}, {fraction:.0%}")
    left.set(xlabel="optimiser step", ylabel="mean Dice, validation groups", ylim=(0, None))
    right.set(xlabel="optimiser step", ylabel="training loss", ylim=(0, None))
    left.legend()
    _save(figure, path)


def plot_differences(found: Mapping[tuple[float, str], Mapping[str, Mapping[str, Difference]]], path: Path) -> None:
    """Draw differences of several figures with their intervals, one panel a fraction and baseline.

    Args:
        found: by fraction and baseline, then by the name of the figure, then by arm.
        path: of the WebP.
    """
    panels = {key: figures for key, figures in found.items() if any(figures.values())}
    if not panels:
        return
    arms = {key: list(dict.fromkeys(arm for values in v.values() for arm in values)) for key, v in panels.items()}
    figure = Figure(figsize=(4.2 * len(panels), 1.2 + 0.4 * max(map(len, arms.values()))), layout="constrained")
    for axes, (key, figures) in zip(
        figure.subplots(1, len(panels), squeeze=False, sharex=True)[0], panels.items(), strict=True
    ):
        names = arms[key][::-1]
        for index, values in enumerate(figures.values()):
            for row, difference in ((names.index(arm), difference) for arm, difference in values.items()):
                place, colour = row + 0.12 - 0.24 * index, f"C{index}"
                axes.plot([difference.low, difference.high], [place, place], color=colour)
                axes.plot(difference.mean, place, "o", color=colour)
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_yticks(range(len(names)), names)
        fraction, base = key
        axes.set(title=f"{fraction:.0%} of the groups", xlabel=f"less that of {base}", ylim=(-0.6, len(names) - 0.4))
    titles = list(next(iter(panels.values())))
    lines = [Line2D([], [], color=f"C{index}", marker="o") for index in range(len(titles))]
    figure.legend(lines, titles, loc="outside lower center", ncols=len(titles), frameon=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=130, pil_kwargs={"lossless": True})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
