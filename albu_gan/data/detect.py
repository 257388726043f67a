"""Which layout a folder is in, by what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from albu_gan.data.errors import DataError
from albu_gan.data.images import find_files
from albu_gan.data.labelme_files import label_folders
from albu_gan.data.voc import MASK_FOLDERS

PROBED = 5  # JSON files that are looked into
MAX_PROBED_BYTES = 64 << 20


def detect_format(root: Path) -> str:
    """Return the name of the layout, one of `FORMATS`.

    Raises:
        DataError: if none fits, or more than one.
    """
    fitting = [name for name, fits in LAYOUTS.items() if fits(root)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DataError(f"{root}: may be {' or '.join(fitting)}; say which with --format")
    wanted = "; ".join(f"{name}: {what}" for name, what in SIGNS.items())
    raise DataError(f"{root}: no layout was recognised. Looked for {wanted}. Say which with --format")


#: What each layout is known by.
SIGNS = {
    "folder": "images/, masks/ and classes.txt",
    "coco": "a JSON with images, annotations and categories",
    "labelme": "a JSON with shapes beside each image",
    "severstal": "train.csv and train_images/",
    "magnetic-tile": "folders MT_CLASS/Imgs/",
    "voc": "JPEGImages/ and SegmentationClass/",
}


def _is_folder(root: Path) -> bool:
    tables = ("classes.txt", "labelmap.txt")
    return all((root / name).is_dir() for name in ("images", "masks")) and any((root / n).is_file() for n in tables)


def _is_severstal(root: Path) -> bool:
    return (root / "train.csv").is_file() and (root / "train_images").is_dir()


def _is_magnetic_tile(root: Path) -> bool:
    return root.is_dir() and any((folder / "Imgs").is_dir() for folder in root.glob("MT_*"))


def _is_coco(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() == ".json"
    places = (root.glob("*.json"), root.glob("annotations/*.json"))
    return any(_has(path, ("images", "annotations", "categories")) for place in places for path in _some(place))


def _is_labelme(root: Path) -> bool:
    return any(
        _has(path, ("shapes",)) for folder in label_folders(root) for path in _some(find_files(folder, {".json"}))
    )


def _some(paths: object) -> list[Path]:
    """The first few of them that are not what macOS leaves beside each file."""
    return list(islice((path for path in sorted(paths) if not path.name.startswith("._")), PROBED))  # type: ignore[call-overload]


def _has(path: Path, keys: tuple[str, ...]) -> bool:
    """Whether a file is a JSON object with these keys."""
    try:
        if path.stat().st_size > MAX_PROBED_BYTES:
            return keys[0] == "images"  # nothing but a COCO file is as large
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and all(key in content for key in keys)


LAYOUTS: dict[str, Callable[[Path], bool]] = {
    "folder": _is_folder,
    "coco": _is_coco,
    "labelme": _is_labelme,
    "severstal": _is_severstal,
    "magnetic-tile": _is_magnetic_tile,
    "voc": lambda root: any((root / name).is_dir() for name in MASK_FOLDERS),
}
