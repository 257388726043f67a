"""Tables and plots from the JSON of the runs, between the marks of a Markdown page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import write_text
from training.benchmark.defaults import settings_table
from training.benchmark.operating import BUDGET, dice_at_budget, factor_of_budget, has_operating_points
from training.benchmark.plots import plot_curves, plot_differences
from training.benchmark.runs import ResultError, read_runs
from training.benchmark.scoring import by_group, false_alarms, iou
from training.benchmark.settings import ARMS, BASELINES
from training.benchmark.statistics import Difference, compare, compare_average_precision, group_values, holm

PARTS = ("grid", "figures", "differences", "classes", "painters", "speed")
RESAMPLES = 4000  # of the bootstrap
AP_RESAMPLES = 500  # at most

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # by arm


def mean_dice(run: Mapping[str, Any]) -> dict[str, float]:
    """Return the Dice of each test group: the mean over the classes that its images show."""
    return _over_classes(run, [by_group(run["images"], index) for index in range(len(run["class_names"]))])


def mean_iou(run: Mapping[str, Any]) -> dict[str, float]:
    """Return the IoU of each test group, likewise."""
    return _over_classes(run, [by_group(run["images"], index, iou) for index in range(len(run["class_names"]))])


def _over_classes(run: Mapping[str, Any], of_class: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for values in of_class:
        for group, value in values.items():
            found[group].append(value)
    return {group: float(np.mean(values)) for group, values in found.items()}


def mean_dice_at_budget(run: Mapping[str, Any]) -> dict[str, float]:
    """Return the Dice of each test group at the budget of false alarms; empty for a run that does not know."""
    if not has_operating_points(run):
        return {}
    return _over_classes(run, [dice_at_budget(run, index) for index in range(len(run["class_names"]))])


PLOTTED = ("dice", "budget")
METRICS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Mapping[str, float]], str]] = {
    "dice": ("Dice", mean_dice, "+.3f"),
    "budget": (f"Dice at {BUDGET:.1%} false alarms", mean_dice_at_budget, "+.3f"),
    "iou": ("IoU", mean_iou, "+.3f"),
    "alarms": ("false alarms, ppm", lambda run: false_alarms(run["images"]), "+.0f"),
}


def by_fraction(runs: Mapping[str, Mapping[str, Any]]) -> dict[float, dict[str, list[Mapping[str, Any]]]]:
    """Sort runs by fraction and arm, in the order of `ARMS`.

    Raises:
        ResultError: if there are none, or they were made with different settings, classes or folds.
    """
    if not runs:
        raise ResultError("no runs; make some with python -m training.benchmark first")
    first_name, first = next(iter(runs.items()))
    for name, run in runs.items():
        for key in ("config", "class_names", "folds"):
            if run[key] != first[key]:
                raise ResultError(f"{name} and {first_name} differ in {key}; report one grid at a time")
    sorted_runs: dict[float, dict[str, list[Mapping[str, Any]]]] = {}
    for fraction in sorted({run["fraction"] for run in runs.values()}):
        of_arm = {arm: [r for r in runs.values() if (r["arm"], r["fraction"]) == (arm, fraction)] for arm in ARMS}
        sorted_runs[fraction] = {arm: found for arm, found in of_arm.items() if found}
    return sorted_runs


def grid_text(fractions: Mapping[float, Runs]) -> str:
    """Say which grid the report is of."""
    runs = [run for arms in fractions.values() for found in arms.values() for run in found]
    config, folds = runs[0]["config"], sorted({run["fold"] for run in runs})
    seeds = sorted({run["seed"] for run in runs})
    rates = ", ".join(f"{fraction:.0%}" for fraction in fractions)
    minutes = np.array([run["seconds"]["all"] for run in runs]) / 60
    commits = sorted({run["commit"][:7] for run in runs})
    made = f"{'; '.join(sorted({run['hardware'] for run in runs}))}; commit {', '.join(commits)}"
    counts = {(len(fractions[f].get(arm, ())), f, arm) for f in fractions for arm in fractions[f]}
    full = len(folds) * len(seeds)
    missing = sorted(f"{arm} at {f:.0%}: {n} of {full}" for n, f, arm in counts if n < full)
    return (
        f"{len(runs)} runs: fractions {rates} of the training groups; folds {', '.join(map(str, folds))} of "
        f"{runs[0]['folds']}; seeds {', '.join(map(str, seeds))}. Every run: `smp.Unet` with the encoder "
        f"`{config['encoder']}` ({runs[0]['parameters'] / 1e6:.2f} M parameters), {config['steps']} steps of "
        f"{config['batch_size']} crops of {config['crop_size']} pixels at scale {config['scale']:g}, p = "
        f"{config['p']:g}; {minutes.min():.1f} to {minutes.max():.1f} minutes ({made}). "
        + (f"Not finished: {'; '.join(missing)}." if missing else "Every arm has every fold and seed.")
        + seed_text(fractions)
    )


def seed_text(fractions: Mapping[float, Runs]) -> str:
    """Say what seeds alone do to a run's mean Dice, and so to differences of arms; nothing if no run has two."""
    samples: list[list[float]] = []
    for arms in fractions.values():
        for runs in arms.values():
            of_fold = defaultdict(list)
            for run in runs:
                of_fold[run["fold"]].append(run["summary"]["mean_dice"])
            samples += [values for values in of_fold.values() if len(values) > 1]
    if not samples:
        return ""
    # Pooled over folds and arms: each sample has a mean of its own.
    squares = sum(float(np.sum((np.array(values) - np.mean(values)) ** 2)) for values in samples)
    deviation = (squares / sum(len(values) - 1 for values in samples)) ** 0.5
    most = max(len(runs) for arms in fractions.values() for runs in arms.values())
    return (
        f" Seeds alone: the mean Dice of a run has a standard deviation of {deviation:.3f} ({len(samples)} arms and "
        f"folds with more than one seed), so that of two arms with {most} runs each the difference is known to "
        f"±{1.96 * deviation * (2 / most) ** 0.5:.3f} on these very groups."
    )


