"""Which labelme file belongs to which image."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from albu_gan.data.errors import DataError, Problems
from albu_gan.data.images import IMAGE_SUFFIXES, find_files, list_images
from albu_gan.data.json_file import read_json

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "data")
LABEL_FOLDERS = ("labels", "label", "json", "jsons", "annotations", "annotation", "labelme")


def find_images(root: Path) -> tuple[Path, list[Path]]:
    """Return the folder of the images, and the images, sorted.

    They lie in one of `IMAGE_FOLDERS` and its subfolders; where there is none, in the folder itself and in those
    subfolders that hold JSON files, too.

    Raises:
        DataError: if there are none.
    """
    folder = _named_folder(root, IMAGE_FOLDERS)
    if folder is not None:
        return folder, list_images(folder, recursive=True)
    folders = {root, *(path.parent for path in find_files(root, {".json"}, recursive=True))}
    paths = sorted(path for folder in folders for path in find_files(folder, IMAGE_SUFFIXES))
    if not paths:
        raise DataError(f"{root}: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) found")
    return root, paths


def label_folders(root: Path) -> list[Path]:
    """Return the folder and those in it where labelme files are likely."""
    likely = {*LABEL_FOLDERS, *IMAGE_FOLDERS}
    return (
        [root, *(f for f in sorted(root.iterdir()) if f.is_dir() and f.name.lower() in likely)] if root.is_dir() else []
    )


def match_labels(root: Path, image_folder: Path, paths: Sequence[Path], problems: Problems) -> dict[Path, Path]:
    """Return the labelme file of each image that has one.

    A file belongs to the image of the same stem beside it or in the same place of the image folder (`a.json` or
    `a.jpg.json` to `a.jpg`), else to the one that its `imagePath` names. Other JSON that belongs to no image is passed
    over.

    Args:
        root: of the data set; JSON files are looked for in all of it.
        image_folder: where the images lie.
        paths: the images.
        problems: hears of labelme files without an image, and of images with two.

    Raises:
        DataError: if there is no labelme file at all.

    Warns:
        UserWarning: if a file belongs to an image by its `imagePath` alone.
    """
    find = _Images(root, image_folder, paths)
    found: dict[Path, Path] = {}
    others: list[tuple[Path, Path]] = []
    named_only: list[str] = []
    lost = 0
    for label in find_files(root, {".json"}, recursive=True):
        try:
            content = read_json(label)
            image_path = content.get("imagePath") if isinstance(content, dict) else None
            is_labelme = isinstance(content, dict) and "shapes" in content
        except DataError:
            image_path, is_labelme = None, True  # the reader says what is wrong with it
        image = find.by_name(label)
        if image is None and is_labelme:
            image = find.by_image_path(label, image_path)
            named_only += [f"{label.name} to {image.name}"] if image is not None else []
        if image is None and is_labelme:
            named = f" or of its imagePath {image_path!r}" if isinstance(image_path, str) else ""
            lost += 1
            problems.report(
                f"{label}: no image of this name{named} in {image_folder}; put the image there, or remove the file"
            )
        elif image is not None and not is_labelme:
            others.append((image, label))
        elif image is not None and image in found:
            problems.report(f"{label}: {image} has the label file {found[image]} already; keep one of the two")
        elif image is not None:
            found[image] = label
    for image, label in others:
        found.setdefault(image, label)
    if named_only:
        warnings.warn(
            f"{root}: {len(named_only)} labelme file(s) have another name than their image and belong to it by their "
            f"imagePath: {', '.join(named_only[:3])}{', ...' if len(named_only) > 3 else ''}",
            stacklevel=4,
        )
    if not found and not lost:
        raise DataError(
            f"{root}: no labelme file was found, so there is not one defect; they lie beside the images or in a folder "
            f"such as {LABEL_FOLDERS[0]}/"
        )
    return found


def _named_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Return the subfolder with the first of these names, in any case."""
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


class _Images:
    """Images by what a label file says of them."""

    def __init__(self, root: Path, image_folder: Path, paths: Sequence[Path]) -> None:
        self.root, self.image_folder = root, image_folder
        self.paths = set(paths)
        self.by_place: dict[str, Path] = {}  # "sub/a" and "sub/a.jpg"
        self.by_file: dict[str, list[Path]] = defaultdict(list)  # "a" and "a.jpg"
        for path in paths:
            place = path.relative_to(image_folder)
            for key in (place.as_posix(), place.with_suffix("").as_posix()):
                self.by_place[key] = path
                self.by_file[PurePosixPath(key).name].append(path)

    def by_name(self, label: Path) -> Path | None:
        """Return the image beside the label or in the same place of its folder; where one is flat, that of its name."""
        place = label.relative_to(self.root).with_suffix("")
        if self.image_folder in label.parents:
            return self.by_place.get(label.relative_to(self.image_folder).with_suffix("").as_posix())
        if place.parts[0].lower() in LABEL_FOLDERS and len(place.parts) > 1:
            place = place.relative_to(place.parts[0])
        image = self.by_place.get(place.as_posix())
        same = self.by_file.get(place.name, [])
        if image is None and len(same) == 1 and (len(place.parts) == 1 or same[0].parent == self.image_folder):
            return same[0]
        return image

    def by_image_path(self, label: Path, image_path: object) -> Path | None:
        """Return the image that the label names: a path from the label's folder, or the only one of its name."""
        if not isinstance(image_path, str) or not image_path:
            return None
        named = PureWindowsPath(image_path)  # reads both kinds of slashes
        beside = (label.parent / named.as_posix()).resolve()
        exact = next((path for path in self.paths if path.name == named.name and path.resolve() == beside), None)
        same = self.by_file.get(named.name, [])
        return exact or (same[0] if len(same) == 1 else None)
