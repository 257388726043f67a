"""Make the bundled bank, and the samples that go with it: `python -m training.surfaces --data DIR`."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from albu_gan.bank import PICTURE
from albu_gan.data import DataError, DefectDataset, Record, fill_defects, open_dataset
from albu_gan.defects import Annotated, Collected, DefectInpainter, Donor, roughness
from albu_gan.hub import WeightsConfig, bank_card, find_weights, write_folder
from albu_gan.pictures import bank_sheet, jpeg_bytes, surfaces_of
from training.datasets.split import Split, split_by_group
from training.provenance import current_commit
from training.surfaces.sources import SOURCES, Source

NAME = "surfaces-v1"
PER_CLASS = 60  # donors
LONGEST = 320  # pixels of a donor's longer side; what is larger takes too many bytes
SHORTEST = 5  # pixels, likewise, of the longer side: specks say little
TRAIN_FRACTION = 0.5  # of the groups; the others are held out
SAMPLE_HW = (288, 384)
SAMPLE_QUALITY = 90
CANDIDATES = 30  # clean images that samples are chosen from
LICENCE = (
    "CC BY-SA 4.0, as one of its sources is (BSData); each source under its own licence, see below. The notices of "
    "MIT, BSD and Apache are kept in ATTRIBUTION.md of the package's samples"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.surfaces", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds surfaces/ and bsdata/")
    parser.add_argument("--out", type=Path, default=Path("albu_gan/weights") / NAME)
    parser.add_argument("--samples", type=Path, default=Path("albu_gan/samples"), help="where samples are written")
    parser.add_argument("--seed", type=int, default=0, help="of splits and choices")
    arguments = parser.parse_args(argv)
    try:
        make(arguments.data, arguments.out, arguments.samples, arguments.seed)
    except (DataError, FileExistsError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    return 0


def make(data: Path, out: Path, samples: Path, seed: int) -> None:
    """Collect donors of every source from half of its groups, write the bank, the samples and the picture."""
    found, names, held_out = Collected(), [], {}
    for source in SOURCES:
        dataset = open_source(data, source)
        split = split_source(source, dataset, seed)
        held_out[source.folder] = list(split.held_out)
        mine = collect_source(source, dataset, split)
        first = len(names)
        names += list(source.classes.values())
        for index in evenly_chosen(mine, seed):
            shape = mine.shapes[index]
            found.shapes.append(replace(shape, class_index=first + shape.class_index))
            found.donors.append(renumbered(mine.donors[index], first))
            found.evidence.append(mine.evidence[index])
            found.groups.append((source.folder, mine.groups[index]))
        if source.samples and source.folder != "bsdata":
            write_samples(source, dataset, split, samples, seed)
        print(
            f"{source.folder}: {len(mine.shapes)} defects of {len(split.train)} groups, {len(mine.left_out)} left out"
        )
    bank = found.bank(names)
    counts = dict(zip(names, bank.counts(range(len(names))), strict=True))
    training: dict[str, Any] = {
        "name": NAME,
        "data": f"{len(SOURCES)} public data sets, half of the groups of each",
        "licence": LICENCE,
        "licence_id": "cc-by-sa-4.0",
        "sources": [f"{s.attribution}. Licence as stated: {s.licence}" for s in SOURCES],
        "defects": counts,
        "formulas": {
            name: f"{f.ratio:.1f} {f.difference:.1f} {f.pixels:.1f}"
            for name, f in zip(names, bank.formulas, strict=True)
        },
        "held_out_groups": held_out,
        "seed": seed,
        "commit": current_commit(),
    }
    config = WeightsConfig(None, tuple(names), training=training)
    painter = DefectInpainter.from_bank(bank, names)
    sheet = bank_sheet(painter, [], seed, {index: surfaces_of(name) for index, name in enumerate(names)})
    write_folder(out, config, None, bank.to_tensors(), bank_card(config, PICTURE), {PICTURE: jpeg_bytes(sheet)})
    print(f"{len(bank)} defects, {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB: {out}")


def renumbered(donor: Donor, first: int) -> Donor:
    """Return a donor of a source whose classes begin at this number."""
    parts = donor.appearance.parts
    if parts is None:
        return donor
    parts = replace(parts, classes=tuple(first + index for index in parts.classes))
    return replace(donor, appearance=replace(donor.appearance, parts=parts))


def open_source(data: Path, source: Source) -> DefectDataset:
    """Open a data set of the bundle."""
    return open_dataset(source.format, data / source.folder, source.group_pattern)


def split_source(source: Source, dataset: DefectDataset, seed: int) -> Split:
    """Divide the groups; those that other bundled weights hold out are held out here, too."""
    split = split_by_group(dataset.records, dataset.class_names, TRAIN_FRACTION, seed)
    if source.folder == "bsdata":
        known = set(find_weights("bsdata-pitting-v1").config.training["held_out_groups"])
        groups = sorted({record.group for record in dataset.records})
        split = Split(tuple(g for g in groups if g not in known), tuple(g for g in groups if g in known))
    return split


def collect_source(source: Source, dataset: DefectDataset, split: Split) -> Collected:
    """Cut the defects of the training groups out, classes in the order of the source."""
    found = Collected()
    wanted = {dataset.class_names.index(name) + 1: index for index, name in enumerate(source.classes)}
    for record in tqdm(
        split.select(dataset.records, "train"), desc=source.folder, unit="image", leave=False, disable=None
    ):
        if record.classes:
            image, mask = dataset.read(record)
            renamed = np.zeros_like(mask)
            for value, index in wanted.items():
                renamed[mask == value] = index + 1
            found.add(Annotated(record.name, image, renamed, record.group))
    return found


def evenly_chosen(found: Collected, seed: int) -> list[int]:
    """Choose up to `PER_CLASS` donors a class, in turns from every group."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for class_index in sorted({shape.class_index for shape in found.shapes}):
        by_group: dict[Hashable, list[int]] = defaultdict(list)
        for index, shape in enumerate(found.shapes):
            if shape.class_index == class_index and SHORTEST <= max(shape.mask.shape) <= LONGEST:
                by_group[found.groups[index]].append(index)
        queues = [list(rng.permutation(by_group[group])) for group in sorted(by_group, key=str)]
        rng.shuffle(queues)
        mine: list[int] = []
        while any(queues) and len(mine) < PER_CLASS:
            for queue in queues:
                if queue and len(mine) < PER_CLASS:
                    mine.append(int(queue.pop()))
        chosen += sorted(mine)
    return chosen