def figures_table(fractions: Mapping[float, Runs]) -> str:
    """One row an arm and fraction: Dice of each class, means, detection and false alarms; over seeds, then folds."""
    names = next(iter(next(iter(fractions.values())).values()))[0]["class_names"]
    titles = ["fraction", "arm", "runs", *(f"Dice {name}" for name in names)]
    titles += ["mean Dice", "mean IoU", "detection AP", "false alarms, ppm of clean pixels"]
    titles += [f"at {BUDGET:.1%} false alarms: odds of the background times", "mean Dice"]
    lines = _head(titles)
    for fraction, arms in fractions.items():
        for arm, runs in arms.items():
            cells = [_format(_over_folds(runs, lambda run, n=name: run["dice"].get(n)), ".3f") for name in names]
            for key, form in (
                ("mean_dice", ".3f"),
                ("mean_iou", ".3f"),
                ("average_precision", ".3f"),
                ("false_alarm_ppm", ".0f"),
            ):
                cells.append(_format(_over_folds(runs, lambda run, k=key: run[k]), form))
            cells += _budget_cells([run for run in runs if has_operating_points(run)], len(names))
            lines.append(_row([f"{fraction:.0%}", f"`{arm}`", str(len(runs)), *cells]))
    return "\n".join(lines)


def _budget_cells(runs: Sequence[Mapping[str, Any]], num_classes: int) -> list[str]:
    """Factor and mean Dice at the budget of false alarms, over the runs that have them."""
    figures = []
    for run in runs:
        of_class = [list(dice_at_budget(run, index).values()) for index in range(num_classes)]
        dice = _mean([float(np.mean(values)) for values in of_class if values])
        figures.append({"fold": run["fold"], "summary": {"dice": dice}})
    factors = [factor_of_budget(run) for run in runs]
    return [
        f"{min(factors):.2g} to {max(factors):.2g}" if factors else "-",
        _format(_over_folds(figures, lambda run: run["dice"]), ".3f"),
    ]


def compared(arms: Runs, base: str) -> list[str]:
    """Return the arms that are compared with a baseline; two baselines are compared once, with the first."""
    if base not in arms:
        return []
    earlier = BASELINES[: BASELINES.index(base)]
    return [arm for arm in arms if arm != base and arm not in earlier]


