"""Write the tables of the pages from committed JSON: `python docs/tables.py`; `--check` fails if one is stale."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # called as a script, from any folder

from benchmarks.report import summary_table
from training.benchmark.report import benefit_table
from training.evaluation.bank_table import bank_table, class_table, nearer
from training.evaluation.table import figure_table, markdown

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "albu_gan" / "weights"
DATA = ROOT / "docs" / "data"
BENCHMARK = ROOT / "docs" / "benchmark"


def quality() -> str:
    """One row a class of the bundled generators, from their config.json."""
    lines = [
        "| weights | class | contrast reached | diversity across z | KID painted | KID copy-paste | KID real floor |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted(WEIGHTS.iterdir()):
        metrics = json.loads((folder / "config.json").read_text()).get("metrics") or {}
        for name, values in metrics.get("classes", {}).items():  # a bank has none
            figures = " | ".join(f"{values[key]:.3f}" for key in ("kid_painted", "kid_copy_paste", "kid_real"))
            reached, diversity = values["contrast_reached"], values["diversity"]
            lines.append(f"| `{folder.name}` | {name} | {reached:.0%} | {diversity:.2f} | {figures} |")
    return "\n".join(lines)


def formulas(weights: str = "surfaces-v1") -> str:
    """By which formulas the defects of each class of a bundled bank are relit, from its config.json."""
    training = _read(WEIGHTS / weights / "config.json")["training"]
    cells = [["class", "defects", "ratio", "difference", "pixels"]]
    for name, shares in training["formulas"].items():
        cells.append([name, str(training["defects"][name]), *(f"{float(share):.0%}" for share in shares.split())])
    return markdown(cells)


def benefit(name: str = "magnetic-tile") -> str:
    """What painting buys a segmentation network, from the runs in docs/benchmark/NAME."""
    return benefit_table(BENCHMARK / name)


def generators() -> str:
    """How long the training of a fold's generator takes, from the runs in docs/benchmark."""
    runs = [
        _read(path) for folder in ("magnetic-tile", "bsdata") for path in sorted((BENCHMARK / folder).glob("*.json"))
    ]
    trained = [run["painter"] for run in runs if run.get("painter", {}).get("minutes")]
    minutes = [painter["minutes"] for painter in trained]
    hardware = "; ".join(sorted({painter["hardware"] for painter in trained}))
    return f"Training the generator of one fold took {min(minutes):.0f} to {max(minutes):.0f} minutes ({hardware})."


def speed() -> str:
    """The few figures of speed that the README shows, from benchmarks/results/speed.json."""
    return summary_table(_read(ROOT / "benchmarks" / "results" / "speed.json"))


def evaluation(name: str, weights: str) -> str:
    """Figures of bundled weights: all, from docs/data/NAME/metrics.json, or those that their config.json has."""
    path = DATA / name / "metrics.json"
    metrics = _read(path) if path.is_file() else _read(WEIGHTS / weights / "config.json")["metrics"]
    said = f"Features: {metrics['features']}, {metrics['feature_steps']} steps of training"
    return f"{markdown(figure_table(metrics))}\n\n{said}. Seed {metrics['seed']}, commit {metrics['commit'][:7]}."


def real_fid() -> str:
    """FID and KID of real training against real test defects, from docs/data/severstal-mini/fid.json."""
    result = _read(DATA / "severstal-mini" / "fid.json")
    cells = [["", "defects, training", "defects, test", "FID", "KID"]]
    for name, values in result["classes"].items():
        figures = [_written(values[key], form) for key, form in (("fid", ".0f"), ("kid", ".2f"))]
        cells.append([name, str(values["train_windows"]), str(values["test_windows"]), *figures])
    every = result["classes"]["all classes"]
    for title, key in (("mean of 20 random divisions by image", "mean"), ("their 95th percentile", "p95")):
        figures = [_written(every[f"{kind}_random_{key}"], form) for kind, form in (("fid", ".0f"), ("kid", ".2f"))]
        cells.append([title, "", "", *figures])
    return (
        markdown(cells)
        + f"\n\nImages: {result['images']['train']} for training, {result['images']['test']} for the test. Features: "
        f"{result['features']} ({result['num_features']} of them, {result['feature_steps']} steps of training), not "
        "Inception."
    )


def exemplars() -> str:
    """What banks of several surfaces reach on held-out groups, from docs/data/surfaces."""
    sets = _surfaces()
    commits = ", ".join(sorted({metrics["commit"][:7] for metrics in sets.values()}))
    steps = ", ".join(sorted({str(metrics["feature_steps"]) for metrics in sets.values()}))
    said = f"Features: {next(iter(sets.values()))['features']}, {steps} steps. Seed 0, commit {commits}."
    return f"{bank_table(sets)}\n\n{nearer(sets)}\n\n{said}"


def exemplars_by_class() -> str:
    """The same by class, and how many draws, defects and pairs the figures are of."""
    return class_table(_surfaces())


def _surfaces() -> dict[str, Any]:
    return {path.stem: _read(path) for path in sorted((DATA / "surfaces").glob("*.json"))}


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"quality": quality, "benefit": benefit, "speed": speed},
    "docs/evaluation.md": {
        "magnetic-tile": lambda: evaluation("magnetic-tile", "magnetic-tile-v1"),
        "bsdata": lambda: evaluation("bsdata", "bsdata-pitting-v1"),
    },
    "docs/benchmarks.md": {
        "magnetic-tile": benefit,
        "ball-screws": lambda: benefit("bsdata"),
        "generators": generators,
    },
    "docs/how-it-works.md": {"formulas": formulas},
    "docs/speed.md": {"speed": speed},
    "docs/research/severstal.md": {"fid": real_fid},
    "docs/research/exemplars.md": {"exemplars": exemplars, "exemplars-by-class": exemplars_by_class},
}


def filled(page: str, text: str) -> str:
    """Return a page with every generated part renewed."""
    for name, make_table in PAGES[page].items():
        table = make_table()
        pattern = rf"(<!-- generated by docs/tables.py: {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"{page} has no place for the table {name!r}")
    return text


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _written(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def main() -> None:
    """Renew or check."""
    for page in PAGES:
        path = ROOT / page
        old = path.read_text(encoding="utf-8")
        new = filled(page, old)
        if "--check" not in sys.argv[1:]:
            path.write_text(new, encoding="utf-8")
        elif new != old:
            sys.exit(f"{page} is stale: run python docs/tables.py")


if __name__ == "__main__":
    main()
