"""The command `albu-gan bank`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from albu_gan.bank.make import make_bank
from albu_gan.data import add_data_arguments, dataset_from_arguments, read_side
from albu_gan.hub import find_weights


def add_bank(commands: Any) -> None:
    """Add the command to the subparsers of `albu-gan`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bank", help="make weights of your own annotated defects: a minute, no training"
    )
    add_data_arguments(parser, positional=True)
    parser.add_argument("--out", type=Path, required=True, help="the weights folder that is written")
    parser.add_argument("--split", type=Path, help="JSON of python -m training.datasets split: its training side alone")
    parser.add_argument("--classes", nargs="+", help="names of the classes; default: all")
    parser.add_argument("--weights", help="weights whose generator paints in these shapes; default: none, a bank alone")
    parser.add_argument("--seed", type=int, default=0, help="of the picture")
    parser.set_defaults(run=run_bank)


def run_bank(arguments: argparse.Namespace) -> None:
    """Read, cut out, write; say what was found."""
    if arguments.seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {arguments.seed}")
    dataset = dataset_from_arguments(arguments)
    records = dataset.records
    provenance = {}
    if arguments.split is not None:
        records = read_side(arguments.split, records, "train")
        provenance["split"] = f"training side of {arguments.split.name}"
    report = make_bank(
        dataset,
        records,
        arguments.out,
        classes=arguments.classes,
        weights=None if arguments.weights is None else find_weights(arguments.weights),
        seed=arguments.seed,
        provenance=provenance,
    )
    for line in report.lines():
        print(line)
    print(report.folder.path.resolve())
    print(f'use it: A.Compose([..., GANDefectInpaint("{arguments.out}", p=0.3)])')