def differences(arms: Runs, base: str, metric: str, resamples: int) -> dict[str, Difference]:
    """Compare every arm with one of the baselines by one metric, p values corrected over the arms."""
    values_of = METRICS[metric][1]
    values = {arm: group_values(runs, values_of) for arm, runs in arms.items()}
    made = {arm: compare(values[arm], values[base], resamples) for arm in compared(arms, base)}
    found = {arm: difference for arm, difference in made.items() if difference is not None}
    corrected = holm([d.p if d.p is not None else 1.0 for d in found.values()])
    return {arm: replace(d, p_holm=p) for (arm, d), p in zip(found.items(), corrected, strict=True)}


def differences_table(fractions: Mapping[float, Runs], resamples: int) -> str:
    """Differences to the baselines: mean, 95 % interval, corrected p."""
    titles = [METRICS[metric][0] for metric in METRICS]
    lines = _head(["fraction", "arm", "against", "groups", *titles, "detection AP"])
    for fraction, arms in fractions.items():
        for base in BASELINES:
            if not compared(arms, base):
                continue
            found = {metric: differences(arms, base, metric, resamples) for metric in METRICS}
            for arm in found["dice"]:
                ap = compare_average_precision(arms[arm], arms[base], min(resamples, AP_RESAMPLES))
                of_arm = {metric: values[arm] for metric, values in found.items() if arm in values}
                cells = [_shown(of_arm.get(metric), METRICS[metric][2]) for metric in METRICS]
                if "budget" in of_arm and of_arm["budget"].groups != of_arm["dice"].groups:  # older runs know no budget
                    cells[list(METRICS).index("budget")] += f", {of_arm['budget'].groups} groups"
                row = [f"{fraction:.0%}", f"`{arm}`", f"`{base}`", str(found["dice"][arm].groups)]
                lines.append(_row([*row, *cells, _shown(ap, "+.3f")]))
    return "\n".join(lines)


def classes_table(fractions: Mapping[float, Runs], resamples: int) -> str:
    """Differences in Dice, class by class."""
    names = next(iter(next(iter(fractions.values())).values()))[0]["class_names"]
    lines = _head(["fraction", "arm", "against", *names])
    for fraction, arms in fractions.items():
        for base in BASELINES:
            for arm in compared(arms, base):
                cells = []
                for index in range(len(names)):
                    values = [group_values(arms[a], lambda r, i=index: by_group(r["images"], i)) for a in (arm, base)]
                    cells.append(_shown(compare(values[0], values[1], resamples), "+.3f"))
                lines.append(_row([f"{fraction:.0%}", f"`{arm}`", f"`{base}`", *cells]))
    return "\n".join(lines)


def painters_table(fractions: Mapping[float, Runs]) -> str:
    """What each fold's painter was trained on: groups, shapes of each class, length."""
    names = next(iter(next(iter(fractions.values())).values()))[0]["class_names"]
    lines = _head(["fraction", "fold", "groups", *(f"shapes of {name}" for name in names), "windows seen", "minutes"])
    for fraction, arms in fractions.items():
        runs = [run for found in arms.values() for run in found if "painter" in run]
        for fold, painter in sorted({run["fold"]: run["painter"] for run in runs}.items()):
            shapes = [str(painter["shapes"][name]) for name in names]
            length = [str(painter.get("images_seen", "-")), _format(painter.get("minutes"), ".0f")]  # foreign weights
            lines.append(_row([f"{fraction:.0%}", str(fold), str(len(painter["train_groups"])), *shapes, *length]))
    return "\n".join(lines) if len(lines) > 2 else "No run of this grid has a painter."


def speed_table(fractions: Mapping[float, Runs]) -> str:
    """Optimiser steps per second, and their ratio to `none` among runs with as many workers."""
    lines = _head(["arm", "workers", "runs", "steps per second", "of `none`"])
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    for arms in fractions.values():
        for arm, runs in arms.items():
            for run in runs:
                rates[arm, run["workers"]].append(run["steps_per_second"])
    for arm in ARMS:
        for workers in sorted({w for a, w in rates if a == arm}):
            rate, none = float(np.median(rates[arm, workers])), rates.get(("none", workers))
            ratio = f"{rate / float(np.median(none)):.2f}" if none else "-"
            lines.append(_row([f"`{arm}`", str(workers), str(len(rates[arm, workers])), f"{rate:.2f}", ratio]))
    return "\n".join(lines)


