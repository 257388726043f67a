"""`python -m training.evaluation bank`: measure a bank of defects on the groups that it was not made from.

The data is halved by group. A bank is made in memory of one half, painted into surfaces of the other, and compared
with that half's real defects; so is a feathered copy-paste of the same draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from albu_gan.data import DataError, DefectDataset, Record, add_data_arguments
from albu_gan.painting import window_shapes
from training.atomic import write_json
from training.datasets import split_by_group
from training.datasets.split_file import read_split
from training.evaluation import pair_classifiers, same_background
from training.evaluation.bank_figures import class_figures, class_views, mean_figures
from training.evaluation.bank_sides import Sides, View, in_turns, read_sides
from training.evaluation.bank_table import bank_table
from training.evaluation.blind import write_blind
from training.evaluation.features import NAME, DefectFeatures, read_or_train_features
from training.evaluation.fid_kid import kid
from training.evaluation.inception import NAME as INCEPTION_NAME
from training.evaluation.inception import InceptionFeatures
from training.evaluation.memorisation import TrainingBank
from training.provenance import current_commit, hardware
from training.windows import cut_defects, load_backgrounds

JUDGED = 0.5  # the variation that classifiers and blind sheets are about
PACKAGES = ("albumentations", "numpy", "opencv-python-headless", "scikit-learn", "torch", "torchmetrics")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m training.evaluation bank`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation bank",
        description="measure what a bank of one half of the groups paints against the real defects of the other half",
    )
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json")
    parser.add_argument("--split", type=Path, help="of python -m training.datasets split; default: halves by group")
    parser.add_argument("--variation", type=float, nargs="+", default=[0.0, 0.5, 1.0], help="strengths to measure")
    parser.add_argument("--draws", type=int, default=64, help="painted windows a class and variation")
    parser.add_argument("--pairs", type=int, default=80, help="of real and painted defects on the same background")
    parser.add_argument("--images", type=int, default=60, help="annotated images that are read of each half, at most")
    parser.add_argument("--surfaces", type=int, default=40, help="held-out images to paint into, at most")
    parser.add_argument("--window-sizes", type=int, nargs="+", default=[64, 128], help="pixels")
    parser.add_argument("--features", type=Path, help="features.safetensors to use, or to write if there is none yet")
    parser.add_argument("--feature-steps", type=int, default=200, help="training steps of the feature network")
    parser.add_argument("--inception", help="path of the Inception weights, or 'download': its KID as well")
    parser.add_argument("--blind", type=int, default=0, help="real windows, and painted ones, of a sheet to be judged")
    parser.add_argument("--blind-sheet", type=Path, help="PNG; default: OUT/blind.png")
    parser.add_argument("--blind-key", type=Path, help="JSON, what each number is; default: OUT/blind-key/key.json")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be measured.

    Raises:
        ValueError: saying what is wrong.
    """
    if arguments.draws < 2 or arguments.images < 1 or arguments.surfaces < 1:
        raise ValueError("--draws must be at least 2, --images and --surfaces at least 1: figures compare sets")
    if any(not 0 <= variation <= 1 for variation in arguments.variation):
        raise ValueError(f"--variation must lie between 0 and 1, got {arguments.variation}")
    if min(arguments.pairs, arguments.blind, arguments.feature_steps - 1) < 0:
        raise ValueError("--pairs and --blind must not be negative, --feature-steps at least 1")


