"""`python -m training.evaluation`: measure a painter on the groups its training never saw."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from albu_gan.demo import contact_sheet, sample_images
from albu_gan.hub import find_weights
from albu_gan.inpainter import DefectInpainter
from albu_gan.sheet import grid, outline, write_png
from albu_gan.weights_folder import CARD, CONFIG, WeightsError, WeightsFolder
from training.atomic import write_json, write_text
from training.card import PICTURE, model_card
from training.datasets import DataError, DefectDataset, Split, add_data_arguments, dataset_from_arguments
from training.evaluation.features import NAME, DefectFeatures, train_features
from training.evaluation.measure import (
    MIN_CONTRAST,
    ClassSamples,
    collect_samples,
    means,
    measure_class,
    painter_of,
)
from training.provenance import current_commit, hardware
from training.windows import Backgrounds, DefectWindow, WindowBatches, cut_defects, load_backgrounds

LATENTS = 3
SHEET_ROWS = 3  # of each class


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation", description=__doc__)
    parser.add_argument("--weights", required=True, help="bundled name, folder or Hub repository")
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json and the sheet")
    parser.add_argument("--draws", type=int, default=96, help="painted windows a class")
    parser.add_argument("--features", type=Path, help="features.safetensors to use, or to write if there is none yet")
    parser.add_argument("--feature-steps", type=int, default=400, help="training steps of the feature network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", choices=("held_out", "validation"), default="held_out", help="groups to measure on")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="to measure on")
    parser.add_argument("--compare", help="other weights, measured on the same windows; beside these in the card")
    parser.add_argument("--write-card", action="store_true", help="write metrics, card and picture into the folder")
    arguments = parser.parse_args(argv)
    try:
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
    """Measure, write `metrics.json` and `sheet.png`, and the card if asked to."""
    config = folder.config
    other = find_weights(arguments.compare) if arguments.compare else None
    for weights in (folder, other) if other else (folder,):
        _require_same_kind(weights, dataset)
    sides = _sides(folder, other, dataset, arguments.side)
    features = _features(sides["train"], dataset, config.window_sizes, arguments)
    painter = DefectInpainter(folder, arguments.device)  # loads the very file that ships
    classes: dict[str, Any] = {}
    compared: dict[str, Any] = {}
    rows: list[list[np.ndarray]] = []
    for index, name in enumerate(tqdm(dataset.class_names, desc="classes", unit="class")):
        samples = collect_samples(
            sides["train"][0],
            *sides["unseen"],
            index,
            arguments.draws,
            features,
            arguments.seed + 1,
        )
        if samples is None:
            print(f"warning: class {name!r} has no shape to paint or no held-out defect; not measured", file=sys.stderr)
            continue
        classes[name] = measure_class(
            painter_of(painter.network), painter.latent_dim, samples, features, arguments.seed
        )
        if other is not None:
            network = DefectInpainter(other, arguments.device).network
            compared[name] = measure_class(
                painter_of(network), network.config.latent_dim, samples, features, arguments.seed, floors=False
            )
        rows += _sheet_rows(painter, samples, arguments.seed)
        print(name, json.dumps(classes[name]))
    metrics: dict[str, Any] = {
        "classes": classes,
        "means": means(classes),
        "min_contrast": MIN_CONTRAST,
        "features": NAME,
        "feature_steps": features.steps,
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
    if arguments.write_card:
        described = dataclasses.replace(config, metrics=metrics)
        write_png(folder.path / PICTURE, contact_sheet([painter], sample_images(), arguments.seed))
        write_json(folder.path / CONFIG, described.to_dict())
        write_text(folder.path / CARD, model_card(described, picture=True))
    print(arguments.out / "sheet.png")


def _described(folder: WeightsFolder) -> str:
    """Name and commit of weights, since new weights may have the name of old ones."""
    training = folder.config.training
    commit = str(training.get("commit", ""))[:7]
    return f"{training.get('name', folder.name)}{f' of commit {commit}' if commit else ''}"


def _require_same_kind(folder: WeightsFolder, dataset: DefectDataset) -> None:
    config = folder.config
    if config.class_names != dataset.class_names or config.generator.in_channels != dataset.channels:
        raise DataError(
            f"{folder.name} paints {list(config.class_names)} on {config.generator.in_channels} channels, the data has "
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
            cut_defects(dataset, split.select(dataset.records, part), folder.config.window_sizes),
            load_backgrounds(dataset, split.select(dataset.records, part)),
        )
        for name, part in (("train", "train"), ("unseen", "held_out"))
    }


def _features(
    train: tuple[list[DefectWindow], Backgrounds],
    dataset: DefectDataset,
    window_sizes: tuple[int, ...],
    arguments: argparse.Namespace,
) -> DefectFeatures:
    if arguments.features is not None and arguments.features.is_file():
        return DefectFeatures.load(arguments.features, dataset.channels).to(arguments.device)
    steps = arguments.feature_steps
    batches = WindowBatches(*train, 8, window_sizes, 0.0, arguments.seed, steps)
    classes = len(dataset.class_names)
    features = train_features(batches, dataset.channels, classes, steps, arguments.seed, arguments.device)
    if arguments.features is not None:
        features.save(arguments.features)
    return features


def _sheet_rows(painter: DefectInpainter, samples: ClassSamples, seed: int) -> list[list[np.ndarray]]:
    """Real defects beside painted ones, of the size of window that the class has most."""
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
