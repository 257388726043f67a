"""Boxes of painted defects, labelled as Albumentations labelled those that were there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from albu_gan.defects import patch_box
from albu_gan.painting import Patch


def with_boxes(
    bboxes: np.ndarray, patches: Sequence[Patch], labels: Sequence[Any], image_hw: tuple[int, int], processor: Any
) -> np.ndarray:
    """Append a box a defect.

    Args:
        bboxes: (N, 4 + label fields), as Albumentations passes them.
        patches: of the defects, at least one.
        labels: of each patch; a mapping gives one for each label field.
        image_hw: height and width of the image.
        processor: Albumentations' processor of boxes, None without `bbox_params`.

    Returns:
        (N + defects, 4 + label fields) float32.

    Raises:
        ValueError: if labels and label fields do not fit each other.
    """
    boxes = np.array([patch_box(patch, image_hw) for patch in patches], np.float32)
    added = np.hstack([boxes, _encoded(labels, bboxes, processor)]).astype(np.float32)
    if bboxes.size == 0:
        return added
    if bboxes.shape[1] != added.shape[1]:
        raise ValueError(
            f"boxes have {bboxes.shape[1] - 4} labels each, bbox_labels gives {added.shape[1] - 4}; "
            "give one {field: label} for each label field"
        )
    return np.vstack([bboxes, added])


def _encoded(labels: Sequence[Any], bboxes: np.ndarray, processor: Any) -> np.ndarray:
    """Encode labels as Albumentations encoded those of the existing boxes: (N, number of label fields)."""
    fields = list(processor.params.label_fields or []) if processor is not None else []
    columns = []
    for field in fields:
        values = [label[field] if isinstance(label, Mapping) and field in label else label for label in labels]
        if any(isinstance(value, Mapping) for value in values):
            raise ValueError(f"bbox_labels has no label for the label field {field!r}; the fields are {fields}")
        known = processor.label_manager.metadata["bboxes"].get(field)
        if known is not None and known.is_numerical != all(isinstance(value, (int, float)) for value in values):
            raise ValueError(
                f"label field {field!r} holds {'numbers' if known.is_numerical else 'strings'}, bbox_labels gives "
                f"{values[0]!r}; use the same kind in both"
            )
        if known is not None and known.dtype is not None and known.dtype.kind == "U":
            known.dtype = np.result_type(known.dtype, np.asarray(values))  # or a longer label would be cut off
        columns.append(np.asarray(processor.label_manager.process_field("bboxes", field, values)).reshape(-1, 1))
    if columns:
        return np.hstack(columns).astype(np.float32)
    inline = bboxes.shape[1] - 4 if bboxes.ndim == 2 and bboxes.size else 1
    if inline == 0:
        return np.empty((len(labels), 0), np.float32)
    if not all(isinstance(label, (int, float)) for label in labels):
        raise ValueError(
            f"labels inside the boxes are numbers, bbox_labels gives {labels[0]!r}; "
            "use numbers, or label_fields in BboxParams"
        )
    return np.array(labels, np.float32).reshape(-1, 1)
