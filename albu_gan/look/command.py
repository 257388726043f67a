"""The command `albu-gan look`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from albu_gan.data import add_data_arguments, dataset_from_arguments
from albu_gan.look.sheet import look_sheet
from albu_gan.pictures import write_picture

IMAGES = 24


def add_look(commands: Any) -> None:
    """Add the command to the subparsers of `albu-gan`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "look", help="a contact sheet of annotated images, masks outlined as they were read: check it first"
    )
    add_data_arguments(parser, positional=True)
    parser.add_argument("--out", type=Path, required=True, help="the picture, PNG or JPEG")
    parser.add_argument("--images", type=int, default=IMAGES, help=f"how many are shown; default: {IMAGES}")
    parser.add_argument("--classes", nargs="+", help="show these alone")
    parser.set_defaults(run=run_look)


def run_look(arguments: argparse.Namespace) -> None:
    """Read some images and masks, draw, write; say where."""
    if not 1 <= arguments.images <= 200:
        raise ValueError(f"--images must be from 1 to 200, got {arguments.images}")
    dataset = dataset_from_arguments(arguments)
    unknown = sorted(set(arguments.classes or ()) - set(dataset.class_names))
    if unknown:
        raise ValueError(f"--classes names {', '.join(unknown)}; the data has {', '.join(dataset.class_names)}")
    write_picture(arguments.out, look_sheet(dataset, arguments.images, arguments.classes))
    print(arguments.out.resolve())
