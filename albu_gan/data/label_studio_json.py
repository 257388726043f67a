"""A Label Studio JSON export: its tasks, the annotation of each that counts, and where the image lies."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from albu_gan.data.errors import DataError, text_error
from albu_gan.data.images import IMAGE_SUFFIXES
from albu_gan.data.places import find_image

AREAS = ("brush", "polygon", "rectangle", "ellipse")
#: Regions that have an area which cannot be read here: an image with one is no longer fully labelled.
UNREAD_AREAS = ("bitmask", "bitmasklabels", "vector", "vectorlabels")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file


@dataclass(frozen=True)
class Region:
    """One region of an annotation.

    Attributes:
        kind: one of `AREAS`.
        label: the first one given to it.
        value: coordinates in percent, or a brush's code.
        size_hw: of the image it was drawn on.
        place: its id and number, for messages.
    """

    kind: str
    label: str
    value: dict[str, Any]
    size_hw: tuple[int, int]
    place: str


def read_tasks(path: Path) -> list[dict[str, Any]]:
    """Read the tasks of an export.

    Raises:
        DataError: if this is no JSON export of Label Studio.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as err:
        raise DataError(f"{path}:{err.lineno}: not JSON ({err.msg}); export it again") from err
    except (OSError, UnicodeDecodeError, RecursionError) as err:
        raise text_error(path, err) from err
    tasks = content if isinstance(content, list) else [content]
    for number, task in enumerate(tasks):
        annotations = annotations_of(task) if isinstance(task, dict) else None
        if annotations is None or not isinstance(task.get("data"), dict):
            raise DataError(
                f"{path}: task {number} has no 'data' and 'annotations'; export as JSON (not JSON-MIN, not CSV)"
            )
        if not all(isinstance(entry, dict) for entry in annotations):
            raise DataError(f"{path}: task {number}: 'annotations' must hold objects; export it again")
    return tasks


def annotations_of(task: dict[str, Any]) -> list[Any] | None:
    """Return the annotations of a task, which old versions call completions."""
    found = task.get("annotations", task.get("completions"))
    return found if isinstance(found, list) else None


def newest(task: dict[str, Any]) -> dict[str, Any] | None:
    """Return the annotation that was made last and not cancelled, by `created_at` and then by id; None if all were."""
    kept = [a for a in annotations_of(task) or () if not (a.get("was_cancelled") or a.get("skipped"))]
    return max(kept, key=lambda a: (_time(a.get("created_at")), _number(a.get("id"))), default=None)


def _time(text: object) -> datetime:
    """Return when something was, as ISO 8601 says; the beginning of time if it does not."""
    try:
        when = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        when = datetime.min
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1


def regions(annotation: dict[str, Any], passed_over: Counter[str]) -> list[Region]:
    """Return the regions of an annotation that have an area.

    Args:
        annotation: of a task.
        passed_over: kinds of results that have none are counted here.

    Raises:
        ValueError: naming the result that cannot be read.
    """
    results = annotation.get("result") or []
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise ValueError("'result' is no list of objects; export it again")
    labels = _labels(results)
    found = []
    for number, result in enumerate(results):
        kind = str(result.get("type", "")).lower()
        plain = kind.removesuffix("labels") or kind
        plain = "brush" if plain == "magicwand" else plain
        place = f"result {number} (id {result.get('id')})"
        if kind in UNREAD_AREAS:
            raise ValueError(f"{place}: a {kind} cannot be read; draw it as brush or polygon, or leave the image out")
        if plain not in AREAS:
            if kind != "labels":
                passed_over[kind or "result without type"] += 1
            continue
        value, size = result.get("value"), (result.get("original_height"), result.get("original_width"))
        names = labels.get(result.get("id")) or _names(value)
        if not isinstance(value, dict) or not all(type(side) is int and side > 0 for side in size):
            raise ValueError(f"{place}: needs value, original_width and original_height; export it again")
        if not names:
            raise ValueError(f"{place}: a {plain} without a label; give it one in Label Studio, or remove it")
        if result.get("image_rotation"):
            raise ValueError(
                f"{place}: drawn on an image turned in Label Studio; turn it back there, and draw it again"
            )
        if result.get("item_index"):
            raise ValueError(f"{place}: on page {result['item_index']} of several; only single images can be read")
        found.append(Region(plain, names[0], value, (size[0], size[1]), place))
    return found


def _labels(results: list[dict[str, Any]]) -> dict[object, list[str]]:
    """Return labels by the id of the region: with <Labels> beside <Brush>, they are results of their own."""
    found: dict[object, list[str]] = {}
    for result in results:
        names = _names(result.get("value"))
        if names and result.get("id") is not None:
            found.setdefault(result["id"], names)
    return found


def _names(value: object) -> list[str]:
    """Return the labels in the value of a result."""
    for key, names in value.items() if isinstance(value, dict) else ():
        if key.endswith("labels") and isinstance(names, list):
            return [name for name in names if isinstance(name, str) and name]
    return []


def image_reference(task: dict[str, Any]) -> str:
    """Return the address of a task's image.

    Raises:
        ValueError: if none of its data is an image, or several are.
    """
    texts = {key: value for key, value in task["data"].items() if isinstance(value, str)}
    shown = [key for key, value in texts.items() if PurePosixPath(_path_of(value)).suffix.lower() in IMAGE_SUFFIXES]
    keys = ["image"] if "image" in texts else shown
    if len(keys) != 1:
        raise ValueError(f"its data has {len(keys)} images ({', '.join(keys)}); one image a task is needed")
    return texts[keys[0]]


def _path_of(address: str) -> str:
    """Return the path in an address: of an upload, of local files (`?d=`), of a bucket or of the web."""
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    return local[0] if local else unquote(parts.path)


def locate(task: dict[str, Any], folders: list[Path]) -> Path | None:
    """Find the image of a task, with or without the eight digits that Label Studio puts before its name.

    Raises:
        ValueError: if the task has no image.
    """
    names = [_path_of(image_reference(task))]
    if isinstance(task.get("file_upload"), str):
        names.append(task["file_upload"])
    for name in names:
        path = find_image(folders, name)
        if path is not None:
            return path
    for name in names:
        last = PurePosixPath(name).name
        if UPLOADED.match(last):
            path = find_image(folders, UPLOADED.sub("", last))
            if path is not None:
                return path
    return None
