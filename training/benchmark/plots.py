"""Plots of the report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
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


def plot_differences(found: Mapping[tuple[float, str], Mapping[str, Difference]], path: Path) -> None:
    """Draw the differences in Dice with their intervals, one panel a fraction and baseline."""
    panels = {key: values for key, values in found.items() if values}
    if not panels:
        return
    figure = Figure(figsize=(4.2 * len(panels), 0.8 + 0.4 * max(map(len, panels.values()))), layout="constrained")
    for axes, ((fraction, base), values) in zip(
        figure.subplots(1, len(panels), squeeze=False, sharex=True)[0], panels.items(), strict=True
    ):
        for row, difference in enumerate(reversed(list(values.values()))):
            axes.plot([difference.low, difference.high], [row, row], color="C0")
            axes.plot(difference.mean, row, "o", color="C0")
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_yticks(range(len(values)), list(reversed(list(values))))
        axes.set(
            title=f"{fraction:.0%} of the groups", xlabel=f"Dice minus that of {base}", ylim=(-0.6, len(values) - 0.4)
        )
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
