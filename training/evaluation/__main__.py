"""`python -m training.evaluation`: measure a painter on the groups its training never saw.

`python -m training.evaluation real` measures how far real training defects are from real test defects, without weights;
`python -m training.evaluation bank` what a bank of one half of the groups paints into the other half.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from albu_gan.data import DataError, DefectDataset, add_data_arguments, dataset_from_arguments
from albu_gan.defects import DefectInpainter
from albu_gan.hub import CARD, CONFIG, WeightsError, WeightsFolder, find_weights
from albu_gan.pictures import contact_sheet, grid, outline, write_picture, write_png
from training.atomic import write_json, write_text
from training.card import PICTURE, model_card
from training.datasets import Split
from training.evaluation import bank, real
from training.evaluation.features import NAME, DefectFeatures, read_or_train_features
from training.evaluation.full import Sets, all_figures, together
from training.evaluation.inception import NAME as INCEPTION_NAME
from training.evaluation.inception import InceptionFeatures
from training.evaluation.mask_agreement import FOUND_IOU
from training.evaluation.measure import (
    MIN_CONTRAST,
    ClassSamples,
    collect_samples,
    means,
    measure_class,
    painter_of,
    window_sets,
)
from training.evaluation.memorisation import TrainingBank
from training.evaluation.report import nearest_pairs, side_by_side, write_page, write_pictures
from training.provenance import current_commit, hardware
from training.windows import Backgrounds, DefectWindow, cut_defects, load_backgrounds

LATENTS = 3
SHEET_ROWS = 3  # of each class


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m training.evaluation`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation",
        description=__doc__.split("\n")[0].split(": ", 1)[1],
        epilog="'python -m training.evaluation real' compares real training with real test defects, without weights; "
        "'python -m training.evaluation bank' measures a bank that it makes of one half of the data.",
    )
    parser.add_argument("--weights", required=True, help="bundled name, folder or Hub repository")
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json, report.html and pictures")
    parser.add_argument("--draws", type=int, default=96, help="painted windows a class")
    parser.add_argument("--features", type=Path, help="features.safetensors to use, or to write if there is none yet")
    parser.add_argument("--feature-steps", type=int, default=400, help="training steps of the feature network")
    parser.add_argument("--inception", help="path of the Inception weights, or 'download': its FID and KID as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", choices=("held_out", "validation"), default="held_out", help="groups to measure on")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="to measure on")
    parser.add_argument("--compare", help="other weights, measured on the same windows; beside these in the card")
    parser.add_argument("--write-card", action="store_true", help="write metrics, card and picture into the folder")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    others = {
        "real": (real.build_parser, real.measure_real),
        "bank": (bank.build_parser, bank.measure_bank),
    }
    make_parser, measure = others.get(words[0], (None, None)) if words else (None, None)
    arguments = build_parser().parse_args(words) if make_parser is None else make_parser().parse_args(words[1:])
    try:
        if measure is not None:
            print(measure(dataset_from_arguments(arguments), arguments))
        else:
            if arguments.draws < 2:
                raise ValueError(f"--draws must be at least 2, got {arguments.draws}: figures compare sets of windows")
            dataset = dataset_from_arguments(arguments)
            evaluate(find_weights(arguments.weights), dataset, arguments)
    except (DataError, WeightsError, ValueError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def evaluate(folder: WeightsFolder, dataset: DefectDataset, arguments: argparse.Namespace) -> None:
    """Measure, write `metrics.json`, `report.html` with its pictures and `sheet.png`, and the card if asked to."""
    config = folder.config
    other = find_weights(arguments.compare) if arguments.compare else None
    for weights in (folder, other) if other else (folder,):
        _require_same_kind(weights, dataset)
    inception = InceptionFeatures(arguments.inception, arguments.device) if arguments.inception else None
    sides = _sides(folder, other, dataset, arguments.side)
    features = read_or_train_features(
        arguments.features,
        sides["train"],
        dataset,
        steps=arguments.feature_steps,
        seed=arguments.seed,
        device=arguments.device,
    )
    _check_segmenter(features, arguments.features, len(dataset.class_names))
    painter = DefectInpainter(folder, arguments.device)  # loads the very file that ships
    classes: dict[str, Any] = {}
    compared: dict[str, Any] = {}
    every: list[Sets] = []
    rows: list[list[np.ndarray]] = []
    pictures: dict[str, np.ndarray] = {}
    captions: dict[str, str] = {}
    for index, name in enumerate(tqdm(dataset.class_names, desc="classes", unit="class")):
        train = [w for w in sides["train"][0] if w.class_index == index]
        samples = collect_samples(train, *sides["unseen"], index, arguments.draws, features, arguments.seed + 1)
        if samples is None:
            print(f"warning: class {name!r} has no shape to paint or no held-out defect; not measured", file=sys.stderr)
            continue
        sets = window_sets(painter_of(painter.network), painter.latent_dim, samples, features, arguments.seed)
        bank = TrainingBank.of(train, index)
        classes[name] = all_figures(sets, samples, features, bank, inception)
        every.append(sets)
        if other is not None:
            network = DefectInpainter(other, arguments.device).network
            compared[name] = measure_class(
                painter_of(network), network.config.latent_dim, samples, features, arguments.seed, floors=False
            )
        rows += _sheet_rows(painter, samples, arguments.seed)
        stem = _file_stem(index, name)
        pictures[stem] = side_by_side(sets, features, index, arguments.seed)
        captions[stem] = (
            f"{name}: windows drawn at random, not chosen. Red: the given mask. The segmenter's contours: green for "
            f"{name}, magenta for any other class."
        )
        pictures[f"{stem}-nearest"], distances = nearest_pairs(sets, bank, index)
        captions[f"{stem}-nearest"] = (
            f"{name}: the painted, the unseen real and the pasted windows that are most like a training defect, "
            f"each beside that defect. {distances}"
        )
        print(name, json.dumps(classes[name]))
    if not classes:
        raise DataError("no class has both a shape to paint and an unseen defect; nothing can be measured")
    metrics: dict[str, Any] = {
        "classes": classes,
        "means": means(classes),
        "together": together(every, inception),
        "min_contrast": MIN_CONTRAST,
        "found_iou": FOUND_IOU,
        "features": NAME,
        "num_features": features.num_features,
        "feature_steps": features.steps,
        **({"inception_features": INCEPTION_NAME} if inception else {}),
        "seed": arguments.seed,
        "side": arguments.side,
        "commit": current_commit(),
        "hardware": hardware(),
        "torch": torch.__version__,
        **({"compared": {"name": _described(other), "means": means(compared), "classes": compared}} if other else {}),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "metrics.json", metrics)
    titles = ["real, mask", "real", "clean", "mask", *(f"painted, z{i + 1}" for i in range(LATENTS))]
    write_png(arguments.out / "sheet.png", grid(rows, (128, 128), titles))
    write_pictures(arguments.out, pictures)
    page = write_page(arguments.out, str(config.training.get("name", folder.name)), metrics, captions)
    if arguments.write_card:
        described = dataclasses.replace(config, metrics=metrics)
        write_picture(folder.path / PICTURE, contact_sheet([painter], seed=arguments.seed))
        write_json(folder.path / CONFIG, described.to_dict())
        write_text(folder.path / CARD, model_card(described, picture=True))
    print(page)
    print(arguments.out / "sheet.png")


def _file_stem(index: int, name: str) -> str:
    """Name of a class's pictures: whatever the class is called, a file name."""
    return f"{index + 1}-{re.sub('[^A-Za-z0-9_-]+', '-', name)}"


