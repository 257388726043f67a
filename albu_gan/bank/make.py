"""Annotated images in, a weights folder out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from albu_gan.data import DataError, DefectDataset, Record
from albu_gan.defects import Annotated, Collected, DefectInpainter, LeftOut
from albu_gan.hub import MODEL, WeightsConfig, WeightsFolder, bank_card, read_folder, write_folder
from albu_gan.pictures import bank_sheet, jpeg_bytes

PICTURE = "preview.jpg"
SURFACES = 6  # clean images that the picture is painted into


@dataclass(frozen=True)
class BankReport:
    """What `make_bank` made.

    Attributes:
        folder: that was written.
        images: annotated images that were read.
        defects: kept, by class; a compound is counted for each class that it holds.
        total: kept, each counted once.
        compounds: kept, of several classes whose labels touch.
        left_out: the others.
    """

    folder: WeightsFolder
    images: int
    defects: dict[str, int]
    total: int
    compounds: int
    left_out: Sequence[LeftOut]

    def lines(self) -> list[str]:
        """Return what a person wants to know."""
        kept = ", ".join(f"{count} {name}" for name, count in self.defects.items() if count)
        lines = [f"{self.total} defects of {self.images} annotated images: {kept}"]
        if self.compounds:
            lines.append(
                f"{self.compounds} of them are compounds: touching labels of several classes, painted as one and "
                "counted for each class"
            )
        empty = [name for name, count in self.defects.items() if not count]
        if empty:
            lines.append(f"nothing to paint of {', '.join(empty)}; the values of the other classes in a mask stay")
        if self.left_out:
            reasons = Counter(entry.kind for entry in self.left_out)
            said = ", ".join(f"{count} {kind}" for kind, count in reasons.most_common())
            lines.append(f"left out: {said}; {LEFT_OUT} lists them")
        return lines


LEFT_OUT = "left_out.txt"


def make_bank(
    dataset: DefectDataset,
    records: Sequence[Record],
    out: Path,
    *,
    classes: Sequence[str] | None = None,
    weights: WeightsFolder | None = None,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
    progress: bool = True,
) -> BankReport:
    """Cut the defects of annotated images out, and write them as a weights folder with a picture of what they paint.

    Args:
        dataset: that the records are of.
        records: to be read; those without a defect are what the picture is painted into.
        out: the folder; a weights folder that is there is replaced.
        classes: names of those that are wanted; None for all that have defects.
        weights: whose generator goes into the folder, too, and paints in shapes of the bank; its classes must be those
            of the defects. None for a bank alone.
        seed: of the picture.
        provenance: more entries for the card, or others in place of those that are found: name, source, licence, split.
        progress: show a progress bar.

    Raises:
        DataError, ValueError: if an image cannot be read, a class is unknown, or no defect can be used.
        FileExistsError: if `out` exists and is no weights folder.
    """
    unknown = [name for name in classes or () if name not in dataset.class_names]
    if unknown:
        raise DataError(f"no class {unknown[0]!r} in the data; its classes are {', '.join(dataset.class_names)}")
    found = Collected(compounds=weights is None)  # a generator paints shapes of one class each
    annotated = [record for record in records if record.classes]
    for record in tqdm(annotated, desc="defects", unit="image", leave=False, disable=None if progress else True):
        image, mask = dataset.read(record)
        if classes is not None:
            wanted = [dataset.class_names.index(name) + 1 for name in classes]
            mask = np.where(np.isin(mask, wanted), mask, 0)
        found.add(Annotated(record.name, image, mask, record.group))
    # Classes without a defect keep their place: the values of masks stay those of the data.
    bank, names = found.bank(dataset.class_names), tuple(dataset.class_names)
    every = range(len(names))
    counts = dict(zip(names, bank.counts(every), strict=True))
    training = {
        "name": out.name,
        "data": type(dataset).__name__,
        "source": dataset.source,
        "licence": dataset.licence,
        "images": len(annotated),
        "defects": counts,
        **({"compounds": len(bank.compounds)} if bank.compounds else {}),
        "left_out": dict(Counter(entry.kind for entry in found.left_out)),
        "formulas": {
            name: f"{f.ratio:.1f} {f.difference:.1f} {f.pixels:.1f}"
            for name, f in zip(names, bank.formulas, strict=True)
            if counts[name]
        },
        **(provenance or {}),
    }
    config, model = WeightsConfig(None, names, training=training), None
    if weights is not None:
        config, model = _with_generator(config, weights)
    painter = DefectInpainter.from_bank(bank, names)
    picture = jpeg_bytes(bank_sheet(painter, list(_surfaces(dataset, records, seed)), seed))
    listed = "".join(
        f"{entry.name}: {dataset.class_names[entry.class_index]} at row {entry.top}, column {entry.left}: "
        f"{entry.reason}\n"
        for entry in found.left_out
    )
    pictures = {PICTURE: picture, **({LEFT_OUT: listed.encode()} if listed else {})}
    write_folder(out, config, model, bank.to_tensors(), bank_card(config, PICTURE), pictures)
    folder = read_folder(out, str(out))
    assert DefectInpainter(folder).bank.counts(every) == bank.counts(every), "what was written can be read"
    return BankReport(folder, len(annotated), counts, len(bank), len(bank.compounds), found.left_out)


def _with_generator(config: WeightsConfig, weights: WeightsFolder) -> tuple[WeightsConfig, dict[str, np.ndarray]]:
    """Take over the generator of other weights.

    Raises:
        DataError: if they hold none, or of other classes.
    """
    from safetensors.numpy import load_file

    given = weights.config
    if given.generator is None:
        raise DataError(f"{weights.name} holds no generator; leave --weights out, a bank paints without one")
    if given.class_names != config.class_names:
        raise DataError(
            f"the generator of {weights.name} paints {', '.join(given.class_names)}, the defects are "
            f"{', '.join(config.class_names)}; its classes must be the same, in the same order"
        )
    both = replace(config, generator=given.generator, window_sizes=given.window_sizes, long_windows=given.long_windows)
    return both, load_file(weights.path / MODEL)


def _surfaces(
    dataset: DefectDataset, records: Sequence[Record], seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Images for the picture, each with where nothing may be painted: clean ones, or the clean parts of the others."""
    clean = dataset.clean_records(list(records)) or list(records)
    rng = np.random.default_rng(seed)
    for index in rng.permutation(len(clean))[:SURFACES]:
        image, mask = dataset.read(clean[index])
        region = dataset.background_region(image)
        blocked = mask > 0 if region is None else (mask > 0) | ~region
        yield image, blocked if blocked.any() else None
