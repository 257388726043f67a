"""What a data set turned out to be, in one paragraph; and what is known of a tool's export that loses something."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from albu_gan.data.coco import CocoDataset
from albu_gan.data.errors import DataError, counted
from albu_gan.data.record import DefectDataset
from albu_gan.data.yolo import YoloDataset

NAMED = 12  # classes that are listed one by one


def describe(dataset: DefectDataset, root: Path, name: str, progress: bool = True) -> str:
    """Say what was found.

    Args:
        dataset: opened.
        root: where.
        name: of its layout.
        progress: show a progress bar where masks must be read to count what they hold.

    Returns:
        One paragraph: images, with defects, classes, how many defects, what was left out and why.
    """
    images: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    unread = 0
    shown = None if progress else True
    for record in tqdm(dataset.records, desc="count defects", unit="image", leave=False, disable=shown):
        images.update(record.classes)
        try:
            counts.update(dataset.instances(record))
        except DataError:  # whoever reads the mask will say so
            unread += 1
    defective = sum(bool(record.classes) for record in dataset.records)
    total = len(dataset.records)
    listed = [
        f"{label} ({counted(images[index], 'image')}, {counts[index]})"
        for index, label in enumerate(dataset.class_names)
    ]
    if len(listed) > NAMED:
        listed = [*listed[:NAMED], f"and {len(listed) - NAMED} more"]
    number = len(dataset.class_names)
    defect = "instance" if dataset.has_instances else "connected patch"  # of a mask, which may be parts of one defect
    parts = [
        f"{root}: {name}, {counted(total, 'image')}, {defective} with defects, {total - defective} clean",
        f"{counted(number, 'class')}, {counted(sum(counts.values()), defect)}: {', '.join(listed) or 'none'}",
    ]
    if unread:
        parts.append(f"{counted(unread, 'label')} could not be read; --skip-bad leaves such images out")
    if dataset.skipped:
        problems = counted(len(dataset.skipped), "problem")
        parts.append(f"Images were left out for {problems}, listed above; the first: {dataset.skipped[0]}")
    parts += [note for note in (*dataset.notes, *lossy_export(dataset)) if note]
    return ". ".join(part.rstrip(".") for part in parts) + "."


def lossy_export(dataset: DefectDataset) -> list[str]:
    """Warn of a file that a converter wrote which is known to lose pixels, and say what to export instead."""
    if isinstance(dataset, CocoDataset) and _contributor(dataset.path) == "Label Studio":
        return [
            "This COCO file is Label Studio's, which draws brushes half a pixel too small, fills their holes and drops "
            "ellipses and the pixels of rectangles: export the project as JSON, which is read as label-studio"
        ]
    if isinstance(dataset, YoloDataset) and _contributor(dataset.path.parent / "notes.json") == "Label Studio":
        return [
            "These YOLO labels are Label Studio's, which drops the rotation of boxes and ellipses, and brushes: export "
            "the project as JSON, which is read as label-studio"
        ]
    return []


def _contributor(path: Path) -> object:
    """Return who wrote a file, as its `info` says."""
    try:
        info = json.loads(path.read_text(encoding="utf-8-sig")).get("info")
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    return info.get("contributor") if isinstance(info, dict) else None
