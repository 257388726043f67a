"""`python -m benchmarks [--quick] [--out DIR]` measures, `batch` whole batches; `report` writes the page of speed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# What is large is imported by what uses it: spawned workers import this module too, and it is no part of their start.
RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of both commands."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every part, in under a minute; not to be published")
    parser.add_argument("--weights", default="magnetic-tile-v1", help="bundled name, folder or Hub repository")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of speed.json and plots; default %(default)s")
    commands = parser.add_subparsers(dest="command")
    batch = commands.add_parser("batch", help="BatchDefectInpaint on a device beside one CPU worker; a minute or two")
    batch.add_argument("--device", default="cuda", help="that the batches are on; default %(default)s")
    batch.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32, 128], help="default: 8 32 128")
    batch.add_argument("--rounds", type=int, default=10, help="that count; default %(default)s")
    report = commands.add_parser("report", help="write the tables and plots of a page from speed.json")
    report.add_argument("--results", type=Path, default=RESULTS, help="folder of speed.json and batch-*.json")
    report.add_argument("--page", type=Path, default=DOCS / "research" / "speed.md")
    report.add_argument("--plots", type=Path, help="folder of the plots; default: images beside the page")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    arguments = build_parser().parse_args(words)
    try:
        if arguments.command == "report":
            write_report(arguments.results, arguments.page, arguments.plots)
            return 0
        if arguments.out.exists() and not arguments.out.is_dir():
            raise ValueError(f"--out {arguments.out} is a file; give a folder")
        if arguments.command == "batch":
            write_batches(arguments.weights, arguments.device, arguments.batch_sizes, arguments.rounds, arguments.out)
        else:
            write_measurement(arguments.weights, arguments.quick, arguments.out)
    except (ValueError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    return 0


def write_measurement(weights: str, quick: bool, out: Path) -> None:
    """Measure everything; write speed.json and plots."""
    from benchmarks.plots import draw_plots
    from benchmarks.run import measure_all
    from benchmarks.settings import QUICK, Settings
    from training.atomic import write_json

    out.mkdir(parents=True, exist_ok=True)
    result = measure_all(weights, QUICK if quick else Settings(), quick)
    write_json(out / "speed.json", result)
    for path in (out / "speed.json", *draw_plots(result, out)):
        print(path)


def write_batches(weights: str, device: str, batch_sizes: Sequence[int], rounds: int, out: Path) -> None:
    """Measure whole batches on a device; write batch-<type of device>.json.

    Raises:
        ValueError: if a number is below one, or there is no such device.
    """
    from benchmarks.batch import measure_batches
    from training.atomic import write_json

    if min(*batch_sizes, rounds) < 1:
        raise ValueError("--batch-sizes and --rounds must be at least 1")
    result = measure_batches(weights, device, tuple(batch_sizes), rounds)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"batch-{result['device_type']}.json"
    write_json(path, result)
    print(path)


def write_report(results: Path, page: Path, plots: Path | None) -> None:
    """Renew the tables of a page in place, and draw its plots.

    Raises:
        ValueError: if there is no such run or page, or the page lacks a mark.
    """
    from benchmarks.plots import draw_plots
    from benchmarks.report import filled, read_result
    from training.atomic import write_text

    if not page.is_file():
        raise ValueError(f"{page}: no such page")
    result = read_result(results)
    text = filled(page.read_text(encoding="utf-8"), result)
    draw_plots(result, plots or page.parent / "images")
    write_text(page, text)
    print(page)


if __name__ == "__main__":
    sys.exit(main())
