"""`python -m training.datasets`: statistics of a data set, what is likely wrong with it, splits that leak nothing."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from albu_gan.data import DataError, DefectDataset, add_data_arguments, dataset_from_arguments
from training.atomic import write_json
from training.datasets.check import check_dataset, describe, print_findings
from training.datasets.near_duplicates import Leak, NearDuplicates
from training.datasets.plots import plot_statistics
from training.datasets.split import SIDES, Split, k_folds, split_by_group
from training.datasets.statistics import ALL, measure

SHOWN_LEAKS = 10  # printed; all are in the file


def build_parser() -> argparse.ArgumentParser:
    """Flags of the three commands."""
    parser = argparse.ArgumentParser(prog="python -m training.datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    split = commands.add_parser("split", help="divide the groups; writes split.json, or split-0.json ... for folds")
    add_data_arguments(split)
    split.add_argument("--out", type=Path, required=True, help="folder for the files")
    ratio = split.add_mutually_exclusive_group()
    ratio.add_argument("--train-fraction", type=float, default=0.5, help="share that is not held out; default: 0.5")
    ratio.add_argument("--folds", type=int, help="instead: hold out every group once")
    split.add_argument("--validation-fraction", type=float, default=0.0, help="share of all groups, from training's")
    split.add_argument("--seed", type=int, default=0)
    stats = commands.add_parser("stats", help="count images, polygons and areas; writes stats.json and plots")
    add_data_arguments(stats)
    stats.add_argument("--out", type=Path, required=True, help="folder for the files")
    check = commands.add_parser(
        "check", help="look for copies, near-duplicates across groups, labels of nothing, shifted labels, odd sizes"
    )
    add_data_arguments(check)
    check.add_argument("--out", type=Path, help="folder for check.json, with all findings")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
        dataset = dataset_from_arguments(arguments)
        {"split": write_splits, "stats": write_statistics, "check": write_check}[arguments.command](dataset, arguments)
    except (DataError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def write_splits(dataset: DefectDataset, arguments: argparse.Namespace) -> None:
    """Divide the data set, look for leaks, write one file a split and print a table of each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if arguments.folds is None:
            fractions = (arguments.train_fraction, arguments.seed, arguments.validation_fraction)
            splits = [split_by_group(dataset.records, dataset.class_names, *fractions)]
        else:
            counts = (arguments.folds, arguments.seed, arguments.validation_fraction)
            splits = k_folds(dataset.records, dataset.class_names, *counts)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"warning: {message}", file=sys.stderr)
    duplicates = NearDuplicates(dataset)
    for number, split in enumerate(splits):
        found = duplicates.across(split)
        name = "split.json" if arguments.folds is None else f"split-{number}.json"
        described = {
            "data": arguments.data.resolve().name,
            "format": arguments.format,
            "seed": arguments.seed,
            "train_fraction": arguments.train_fraction if arguments.folds is None else None,
            "validation_fraction": arguments.validation_fraction,
            "fold": None if arguments.folds is None else number,
            "folds": arguments.folds,
            **describe_split(dataset, split, found),
        }
        write_json(arguments.out / name, described)
        print_split(described)
        if found:
            print(
                f"warning: {len(found)} pairs of images on different sides look the same; give groups that keep them "
                f"together. The most similar:",
                file=sys.stderr,
            )
        for leak in found[:SHOWN_LEAKS]:
            print(
                f"  {leak.similarity:.2f}  {leak.sides[0]} {leak.first}  {leak.sides[1]} {leak.second}", file=sys.stderr
            )
        print(arguments.out / name)


def describe_split(dataset: DefectDataset, split: Split, found: Sequence[Leak] = ()) -> dict[str, Any]:
    """Return groups, files and counts of each side, and the leaks, as plain JSON.

    Args:
        dataset: the records to describe.
        split: of its groups.
        found: near-duplicates across sides.
    """
    sides: dict[str, Any] = {}
    for side in SIDES:
        records = split.select(dataset.records, side)
        sides[side] = {
            "groups": list(getattr(split, side)),
            "files": [record.name for record in records],
            "clean_images": sum(not record.classes for record in records),
            "classes": {
                name: {
                    "images": sum(index in record.classes for record in records),
                    "groups": len({record.group for record in records if index in record.classes}),
                }
                for index, name in enumerate(dataset.class_names)
            },
        }
    leaking = [
        {"sides": leak.sides, "files": (leak.first, leak.second), "similarity": leak.similarity} for leak in found
    ]
    return {"class_names": list(dataset.class_names), "sides": sides, "leaks": leaking}


def print_split(described: dict[str, Any]) -> None:
    """Print a table: images and groups of each class on each side."""
    sides = {side: content for side, content in described["sides"].items() if content["groups"]}
    names = described["class_names"]
    width = max(len(name) for name in (*names, "all images"))
    print(f"{'images (groups)':{width}}" + "".join(f"{side:>16}" for side in sides))
    for name in names:
        counts = [content["classes"][name] for content in sides.values()]
        cells = [f"{count['images']} ({count['groups']})" for count in counts]
        print(f"{name:{width}}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"{'no defect':{width}}" + "".join(f"{c['clean_images']:>16}" for c in sides.values()))
    totals = [f"{len(c['files'])} ({len(c['groups'])})" for c in sides.values()]
    print(f"{'all images':{width}}" + "".join(f"{total:>16}" for total in totals))


def write_statistics(dataset: DefectDataset, arguments: argparse.Namespace) -> None:
    """Measure the data set, write `stats.json` and the plots, and print a table."""
    statistics = measure(dataset)
    described = {
        "data": arguments.data.resolve().name,
        "format": arguments.format,
        "source": dataset.source,
        "licence": dataset.licence,
        "skipped": list(dataset.skipped),
        **statistics,
    }
    write_json(arguments.out / "stats.json", described)
    images = statistics["images"]
    print(f"{images['total']} images, {images['with_defects']} with defects, {images['without_defects']} without")
    names = (*dataset.class_names, ALL)
    width = max(len(name) for name in names)
    print(
        f"{'':{width}}" + "".join(f"{title:>14}" for title in ("images", "polygons", "a image", "median px", "share"))
    )
    for name in names:
        figures = statistics["classes"][name] if name != ALL else statistics[ALL]
        print(f"{name:{width}}{figures['images']:>14}{figures['polygons']:>14}", end="")
        if figures["polygons"]:
            share = f"{100 * figures['area_share_of_image']['median']:.2f} %"
            mean = figures["polygons_per_image"]["mean"]
            print(f"{mean:>14.2f}{figures['area_pixels']['median']:>14.0f}{share:>14}", end="")
        print()
    for path in (arguments.out / "stats.json", *plot_statistics(statistics, arguments.out)):
        print(path)


def write_check(dataset: DefectDataset, arguments: argparse.Namespace) -> None:
    """Look for what is likely to be wrong, print it, and write `check.json` if there is a folder for it."""
    findings = check_dataset(dataset)
    print_findings(findings, dataset)
    if arguments.out is not None:
        described = {"data": arguments.data.resolve().name, "format": arguments.format}
        write_json(arguments.out / "check.json", {**described, **describe(findings, dataset)})
        print(arguments.out / "check.json")


if __name__ == "__main__":
    sys.exit(main())
