"""Which layout a folder is in, by what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from albu_gan.data.cvat import cvat_files
from albu_gan.data.errors import DataError
from albu_gan.data.images import find_files
from albu_gan.data.label_studio import looks_exported
from albu_gan.data.labelme_files import label_folders
from albu_gan.data.mvtec import is_object, objects_in
from albu_gan.data.voc import MASK_FOLDERS
from albu_gan.data.yolo_yaml import yaml_files

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
        shown = " or ".join(f"{name} ({SIGNS[name]})" for name in fitting)
        raise DataError(f"{root}: may be {shown}; say which with --format")
    raise DataError(f"{root}: no layout was recognised. {_hint(root)}Say which with --format")


#: What each layout is known by.
SIGNS = {
    "folder": "images/, masks/ and classes.txt",
    "coco": "a JSON with images, annotations and categories",
    "labelme": "a JSON with shapes beside each image",
    "severstal": "train.csv and train_images/",
    "magnetic-tile": "folders MT_CLASS/Imgs/",
    "mvtec": "train/good, test/DEFECT and ground_truth/DEFECT",
    "yolo": "a data.yaml with names and train",
    "cvat": "an XML with <annotations> and <image>",
    "label-studio": "a JSON list of tasks with annotations",
    "voc": "JPEGImages/ and SegmentationClass/",
}


def _hint(root: Path) -> str:
    """Say what is nearly a layout, or what was looked for."""
    if root.is_dir() and (root / "notes.json").is_file() and (root / "labels").is_dir():
        return (
            "images/, labels/ and notes.json are a YOLO export of Label Studio, without brushes and the rotation of "
            "boxes: export the project as JSON. "
        )
    if root.is_dir() and (root / "labels").is_dir() and any((root / "labels").rglob("*.txt")):
        return "labels/ holds text files as YOLO has them, but there is no data.yaml: give the folder that holds it. "
    return f"Looked for {'; '.join(f'{name}: {what}' for name, what in SIGNS.items())}. "


def _is_folder(root: Path) -> bool:
    tables = ("classes.txt", "labelmap.txt")
    return all((root / name).is_dir() for name in ("images", "masks")) and any((root / n).is_file() for n in tables)


def _is_severstal(root: Path) -> bool:
    return (root / "train.csv").is_file() and (root / "train_images").is_dir()


def _is_magnetic_tile(root: Path) -> bool:
    return root.is_dir() and any((folder / "Imgs").is_dir() for folder in root.glob("MT_*"))


def _is_coco(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() == ".json" and _first_character(root) != "["
    places = (root.glob("*.json"), root.glob("annotations/*.json"))
    return any(_has(path, ("images", "annotations", "categories")) for place in places for path in _some(place))


def _is_labelme(root: Path) -> bool:
    return any(
        _has(path, ("shapes",)) for folder in label_folders(root) for path in _some(find_files(folder, {".json"}))
    )


def _is_mvtec(root: Path) -> bool:
    return is_object(root) or bool(objects_in(root))


def _is_yolo(root: Path) -> bool:
    return root.suffix.lower() in (".yaml", ".yml") if root.is_file() else bool(yaml_files(root))


def _is_label_studio(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() == ".json" and _first_character(root) == "["
    return any(looks_exported(path) for path in _some(root.glob("*.json")))


def _some(paths: object) -> list[Path]:
    """The first few of them that are not what macOS leaves beside each file."""
    return list(islice((path for path in sorted(paths) if not path.name.startswith("._")), PROBED))  # type: ignore[call-overload]


def _first_character(path: Path) -> str:
    """Return what a text file begins with, blanks apart."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(1024).lstrip()[:1]
    except OSError:
        return ""


def _has(path: Path, keys: tuple[str, ...]) -> bool:
    """Whether a file is a JSON object with these keys."""
    if _first_character(path) != "{":
        return False
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
    "mvtec": _is_mvtec,
    "yolo": _is_yolo,
    "cvat": lambda root: bool(cvat_files(root)),
    "label-studio": _is_label_studio,
    "voc": lambda root: any((root / name).is_dir() for name in MASK_FOLDERS),
}
