"""What an Ultralytics `data.yaml` says: names of the classes, and where the images lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from albu_gan.data.errors import DataError, text_error
from albu_gan.data.images import IMAGE_SUFFIXES
from albu_gan.data.places import existing, find_image

SPLITS = ("train", "val", "validation", "test")
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class YoloYaml:
    """A data.yaml, read.

    Attributes:
        path: the file.
        names: of the classes, in the order of their numbers.
        images: paths of the images of all splits, sorted, each once.
        missing: splits that it names and that are not there.
    """

    path: Path
    names: tuple[str, ...]
    images: list[Path]
    missing: list[str]


def find_yaml(root: Path) -> Path | None:
    """Return the data.yaml of a folder, or the path itself if it is a file; None if there is none.

    Raises:
        DataError: if there are several, and none is called data.yaml.
    """
    if root.is_file():
        return root
    found = yaml_files(root)
    named = [path for path in found if path.stem == "data"]
    if len(found) > 1 and len(named) != 1:
        raise DataError(f"{root}: several ({', '.join(path.name for path in found)}); give the path of one as the data")
    return next(iter(named or found or root.glob("data.yaml")), None)


def yaml_files(root: Path) -> list[Path]:
    """Return the files of a folder that name classes and images, and a data.yaml that cannot be read."""
    paths = (path for suffix in ("yaml", "yml") for path in root.glob(f"[!.]*.{suffix}"))
    return sorted(path for path in paths if _names_images(path))


def _names_images(path: Path) -> bool:
    try:
        content = load(path)
    except DataError:
        return path.stem == "data"
    return ("names" in content or "nc" in content) and any(split in content for split in SPLITS)


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        DataError: if it is none; names the line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: too large for a data.yaml; give the folder that holds it")
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        raise DataError(f"{path}{line}: not YAML ({getattr(err, 'problem', None) or err}); correct it") from err
    except (OSError, UnicodeDecodeError, RecursionError, ValueError) as err:
        raise text_error(path, err) from err
    if not isinstance(content, dict):
        raise DataError(f"{path}: no data.yaml of Ultralytics: it needs names and train; write them, or export again")
    return content


def read_yaml(path: Path) -> YoloYaml:
    """Read a data.yaml and list its images, with paths resolved as Ultralytics does.

    `path` of the file counts from the file's own folder, or from the current one; as sets are moved, the file's folder
    will do as well. A split counts from there, and `../train/images`, as Roboflow writes it, also without the `../`. A
    split is a folder, which is searched with its sub-folders, a text file of paths, or a list of these.

    Raises:
        DataError: naming what is missing.
    """
    content = load(path)
    bases = _bases(path, content.get("path"))
    images: set[Path] = set()
    missing, tried = [], []
    for split in SPLITS:
        entries = content.get(split)
        for entry in entries if isinstance(entries, list) else [entries] if entries else []:
            place = next((place for place in _candidates(bases, str(entry)) if place.exists()), None)
            if place is None:
                missing.append(split)
                tried.append(f"{split}: {entry}")
            elif place.is_dir():
                images.update(file for file in place.rglob("*") if _is_image(file))
            else:
                images.update(_listed(place, bases))
    if not images:
        reason = f"; not there: {', '.join(tried)}" if tried else "; it needs train: images/train"
        raise DataError(f"{path}: names no images{reason}. Paths were looked for in {', '.join(map(str, bases))}")
    return YoloYaml(path, _class_names(path, content), sorted(images), missing)


def _bases(path: Path, named: object) -> list[Path]:
    """Return the folders from which a split's path may count."""
    own = path.parent
    return existing([*([own / named, Path(named)] if isinstance(named, str) and named else []), own])


def _candidates(bases: list[Path], entry: str) -> list[Path]:
    """Return where a split may lie."""
    plain = entry.replace("\\", "/")
    names = [plain, plain.removeprefix("../")] if plain.startswith("../") else [plain]
    return [base / name for base in bases for name in names]


def _listed(path: Path, bases: list[Path]) -> list[Path]:
    """Return the images that a text file lists, one a line.

    Raises:
        DataError: naming the line whose image is not there.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise text_error(path, err) from err
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            absolute = Path(line.strip())
            image = absolute if absolute.is_absolute() and absolute.is_file() else None
            image = image or find_image([path.parent, *bases], line.strip())
            if image is None:
                raise DataError(f"{path}:{number}: no image {line.strip()}; correct the path, or remove the line")
            found.append(image)
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def _class_names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """Return the names, given as a list, as a mapping from number to name, or by their count alone."""
    names = content.get("names")
    if names is None and type(content.get("nc")) is int:
        names = [f"class_{index}" for index in range(content["nc"])]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DataError(f"{path}: needs names, a list or a mapping from number to name")
    try:
        by_number = {int(number): str(name) for number, name in names.items()}
    except (TypeError, ValueError) as err:
        raise DataError(f"{path}: names must map whole numbers to names") from err
    if sorted(by_number) != list(range(len(names))):
        raise DataError(f"{path}: the numbers of names must run from 0 to {len(names) - 1}, got {sorted(by_number)}")
    ordered = tuple(by_number[number] for number in range(len(names)))
    if len(set(ordered)) < len(ordered):
        raise DataError(f"{path}: names has a name twice: {', '.join(ordered)}")
    return ordered