def write_samples(source: Source, dataset: DefectDataset, split: Split, folder: Path, seed: int) -> None:
    """Write clean images of held-out groups, those of middling grain, cut to `SAMPLE_HW` where they are larger."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    records = split.select(dataset.records, "held_out")
    clean: list[Record] = [r for r in records if not r.classes] or records
    order = [clean[int(index)] for index in rng.permutation(len(clean))][:CANDIDATES]
    grains = [roughness(dataset.read_image(record).astype(np.float32)) for record in order]
    order = [order[int(index)] for index in np.argsort(np.abs(np.array(grains) - np.median(grains)))]
    written = 0
    for record in order:
        image, mask = dataset.read(record)
        filled = fill_defects(image, mask) if mask.any() else image
        if filled is None:
            continue
        height, width = (min(side, limit) for side, limit in zip(filled.shape[:2], SAMPLE_HW, strict=True))
        top, left = (filled.shape[0] - height) // 2, (filled.shape[1] - width) // 2
        cut = np.ascontiguousarray(filled[top : top + height, left : left + width])
        bgr = cut if cut.shape[2] == 1 else cv2.cvtColor(cut, cv2.COLOR_RGB2BGR)
        written += 1
        path = folder / f"{source.surface}-{written}.jpg"
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, SAMPLE_QUALITY]):
            raise OSError(f"{path}: could not be written")
        note = ", defect filled in" if mask.any() else ""
        print(f"{path.name}: {record.image_path.name}, row {top}, column {left}{note}")
        if written == source.samples:
            return


if __name__ == "__main__":
    sys.exit(main())
