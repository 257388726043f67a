"""Plots of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.cases import BACKENDS
from benchmarks.stages import STAGES
from training.atomic import write_bytes

PAINTS = "C3"  # colour of what is ours


def draw_plots(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write every plot and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "speed-calls": plot_calls(result["calls"]),
        "speed-stages": plot_stages(result["stages"]),
        "speed-loader": plot_loader(result["loader"]),
        "speed-growth": plot_growth(result["growth"]),
    }
    paths = []
    for name, figure in made.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="webp", dpi=110, pil_kwargs={"lossless": True})
        write_bytes(folder / f"{name}.webp", buffer.getvalue())
        paths.append(folder / f"{name}.webp")
    return paths


def plot_calls(calls: Mapping[str, Any]) -> Figure:
    """One panel an image: the time of every call, with its quartiles."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    panels = figure.subplots(2, 3, sharey=True, sharex=True)
    places = [panels[row, column] for column in range(3) for row in range(2)]
    for axes, (name, found) in zip(places, calls.items(), strict=False):
        rows = list(reversed(found["milliseconds"].items()))
        for row, (what, values) in enumerate(rows):
            _interval(axes, row, values, PAINTS if what.startswith("GANDefectInpaint") else "C0")
        axes.set_yticks(range(len(rows)), [what for what, _ in rows])
        axes.set(title=name, xscale="log")
        axes.grid(axis="x", alpha=0.3)
    for axes in panels[-1]:
        axes.set_xlabel("milliseconds a call")
    return figure


def plot_stages(stages: Mapping[str, Any]) -> Figure:
    """One bar an image: the medians of its stages, end to end."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    names = list(stages)[::-1]
    for row, name in enumerate(names):
        left = 0.0
        for index, stage in enumerate(STAGES):
            width = stages[name][stage]["median"]
            axes.barh(row, width, left=left, color=f"C{index}", label=stage if row == 0 else None)
            left += width
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("milliseconds a call, medians of each stage")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return figure


def plot_loader(entries: Sequence[Mapping[str, Any]]) -> Figure:
    """One panel a loop: throughput with painting as a share of that without."""
    loops = list(dict.fromkeys(entry["loop"] for entry in entries))
    figure = Figure(figsize=(11, 1.2 + 0.24 * len(entries) / len(loops)), layout="constrained")
    panels = figure.subplots(1, len(loops), sharex=True, sharey=True, squeeze=False)[0]
    for axes, loop in zip(panels, loops, strict=True):
        rows = [entry for entry in entries if entry["loop"] == loop][::-1]
        pipelines = list(dict.fromkeys(entry["name"] for entry in entries))
        for row, entry in enumerate(rows):
            for number, backend in enumerate(BACKENDS):
                height = row + 0.16 * (1 - 2 * number)
                colour = f"C{pipelines.index(entry['name'])}"
                _interval(axes, height, entry["with_to_without"][backend], colour, "os"[number])
        axes.axvline(1.0, color="0.6", linewidth=0.8)
        axes.axvline(0.8, color="0.6", linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [f"{entry['name']}, {_workers(entry)}" for entry in rows])
        axes.set_title(loop)
    figure.supxlabel(
        f"images a second with p=0.3, as a share of those without; circles {BACKENDS[0]}, squares {BACKENDS[1]}",
        fontsize="medium",
    )
    return figure


def plot_growth(growth: Mapping[str, Any]) -> Figure:
    """Cost over the side of the image, beside a copy, and over the number of defects."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sides = [int(side) for side in growth["sides"]]
    for key, label, colour in (
        ("transform_ms", "one defect", PAINTS),
        ("copy_ms", "np.array of image and mask", "C0"),
        ("beyond_copy_ms", "one defect, beyond the copy", "C1"),
    ):
        values = [growth["sides"][str(side)][key] for side in sides]
        left.plot(sides, [v["median"] for v in values], marker="o", color=colour, label=label)
        left.fill_between(sides, [v["q1"] for v in values], [v["q3"] for v in values], color=colour, alpha=0.15)
    left.set(xscale="log", yscale="log", xlabel="side of a square gray image", ylabel="milliseconds")
    left.xaxis.set_major_locator(FixedLocator(sides))
    left.xaxis.set_minor_locator(NullLocator())
    left.set_xticklabels([str(side) for side in sides])
    left.legend()
    numbers = [int(number) for number in growth["defects"]]
    values = list(growth["defects"].values())
    right.plot(numbers, [v["median"] for v in values], marker="o", color=PAINTS)
    right.fill_between(numbers, [v["q1"] for v in values], [v["q3"] for v in values], color=PAINTS, alpha=0.15)
    right.xaxis.set_major_locator(FixedLocator(numbers))
    right.set(xlabel="defects in an image of 1024 x 1024", ylabel="milliseconds", xlim=(0, None), ylim=(0, None))
    return figure


def _workers(entry: Mapping[str, Any]) -> str:
    return "no worker" if not entry["workers"] else f"{entry['workers']} by {entry['context']}"


def _interval(axes: Axes, row: float, values: Mapping[str, float], colour: str, marker: str = "o") -> None:
    axes.plot([values["q1"], values["q3"]], [row, row], color=colour, linewidth=2)
    axes.plot(values["median"], row, marker, color=colour, markersize=4)
