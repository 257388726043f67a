"""Where the images lie that a label file names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from albu_gan.data.errors import DataError


def find_image(folders: Sequence[Path], name: str) -> Path | None:
    """Find an image by the path that a label file gives it.

    Args:
        folders: in which to look, the likeliest first.
        name: a path, perhaps of another machine: leading folders that are not here are passed over.

    Returns:
        The first file that fits, by as much of the path as possible, or None.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    parts = tuple(part for part in parts if part not in ("/", ".", ".."))
    for first in range(len(parts)):
        for folder in folders:
            path = folder.joinpath(*parts[first:])
            if path.is_file():
                return path
    return None


def existing(folders: Iterable[Path]) -> list[Path]:
    """Return those folders that are there, each once."""
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def check_annotated_size(
    label: str, image: Path, annotated_hw: tuple[object, object], image_hw: tuple[int, int]
) -> None:
    """Raise unless an image has the size on which its shapes were drawn.

    Args:
        label: file and place of the annotation, for the message.
        image: the file.
        annotated_hw: as the label says; anything but two whole numbers is passed over.
        image_hw: as the image has it.
    """
    if all(type(side) is int and side > 0 for side in annotated_hw) and annotated_hw != image_hw:
        raise DataError(
            f"{label}: drawn on an image of {annotated_hw[0]} x {annotated_hw[1]} pixels, but {image} has "
            f"{image_hw[0]} x {image_hw[1]}; use the image that was annotated"
        )
