"""Data sets by the name of their layout, and the flags that every command shares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from albu_gan.data.coco import CocoDataset
from albu_gan.data.cvat import LINE_WIDTH, CvatDataset
from albu_gan.data.describe import describe
from albu_gan.data.detect import detect_format
from albu_gan.data.errors import DataError
from albu_gan.data.folder import FolderDataset
from albu_gan.data.label_studio import LabelStudioDataset
from albu_gan.data.labelme import LabelmeDataset
from albu_gan.data.magnetic_tile import MagneticTileDataset
from albu_gan.data.mvtec import MvtecDataset
from albu_gan.data.record import DefectDataset
from albu_gan.data.severstal import SeverstalDataset
from albu_gan.data.voc import VocDataset
from albu_gan.data.yolo import YoloDataset

FORMATS = ("coco", "cvat", "folder", "label-studio", "labelme", "magnetic-tile", "mvtec", "severstal", "voc", "yolo")
AUTO = "auto"
GROUPS = "groups.csv"  # in the folder of the data, unless another table or a pattern is given


def open_dataset(
    name: str,
    root: Path,
    group_pattern: str | None = None,
    *,
    groups: Path | None = None,
    skip_bad: bool = False,
    channels: int | None = None,
    line_width: float = LINE_WIDTH,
    range: tuple[float, float] | None = None,
) -> DefectDataset:
    """Open a data set by the name of its layout.

    Args:
        name: one of `FORMATS`, or "auto": whichever fits what is there.
        root: its folder; for "coco", "cvat", "label-studio" and "yolo" also the path of the JSON, XML or YAML.
        group_pattern: a regular expression searched in each file's stem; its first matching group (or the whole match)
            names the group.
        groups: a CSV with the columns `file` and `group`; for "magnetic-tile" `class`, `file` and `group`.
        skip_bad: read every image and mask once, leave out those that cannot be read, and list them in `skipped`.
        channels: 1 or 3; None takes what the layout has, or looks at some images.
        line_width: of CVAT's polylines without an attribute `width`, in pixels.
        range: the values of images of more than 8 bits that become 0 and 255, such as (0, 4095); None refuses them.

    Raises:
        DataError: naming the file that cannot be read.
    """
    root, groups = Path(root), None if groups is None else Path(groups)
    if name not in (AUTO, *FORMATS):
        raise DataError(f"no format {name!r}; the formats are {', '.join((AUTO, *FORMATS))}")
    if not root.exists():
        raise DataError(f"{root}: no such folder; give the folder of the data set")
    name = detect_format(root) if name == AUTO else name
    if groups is None and group_pattern is None and (root / GROUPS).is_file():
        groups = root / GROUPS
    if not 1 <= line_width < 1000:
        raise DataError(f"line_width must be a number of pixels from 1 on, got {line_width:g}")
    if channels not in (None, 1, 3):
        raise DataError(f"channels must be 1 (gray) or 3 (RGB), got {channels}")
    if range is not None and not -1e9 < range[0] < range[1] < 1e9:
        raise DataError(f"the range must be two numbers, the smaller first, got {range[0]:g} {range[1]:g}")
    dataset: DefectDataset
    if name == "magnetic-tile":
        if group_pattern is not None:
            raise DataError("magnetic tiles take their groups from a table; give it instead of a pattern")
        dataset = MagneticTileDataset(root, groups, channels or 1)
    elif name == "severstal":
        dataset = SeverstalDataset(root, group_pattern, channels or 1, groups=groups, skip_bad=skip_bad)
    elif name == "labelme":
        dataset = LabelmeDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "voc":
        dataset = VocDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "coco":
        dataset = CocoDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "mvtec":
        dataset = MvtecDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "yolo":
        dataset = YoloDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "label-studio":
        dataset = LabelStudioDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    elif name == "cvat":
        dataset = CvatDataset(root, group_pattern, channels, groups=groups, line_width=line_width, skip_bad=skip_bad)
    else:
        dataset = FolderDataset(root, group_pattern, channels, groups=groups, skip_bad=skip_bad)
    dataset.value_range = None if range is None else (range[0], range[1])
    if skip_bad:
        dataset.check(skip_bad=True)
    return dataset


def add_data_arguments(parser: argparse.ArgumentParser, positional: bool = False) -> None:
    """Add the flags that say where the data is and how to read it.

    Args:
        parser: of a command.
        positional: whether the folder is given without a flag.
    """
    group = parser.add_argument_group("data")
    where = "folder of the data set, or the JSON, XML or data.yaml that describes it"
    if positional:
        group.add_argument("data", type=Path, metavar="DATA", help=where)
    else:
        group.add_argument("--data", type=Path, required=True, help=where)
    formats = (AUTO, *FORMATS)
    group.add_argument("--format", choices=formats, default=AUTO, help="layout of the data set; default: what fits")
    group.add_argument(
        "--groups",
        type=Path,
        help="CSV with the columns file,group: a split must not divide one; default: DATA/groups.csv",
    )
    group.add_argument("--group-pattern", help="or a regular expression for the group in a file's name")
    group.add_argument("--channels", type=int, choices=(1, 3), help="gray or RGB; default: what the images are")
    group.add_argument(
        "--line-width", type=float, default=LINE_WIDTH, help="of CVAT's polylines, in pixels; default: 1"
    )
    group.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("BLACK", "WHITE"),
        help="of images of more than 8 bits: the values that become 0 and 255, such as 0 4095 for 12 bits",
    )
    group.add_argument("--skip-bad", action="store_true", help="leave out, and list, what cannot be read")
    group.add_argument("--source", help="where the data comes from, for the model card")
    group.add_argument("--licence", help="of the data, for the model card")
    group.add_argument("--dataset-id", help="of the data, as the Hub names it (org/name), for the model card")


def dataset_from_arguments(arguments: argparse.Namespace) -> DefectDataset:
    """Open the data set that the flags of `add_data_arguments` describe; what was found and skipped goes to stderr.

    Raises:
        DataError: naming the file that cannot be read.
    """
    name = detect_format(arguments.data) if arguments.format == AUTO and arguments.data.exists() else arguments.format
    dataset = open_dataset(
        name,
        arguments.data,
        arguments.group_pattern,
        groups=arguments.groups,
        skip_bad=arguments.skip_bad,
        channels=arguments.channels,
        line_width=arguments.line_width,
        range=None if arguments.range is None else tuple(arguments.range),
    )
    for problem in dataset.skipped:
        sys.stderr.write(f"skipped {problem}\n")
    sys.stderr.write(f"{describe(dataset, arguments.data, name)}\n")
    dataset.source = arguments.source or dataset.source
    dataset.licence = arguments.licence or dataset.licence
    dataset.dataset_id = arguments.dataset_id or dataset.dataset_id
    return dataset