def measure_bank(dataset: DefectDataset, arguments: argparse.Namespace) -> str:
    """Measure and write `metrics.json`, and the blind sheet if one is asked for; returns a table.

    Raises:
        DataError: if no class has donors in one half and defects in the other.
        ValueError: for arguments out of range.
    """
    check_arguments(arguments)
    seed, variations = arguments.seed, sorted(set(arguments.variation))
    split = (
        split_by_group(dataset.records, dataset.class_names, 0.5, seed)
        if arguments.split is None
        else read_split(arguments.split, dataset.records)
    )
    halves = [split.select(dataset.records, side) for side in ("train", "held_out")]
    sides = read_sides(dataset, *halves, arguments.images, arguments.surfaces, seed)
    if not sides.classes():
        raise DataError("no class has two donors in one half of the groups and two defects in the other")
    shapes = window_shapes(tuple(sorted(set(arguments.window_sizes))), long=False)
    features = _features(dataset, halves[0], shapes[0], arguments)
    inception = InceptionFeatures(arguments.inception) if arguments.inception else None
    classes: dict[str, Any] = {}
    for index in tqdm(sides.classes(), desc="classes", unit="class", disable=None):
        views = class_views(sides, index, arguments.draws, variations, shapes, seed)
        if len(views.get("copy_paste", ())) < 2:
            continue  # nothing of the class fits into a surface, or can be seen there
        donors = _donors(sides, index, shapes)
        name = dataset.class_names[index]
        classes[name] = class_figures(views, donors, variations, features, seed)
        if inception is not None:
            classes[name]["kid_inception"] = _inception_kid(views, inception, seed)
    if not classes:
        raise DataError("no class could be painted into the held-out surfaces; nothing can be measured")
    pairs = same_background.make_pairs(sides, arguments.pairs, JUDGED, shapes, seed)
    metrics = {
        "classes": classes,
        "means": mean_figures(classes),
        "same_background": {
            "variation": JUDGED,
            "pairs": len(pairs["painted"]),
            "groups": len({pair.group for pair in pairs["painted"]}),
            **_told_apart(pairs, dataset.class_names, features, seed),
        },
        **_provenance(dataset, sides, halves, variations, features, arguments),
        **({"inception_features": INCEPTION_NAME} if inception else {}),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "metrics.json", metrics)
    if arguments.blind:
        sheet = arguments.blind_sheet or arguments.out / "blind.png"
        key = arguments.blind_key or arguments.out / "blind-key" / "key.json"
        write_blind(sides, arguments.blind, JUDGED, seed, sheet, key)
    return bank_table({arguments.data.name: metrics})


def _features(
    dataset: DefectDataset, train: Sequence[Record], shape: tuple[int, int], arguments: argparse.Namespace
) -> DefectFeatures:
    """Features of the training half, trained on the smallest windows: a few minutes rather than half an hour."""
    annotated = in_turns([record for record in train if record.classes], arguments.images, arguments.seed)
    clean = in_turns(dataset.clean_records(list(train)), arguments.surfaces, arguments.seed + 2)
    path = arguments.features
    known = path is not None and path.is_file()
    windows = [] if known else cut_defects(dataset, annotated, (shape,))
    backgrounds = [] if known else load_backgrounds(dataset, clean or annotated)
    return read_or_train_features(
        path, (windows, backgrounds), dataset, steps=arguments.feature_steps, seed=arguments.seed, device="cpu"
    )


def _donors(sides: Sides, class_index: int, shapes: tuple[tuple[int, int], ...]) -> TrainingBank:
    """Every training defect of a class, to look for the nearest one."""
    views = [donor.view(shapes) for donor in sides.donors if donor.class_index == class_index]
    return TrainingBank.of_masks([view.image for view in views], [view.mask for view in views])


def _told_apart(
    pairs: dict[str, list[same_background.Pair]], classes: Sequence[str], features: DefectFeatures, seed: int
) -> dict[str, Any]:
    """Areas of the classifiers for what is painted and pasted, over all classes and by class."""
    embedder, told = pair_classifiers.embedder(features), {}
    for name, own in pairs.items():
        areas = {
            key: same_background.summary(found) for key, found in pair_classifiers.areas(own, embedder, seed).items()
        }
        told[name] = {
            **areas.pop(None),
            "classes": {classes[key]: found for key, found in areas.items() if key is not None},
        }
    return told


def _inception_kid(views: dict[str, list[View]], inception: InceptionFeatures, seed: int) -> dict[str, float]:
    vectors = {
        name: inception.embed([view.image for view in own]) for name, own in views.items() if "_again" not in name
    }
    return {name: kid(vectors["real"], own, seed) for name, own in vectors.items() if name != "real"}


def _provenance(
    dataset: DefectDataset,
    sides: Sides,
    halves: Sequence[Sequence[Record]],
    variations: Sequence[float],
    features: DefectFeatures,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """What the figures are of, and what made them."""
    formulas = zip(dataset.class_names, sides.painter.bank.formulas, strict=True)
    return {
        "what": "a bank of one half of the groups, painted into surfaces of the other, against its real defects",
        "variations": list(variations),
        "donors": len(sides.donors),
        "unseen_defects": len(sides.unseen),
        "surfaces": len(sides.surfaces),
        "surfaces_clean": bool(dataset.clean_records(list(halves[1]))),
        "groups": [len({record.group for record in half}) for half in halves],
        "left_out": sides.left_out,
        "formulas": {name: [round(s, 2) for s in (f.ratio, f.difference, f.pixels)] for name, f in formulas},
        "window_sizes": sorted(set(arguments.window_sizes)),
        "features": NAME,
        "num_features": features.num_features,
        "feature_steps": features.steps,
        "seed": arguments.seed,
        "source": dataset.source,
        "licence": dataset.licence,
        "commit": current_commit(),
        "hardware": hardware(),
        "versions": {name: version(name) for name in PACKAGES},
    }
