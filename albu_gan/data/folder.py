"""A plain folder: images, index masks of the same stem, and the names of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from albu_gan.data.errors import DataError, Problems
from albu_gan.data.groups import Groups
from albu_gan.data.images import IMAGE_SUFFIXES, by_stem, detect_channels, image_size, list_images
from albu_gan.data.record import DefectDataset, Record


class FolderDataset(DefectDataset):
    """`images/NAME.jpg` (or png, bmp, tif, webp), `masks/NAME.png` and `classes.txt`.

    A mask holds 0 where the image is clean and value `i` where it shows the class of line `i` of `classes.txt`; it is a
    gray or a palette PNG, of a palette the indices count. An image without a mask is clean.

    Args:
        root: the folder.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`.
        skip_bad: leave out images whose mask cannot be read, and list them in `skipped`.

    Raises:
        DataError: if the folder does not have this layout; names the file, and the pixel value.
    """

    licence = "unknown"
    source = "a folder of images and index masks"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.class_names = read_class_names(root / "classes.txt")
        paths = list_images(root / "images")
        images = by_stem(paths, "the mask {}.png")
        mask_folder = root / "masks"
        if not mask_folder.is_dir():
            raise DataError(f"{mask_folder}: no such folder; the layout is images/, masks/ and classes.txt")
        find = Groups(group_pattern, groups)
        problems = Problems(skip_bad)
        masks = {path.stem: path for path in sorted(mask_folder.glob("*.[pP][nN][gG]"))}
        for path in sorted(mask_folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES and masks.get(path.stem) != path:
                problems.report(f"{path}: not a PNG, or not the only mask of its stem; masks are index PNGs")
        for stem in sorted(masks.keys() - images.keys()):
            problems.report(f"{masks[stem]}: no image of this stem in {root / 'images'}; rename or remove the mask")
        records = []
        for stem, path in tqdm(images.items(), desc="read classes", unit="mask", leave=False, disable=None):
            classes: frozenset[int] = frozenset()
            try:
                if stem in masks:
                    mask = read_index_png(masks[stem], self.class_names)
                    _check_size(masks[stem], mask, image_size(path))
                    classes = frozenset(int(value) - 1 for value in np.flatnonzero(np.bincount(mask.ravel())) if value)
            except DataError as err:
                problems.report(str(err))
            else:
                records.append(Record(stem, path, masks.get(stem), find.of(path.name), classes))
        self._keep(records, problems)
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        if record.label_path is None:
            return np.zeros(image_hw, np.uint8)
        mask = read_index_png(record.label_path, self.class_names)
        _check_size(record.label_path, mask, image_hw)
        return mask


def _check_size(path: Path, mask: np.ndarray, image_hw: tuple[int, int]) -> None:
    if mask.shape != image_hw:
        raise DataError(
            f"{path}: the mask is {mask.shape[0]} x {mask.shape[1]}, its image {image_hw[0]} x {image_hw[1]}"
        )


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read `classes.txt`: one name a line, the first is value 1.

    Raises:
        DataError: if it is missing, empty, or a line is empty or repeats a name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or err
        raise DataError(f"{path}: cannot be read ({reason}); write one class a line, line 1 names value 1") from err
    names = [line.strip() for line in lines]
    if not names or len(names) > 255:
        raise DataError(f"{path}: {len(names)} classes; write one class a line, 1 to 255 of them")
    for number, name in enumerate(names, 1):
        if not name or name in names[: number - 1]:
            raise DataError(
                f"{path}:{number}: {'an empty line' if not name else f'{name!r} again'}; name each class once"
            )
    return tuple(names)


def read_index_png(path: Path, class_names: tuple[str, ...]) -> np.ndarray:
    """Read a mask of class values: a gray or a palette PNG, whose colours do not matter.

    Args:
        path: the file.
        class_names: of the values 1, 2, ...

    Returns:
        (H, W) uint8.

    Raises:
        DataError: naming the file, and the first pixel whose value has no class.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            raw_mode = image.tile[0].args if image.tile else ""
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
        raise DataError(f"{path}: the mask cannot be read ({err}); repair or remove it, and its image") from err
    if mode not in ("1", "L", "P") and not mode.startswith("I"):
        raise DataError(f"{path}: the mask has colours ({mode}); a gray or a palette PNG of class values is needed")
    if raw_mode in ("L;2", "L;4"):  # Pillow stretches 2 and 4 bits to 0-255
        values = values // (85 if raw_mode == "L;2" else 17)
    values = values.astype(np.int32)
    unknown = values > len(class_names)
    if unknown.any():
        y, x = np.unravel_index(int(np.argmax(unknown)), values.shape)
        found = sorted(int(v) for v in np.unique(values))
        remedy = "add it to classes.txt, or correct the mask"
        if len(class_names) == 1 and len(found) == 2:
            remedy = f"write 1 instead of {found[1]}"
        raise DataError(
            f"{path}: value {values[y, x]} at row {y}, column {x} has no name: there are {len(class_names)} "
            f"class(es); {remedy}"
        )
    return values.astype(np.uint8)