def _check_segmenter(features: DefectFeatures, path: Path | None, num_classes: int) -> None:
    if not features.can_segment:
        print(
            f"warning: {path}: features of an older version, without a segmenter; what a segmenter sees is not "
            "measured. Name a new file to train both",
            file=sys.stderr,
        )
    elif features.num_classes != num_classes:
        raise DataError(
            f"{path}: segments {features.num_classes} classes, the data has {num_classes}; name a new file to train "
            "one for this data"
        )


def _described(folder: WeightsFolder) -> str:
    """Name and commit of weights, since new weights may have the name of old ones."""
    training = folder.config.training
    commit = str(training.get("commit", ""))[:7]
    return f"{training.get('name', folder.name)}{f' of commit {commit}' if commit else ''}"


def _require_same_kind(folder: WeightsFolder, dataset: DefectDataset) -> None:
    config = folder.config
    channels = config.require_generator().in_channels
    if config.class_names != dataset.class_names or channels != dataset.channels:
        raise DataError(
            f"{folder.name} paints {list(config.class_names)} on {channels} channels, the data has "
            f"{list(dataset.class_names)} on {dataset.channels}; evaluate with data of the same kind"
        )


def _sides(
    folder: WeightsFolder, other: WeightsFolder | None, dataset: DefectDataset, side: str
) -> dict[str, tuple[list[DefectWindow], Backgrounds]]:
    """Windows and clean images of the training groups, and of those that no compared weights were trained on."""
    training = folder.config.training
    unseen = set(training.get(f"{side}_groups", ()))
    if other is not None:
        unseen &= set(other.config.training.get(f"{side}_groups", ()))
    split = Split(tuple(training.get("train_groups", ())), tuple(sorted(unseen)))
    if not split.select(dataset.records, "held_out"):
        raise DataError(f"none of the groups that the weights' config.json names as {side} is in this data")
    return {
        name: (
            cut_defects(dataset, split.select(dataset.records, part), DefectInpainter(folder).painter.window_shapes),
            load_backgrounds(dataset, split.select(dataset.records, part)),
        )
        for name, part in (("train", "train"), ("unseen", "held_out"))
    }


def _sheet_rows(painter: DefectInpainter, samples: ClassSamples, seed: int) -> list[list[np.ndarray]]:
    """Real defects beside painted ones, of the shape of window that the class has most."""
    rng = np.random.default_rng(seed)
    real, batch = max(zip(samples.real, samples.to_paint, strict=True), key=lambda pair: len(pair[0]["real"]))
    paint = painter_of(painter.network)
    clean, mask = batch["clean"][:SHEET_ROWS], batch["fake_mask"][:SHEET_ROWS]
    latents = [np.stack([painter.draw_latent(rng) for _ in clean]) for _ in range(LATENTS)]
    painted = [paint(clean, mask, z) for z in latents]
    return [
        [
            outline(real["real"][i], real["real_mask"][i]),
            real["real"][i],
            clean[i],
            outline(clean[i], mask[i]),
            *(images[i] for images in painted),
        ]
        for i in range(len(clean))
    ]


if __name__ == "__main__":
    sys.exit(main())
