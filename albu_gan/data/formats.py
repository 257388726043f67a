"""Data sets by the name of their layout, and the flags that every command shares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from albu_gan.data.coco import CocoDataset
from albu_gan.data.errors import DataError
from albu_gan.data.folder import FolderDataset
from albu_gan.data.labelme import LabelmeDataset
from albu_gan.data.magnetic_tile import MagneticTileDataset
from albu_gan.data.record import DefectDataset
from albu_gan.data.severstal import SeverstalDataset

FORMATS = ("coco", "folder", "labelme", "magnetic-tile", "severstal")


def open_dataset(
    name: str,
    root: Path,
    group_pattern: str | None = None,
    *,
    groups: Path | None = None,
    skip_bad: bool = False,
    channels: int | None = None,
) -> DefectDataset:
    """Open a data set by the name of its layout.

    Args:
        name: one of `FORMATS`.
        root: its folder; for "coco" also the path of the JSON.
        group_pattern: a regular expression searched in each file's stem; its first matching group (or the whole match)
            names the group.
        groups: a CSV with the columns `file` and `group`; for "magnetic-tile" `class`, `file` and `group`.
        skip_bad: read every image and mask once, leave out those that cannot be read, and list them in `skipped`.
        channels: 1 or 3; None takes what the layout has, or looks at some images.

    Raises:
        DataError: naming the file that cannot be read.
    """
    root, groups = Path(root), None if groups is None else Path(groups)
    if name not in FORMATS:
        raise DataError(f"no format {name!r}; the formats are {', '.join(FORMATS)}")
    if not root.exists():
        raise DataError(f"{root}: no such folder; give the folder of the data set")
    if channels not in (None, 1, 3):
        raise DataError(f"channels must be 1 (gray) or 3 (RGB), got {channels}")
    dataset: DefectDataset
    if name == "magnetic-tile":
        if group_pattern is not None:
            raise DataError("magnetic tiles take their groups from a table; give it instead of a pattern")
        dataset = MagneticTileDataset(root, groups, channels or 1)
    elif name == "severstal":
        dataset = SeverstalDataset(root, group_pattern, channels or 1, groups=groups, skip_bad=skip_bad)
    elif name == "labelme":
        dataset = LabelmeDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "coco":
        dataset = CocoDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    else:
        dataset = FolderDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    if skip_bad:
        dataset.check(skip_bad=True)
    return dataset


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the data is and how to read it."""
    group = parser.add_argument_group("data")
    group.add_argument("--data", type=Path, required=True, help="folder of the data set; coco: or its JSON")
    group.add_argument("--format", choices=FORMATS, required=True, help="layout of the data set")
    group.add_argument("--groups", type=Path, help="CSV with the columns file,group: what a split must not divide")
    group.add_argument("--group-pattern", help="or a regular expression for the group in a file's name")
    group.add_argument("--channels", type=int, choices=(1, 3), help="gray or RGB; default: what the images are")
    group.add_argument("--skip-bad", action="store_true", help="leave out, and list, what cannot be read")
    group.add_argument("--source", help="where the data comes from, for the model card")
    group.add_argument("--licence", help="of the data, for the model card")
    group.add_argument("--dataset-id", help="of the data, as the Hub names it (org/name), for the model card")


def dataset_from_arguments(arguments: argparse.Namespace) -> DefectDataset:
    """Open the data set that the flags of `add_data_arguments` describe; skipped files go to stderr.

    Raises:
        DataError: naming the file that cannot be read.
    """
    dataset = open_dataset(
        arguments.format,
        arguments.data,
        arguments.group_pattern,
        groups=arguments.groups,
        skip_bad=arguments.skip_bad,
        channels=arguments.channels,
    )
    for problem in dataset.skipped:
        sys.stderr.write(f"skipped {problem}\n")
    dataset.source = arguments.source or dataset.source
    dataset.licence = arguments.licence or dataset.licence
    dataset.dataset_id = arguments.dataset_id or dataset.dataset_id
    return dataset
