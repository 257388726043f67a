"""Tables of the study from its JSON, written between the marks of a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from training.atomic import write_text
from training.study.settings import BASE, SEEDS, SETTINGS

TABLES = ("generators", "losses", "terms")
BUDGET = "-kimg"  # ends the name of a budget's folder
TITLES = {"generators": "generator", "losses": "loss", "terms": "what is changed"}
COLUMNS = {  # key in `means`: title, format
    "kid_painted": ("KID", ".2f"),
    "diversity": ("diversity", ".2f"),
    "contrast_reached": ("visible", ".0%"),
    "coverage": ("coverage", ".0%"),
}


def budget_folder(results: Path, kimg: float) -> Path:
    """Return where the results of one budget lie."""
    return results / f"{kimg:g}{BUDGET}"


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the JSON of every setting that has one.

    Raises:
        ValueError: naming the file, if one is not of this study.
    """
    results = {}
    for name in SETTINGS:
        path = folder / f"{name}.json"
        if path.is_file():
            try:
                results[name] = json.loads(path.read_text(encoding="utf-8"))
                results[name]["means"]["kid_painted"]
            except (ValueError, KeyError, TypeError) as err:
                raise ValueError(f"{path}: no result of this study; delete it and run it again") from err
    return results


def best_budget(which: str, results: Path) -> dict[str, dict[str, Any]]:
    """Return the results a table is made of: the largest budget that has the most of its rows, and no other.

    Raises:
        ValueError: if no budget has the base setting.
    """
    found = []
    for folder in results.glob(f"*{BUDGET}"):
        rows = {n: r for n, r in read_results(folder).items() if n == BASE or r["table"] == which}
        if BASE in rows:
            found.append((len(rows), float(folder.name.removesuffix(BUDGET)), rows))
    if not found:
        raise ValueError(f"{results}: no {BASE}.json of any budget; run python -m training.study run first")
    return max(found, key=lambda entry: entry[:2])[2]


def table(which: str, results: dict[str, dict[str, Any]], speed: dict[str, Any] | None) -> str:
    """Return one Markdown table; the base setting is its first row."""
    timed = which == "generators" and speed is not None
    titles = [TITLES[which], *(("parameters", "forward", "training step") if timed else ()), "minutes"]
    titles += [title for title, _ in COLUMNS.values()] + ["D tells apart", "gradient", "what the run said"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for name, result in results.items():
        if name != BASE and result["table"] != which:
            continue
        cells = [SETTINGS[name].label if name != BASE or which == "generators" else _base_label(which)]
        if timed:
            assert speed is not None
            figures = speed["generators"].get(name, {})
            cells += [f"{result['parameters'] / 1e6:.2f} M", _cell(figures, "forward_ms", ".1f", " ms")]
            cells += [_cell(figures, "step_ratio", ".1f", " x")]
        cells += [f"{result['minutes']:.1f}"]
        cells += [_cell(result["means"], key, form) for key, (_, form) in COLUMNS.items()]
        cells += [f"{result['d_accuracy']:.0%}", f"{result['gradient_ratio']:.2g}", _said(result["complaints"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figures: dict[str, float], key: str, form: str, unit: str = "") -> str:
    """A figure, or a dash where there is none: a decoder has no window to be fast, seen or varied on."""
    return format(figures[key], form) + unit if key in figures else "–"


def _base_label(which: str) -> str:
    return {"losses": "`rpgan` + R1 + R2 (the default)", "terms": "all defaults"}[which]


def _said(complaints: list[str]) -> str:
    """The complaints of a run, without what to do about them; the last of those that differ in their figures alone."""
    said: dict[str, list[str]] = {}
    for complaint in complaints:
        text = complaint.split(": ", 1)[1].split(";")[0].split(": raise")[0]
        said.setdefault(re.sub(r"[\d.]+", "", text), []).append(text)
    return "; ".join(same[-1] + (f" ({len(same)} times)" if same[1:] else "") for same in said.values()) or "nothing"


def budget(results: dict[str, dict[str, Any]]) -> str:
    """Return the sentence with the budget of a table and the two floors."""
    base = results[BASE]
    means = base["means"]
    side = base["common"]["window_sizes"][0]
    return (
        f"Budget: {base['kimg']:g} thousand windows of {side} x {side} pixels each, seed {base['seed']}, one thread. "
        f"On the same windows, feathered copy-paste of the same masks has a KID of {means['kid_copy_paste']:.2f} and "
        f"real training defects of {means['kid_real']:.2f}."
    )


def seeds_apart(results: Path, kimg: float) -> str:
    """Say how far rows lie apart that differ in nothing but the seed; empty if there is one seed."""
    rows = read_results(budget_folder(results, kimg))
    same = [rows[name] for name in (BASE, *SEEDS) if name in rows]
    if len(same) < 2:
        return ""
    said = []
    for key, form in (("kid_painted", ".2f"), ("diversity", ".2f"), ("coverage", ".0%")):
        values = [row["means"][key] for row in same]
        said.append(f"{COLUMNS[key][0]} {min(values):{form}} to {max(values):{form}}")
    return (
        f" Seeds alone, {len(same)} of the defaults: {', '.join(said)}; less than that between two rows says nothing."
    )


def filled(page: str, folder: Path) -> str:
    """Return the page with every generated part renewed.

    Raises:
        ValueError: if the page lacks the marks of a part.
    """
    path = folder / "speed.json"
    speed = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    for name in TABLES:
        results = best_budget(name, folder)
        more = seeds_apart(folder, results[BASE]["kimg"]) + longer(folder, results[BASE]["kimg"])
        text = f"{budget(results)}{more}\n\n{table(name, results, speed)}"
        pattern = rf"(<!-- generated by training\.study: {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(pattern, lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page has no place for {name!r}: <!-- generated by training.study: {name} -->")
    return page


def longer(results: Path, kimg: float) -> str:
    """Return what the base setting reaches with larger budgets than a table's; empty if none was trained."""
    sentences = []
    for folder in sorted(results.glob(f"*{BUDGET}"), key=lambda path: float(path.name.removesuffix(BUDGET))):
        base = read_results(folder).get(BASE)
        if base is not None and base["kimg"] > kimg:
            figures = base["means"]
            sentences.append(
                f" After {base['kimg']:g} thousand the default has a KID of {figures['kid_painted']:.2f} and a "
                f"diversity of {figures['diversity']:.2f}."
            )
    return "".join(sentences)


def write_report(folder: Path, page: Path) -> None:
    """Renew the page in place."""
    write_text(page, filled(page.read_text(encoding="utf-8"), folder))
    print(page)
