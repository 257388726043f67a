"""From a trained generator to a weights folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from albu_gan.data import DefectDataset, Record
from albu_gan.defects import DefectBank, DefectInpainter, Shape
from albu_gan.generators import DefectGenerator
from albu_gan.hub import WeightsConfig, read_folder, write_folder
from albu_gan.pictures import contact_sheet, jpeg_bytes
from training.card import PICTURE, model_card
from training.datasets.split import Split
from training.gan.config import TrainConfig
from training.provenance import current_commit, hardware
from training.windows import components

MAX_SHAPES_A_CLASS = 400  # keeps a folder small; evenly taken from the groups


def export_weights(
    path: Path,
    generator: DefectGenerator,
    dataset: DefectDataset,
    split: Split,
    config: TrainConfig,
    provenance: dict[str, Any],
) -> None:
    """Write a weights folder: the generator in half precision, and the shapes of all groups that are not held out.

    Args:
        path: of the folder; replaced whole if it exists.
        generator: averaged over the training.
        dataset: it was trained on.
        split: whose held-out groups give nothing.
        config: of the run.
        provenance: what the run says of itself: name, licence of the weights, images_seen, steps, minutes.
    """
    seen = [*split.select(dataset.records, "train"), *split.select(dataset.records, "validation")]
    bank = build_shape_bank(dataset, seen)
    described = WeightsConfig(
        generator.config,
        dataset.class_names,
        config.window_sizes,
        training={
            "data": type(dataset).__name__,
            "source": dataset.source,
            "licence": dataset.licence,
            **({"dataset_id": dataset.dataset_id} if dataset.dataset_id else {}),
            "train_groups": list(split.train),
            "validation_groups": list(split.validation),
            "held_out_groups": list(split.held_out),
            "train_images": len(split.select(dataset.records, "train")),
            "shapes": dict(zip(dataset.class_names, bank.counts(), strict=True)),
            **provenance,
            "config": config.to_dict(),
            "commit": current_commit(),
            "torch": torch.__version__,
            "hardware": hardware(),
        },
        long_windows=config.long_windows,
    )
    state = {name: tensor.detach().cpu().half().contiguous().numpy() for name, tensor in generator.state_dict().items()}
    tensors = bank.to_tensors()
    preview = _preview(path, described, state, tensors)
    write_folder(path, described, state, tensors, model_card(described, picture=True), {PICTURE: preview})


def _preview(path: Path, config: WeightsConfig, state: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> bytes:
    """Paint the package's sample images with what is exported: a JPEG for the card that shows nothing of the data."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".preview") as folder:
        written = Path(folder) / "weights"
        write_folder(written, config, state, masks, "")
        painter = DefectInpainter(read_folder(written, str(written)))
        return jpeg_bytes(contact_sheet([painter]))


@dataclass(frozen=True)
class Found:
    """A shape of the bank, and where it was found.

    Attributes:
        shape: cut out of its mask.
        record: of the image.
        top: first row of the shape in the image.
        left: first column.
    """

    shape: Shape
    record: Record
    top: int
    left: int


def build_shape_bank(dataset: DefectDataset, records: Sequence[Record]) -> DefectBank:
    """Collect every connected shape of the records, and which borders of its image it touches."""
    return DefectBank([found.shape for found in find_shapes(dataset, records)], len(dataset.class_names))


def find_shapes(dataset: DefectDataset, records: Sequence[Record]) -> list[Found]:
    """Find what `build_shape_bank` collects, in the order of the bank."""
    shapes: dict[int, list[Found]] = {index: [] for index in range(len(dataset.class_names))}
    for record in records:
        if record.classes:
            _, mask = dataset.read(record)
            height, width = mask.shape
            for class_index, part, (top, left, h, w) in components(mask):
                cut = np.ascontiguousarray(part[top : top + h, left : left + w])
                edges = (top <= 1, left <= 1, top + h >= height - 1, left + w >= width - 1)
                centre = ((top + h / 2) / height, (left + w / 2) / width)
                shapes[class_index].append(Found(Shape(cut, class_index, edges, None, centre), record, top, left))
    kept = []
    for members in shapes.values():
        chosen = np.linspace(0, len(members) - 1, min(len(members), MAX_SHAPES_A_CLASS)).astype(int)
        kept += [members[i] for i in chosen]
    return kept
