"""COCO annotations of painted defects: run-length codes that are exact to the pixel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

import numpy as np

Records = Callable[[], Iterable[dict[str, Any]]]


def encode_mask(mask: np.ndarray, offset_yx: tuple[int, int], image_hw: tuple[int, int]) -> dict[str, Any]:
    """Encode a small mask that lies somewhere in an image.

    Args:
        mask: (h, w) bool, inside the image at the offset, with at least one pixel set.
        offset_yx: of its upper left corner.
        image_hw: of the image.

    Returns:
        `segmentation` (`size` and compressed `counts`), `area` in pixels and `bbox` (x, y, width, height).

    References:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014; the string is that of `rleToString` in
        https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
    """
    (top, left), (height, width) = offset_yx, image_hw
    # Runs go down the columns. Those of one column start and end where a zero and a one meet.
    steps = np.diff(np.pad(mask.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts = [(left + column) * height + top + row for column, row in np.argwhere(steps == 1).tolist()]
    ends = [(left + column) * height + top + row for column, row in np.argwhere(steps == -1).tolist()]
    counts: list[int] = []
    position = 0
    for start, end in zip(starts, ends, strict=True):
        if counts and start == position:  # the column before ends at the lower border, this one starts at the upper
            counts[-1] += end - start
        else:
            counts += [start - position, end - start]
        position = end
    if position < height * width:
        counts.append(height * width - position)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return {
        "bbox": [
            left + int(columns[0]),
            top + int(rows[0]),
            int(columns[-1] - columns[0]) + 1,
            int(rows[-1] - rows[0]) + 1,
        ],
        "area": int(mask.sum()),
        "segmentation": {"size": [height, width], "counts": compress_counts(counts)},
    }


def compress_counts(counts: Sequence[int]) -> str:
    """Write lengths of runs as COCO does: five bits a character, from the fourth run on the change since two before."""
    text = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text.append(chr(48 + bits + (32 if more else 0)))
    return "".join(text)


def write_annotations(file: TextIO, class_names: Sequence[str], records: Records, description: str) -> None:
    """Write a COCO instance file, one entry a line, so that a million samples need no memory.

    Args:
        file: open for writing.
        class_names: category `i + 1` is class `i`, as in the index masks.
        records: gives the manifest's records anew at each call.
        description: for `info`.
    """
    categories = [{"id": i, "name": name, "supercategory": "defect"} for i, name in enumerate(class_names, 1)]
    file.write(f'{{"info": {json.dumps({"description": description}, ensure_ascii=False)},\n"licenses": [],\n')
    file.write(f'"categories": {json.dumps(categories, ensure_ascii=False)},\n"images": [')
    _write_entries(file, (_image(record) for record in records()))
    file.write('],\n"annotations": [')
    _write_entries(file, _annotations(records()))
    file.write("]}\n")


def _write_entries(file: TextIO, entries: Iterable[dict[str, Any]]) -> None:
    for number, entry in enumerate(entries):
        file.write(("," if number else "") + "\n" + json.dumps(entry, ensure_ascii=False))


def _image(record: dict[str, Any]) -> dict[str, Any]:
    name = record["image"].rpartition("/")[2]
    return {"id": record["index"] + 1, "file_name": name, "width": record["width"], "height": record["height"]}


def _annotations(records: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    number = 0
    for record in records:
        for defect in record["defects"]:
            number += 1
            yield {
                "id": number,
                "image_id": record["index"] + 1,
                "category_id": defect["value"],
                "segmentation": defect["segmentation"],
                "area": defect["area"],
                "bbox": defect["bbox"],
                "iscrowd": 0,
            }