def benefit_table(out: Path, resamples: int = RESAMPLES) -> str:
    """The few figures that the README shows: mean Dice, its differences, false alarms, and Dice at their budget.

    Raises:
        ResultError: if the folder holds no grid.
    """
    titles = [f"Dice less that of `{base}`" for base in BASELINES]
    titles += ["false alarms, ppm", f"{METRICS['budget'][0]}, less that of `{BASELINES[0]}`"]
    lines = _head(["training groups", "arm", "runs", "mean Dice", *titles])
    for fraction, arms in by_fraction(read_runs(out)).items():
        values = {arm: group_values(runs, mean_dice) for arm, runs in arms.items()}
        at_budget = {arm: group_values(runs, mean_dice_at_budget) for arm, runs in arms.items()}
        for arm, runs in arms.items():
            cells = [_format(_over_folds(runs, lambda run: run["mean_dice"]), ".3f")]
            for base in BASELINES:
                known = base in values and arm != base
                cells.append(_shown(compare(values[arm], values[base], resamples), "+.3f") if known else "-")
            cells.append(_format(_over_folds(runs, lambda run: run["false_alarm_ppm"]), ".0f"))
            known = at_budget[arm], at_budget.get(BASELINES[0], {})
            cells.append("-" if arm == BASELINES[0] else _shown(compare(*known, resamples), "+.3f"))
            lines.append(_row([f"{fraction:.0%}", f"`{arm}`", str(len(runs)), *cells]))
    return "\n".join(lines)


def filled(page: str, out: Path, resamples: int, settings: Path | None = None, speed: Path | None = None) -> str:
    """Return the page with every generated part renewed.

    Args:
        page: Markdown with the marks of `PARTS`.
        out: folder of the grid.
        resamples: of the bootstrap.
        settings: for `settings_table`, which is then one part more.
        speed: folder of runs that had a machine to themselves, for the table of speed; None takes the grid.

    Raises:
        ValueError: if the page lacks the marks of a part, or the folder holds no grid.
    """
    fractions = by_fraction(read_runs(out))
    parts = {
        "grid": grid_text(fractions),
        "figures": figures_table(fractions),
        "differences": differences_table(fractions, resamples),
        "classes": classes_table(fractions, resamples),
        "painters": painters_table(fractions),
        "speed": speed_table(fractions if speed is None else by_fraction(read_runs(speed))),
    }
    if settings is not None:
        parts["settings"] = settings_table(settings)
    for name, text in parts.items():
        pattern = rf"(<!-- generated by training\.benchmark: {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(pattern, lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page has no place for {name!r}: <!-- generated by training.benchmark: {name} -->")
    return page


def write_report(
    out: Path,
    page: Path,
    plots: Path | None,
    resamples: int,
    settings: Path | None = None,
    speed: Path | None = None,
) -> None:
    """Renew the tables of a page in place, and draw the plots."""
    if resamples < 100:
        raise ValueError(f"--resamples must be at least 100, got {resamples}")
    if not page.is_file():
        raise ValueError(f"{page}: no such page; make one with the marks of {', '.join(PARTS)}")
    text = filled(page.read_text(encoding="utf-8"), out, resamples, settings, speed)
    folder = plots or page.parent / "images"
    fractions = by_fraction(read_runs(out))
    plot_curves(fractions, folder / "benchmark-curves.webp")
    found = {
        (fraction, base): {METRICS[name][0]: differences(arms, base, name, resamples) for name in PLOTTED}
        for fraction, arms in fractions.items()
        for base in BASELINES
        if compared(arms, base)
    }
    plot_differences(found, folder / "benchmark-differences.webp")
    write_text(page, text)
    print(page)


def _over_folds(
    runs: Sequence[Mapping[str, Any]], value_of: Callable[[Mapping[str, Any]], float | None]
) -> float | None:
    """Mean over folds of the mean over seeds of a value of a run's summary: a fold with more seeds counts no more."""
    folds = sorted({run["fold"] for run in runs})
    return _mean([_mean([value_of(run["summary"]) for run in runs if run["fold"] == fold]) for fold in folds])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _format(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _shown(difference: Difference | None, form: str) -> str:
    if difference is None:
        return "-"
    text = f"{difference.mean:{form}} [{difference.low:{form}}, {difference.high:{form}}]"
    p = difference.p_holm
    return text if p is None else f"{text}, p = {p:.3f}" if p >= 0.001 else f"{text}, p < 0.001"


def _head(titles: Sequence[str]) -> list[str]:
    return [_row(titles), "|---" * len(titles) + "|"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
