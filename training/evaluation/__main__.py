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

from albu_gan.compositing import contrast
from albu_gan.demo import contact_sheet, sample_images
from albu_gan.generators import composite
from albu_gan.hub import find_weights
from albu_gan.inpainter import DefectInpainter
from albu_gan.sheet import grid, outline, write_png
from albu_gan.weights_folder import CARD, CONFIG, WeightsError, WeightsFolder
from training.card import PICTURE, model_card, write_text
from training.datasets import FORMATS, DataError, DefectDataset, Split, open_dataset
from training.evaluation.copy_paste import feathered_copy_paste
from training.evaluation.features import NAME, DefectFeatures, pack, train_features
from training.evaluation.metrics import embed, kid, mean_distance, within_class_distance
from training.provenance import current_commit
from training.tensors import image_tensor, mask_tensor, uint8_images
from training.windows import DefectWindow, WindowBatches, cut_defects, load_backgrounds

MIN_CONTRAST = 8.0
LATENTS = 3


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation", description=__doc__)
    parser.add_argument("--weights", required=True, help="bundled name, folder or Hub repository")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json and the sheet")
    parser.add_argument("--group-pattern", help="labelme: regular expression for the group in a file's name")
    parser.add_argument("--draws", type=int, default=96, help="painted windows a class")
    parser.add_argument("--feature-steps", type=int, default=400, help="training steps of the feature network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write-card", action="store_true", help="write metrics, card and picture into the folder")
    arguments = parser.parse_args(argv)
    try:
        folder = find_weights(arguments.weights)
        dataset = open_dataset(arguments.format, arguments.data, arguments.group_pattern)
        evaluate(folder, dataset, arguments)
    except (DataError, WeightsError, ValueError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    return 0


def evaluate(folder: WeightsFolder, dataset: DefectDataset, arguments: argparse.Namespace) -> None:
    """Measure, write `metrics.json` and `sheet.png`, and the card if asked to."""
    config = folder.config
    if config.class_names != dataset.class_names or config.generator.in_channels != dataset.channels:
        raise DataError(
            f"the weights paint {list(config.class_names)} on {config.generator.in_channels} channels, the data has "
            f"{list(dataset.class_names)} on {dataset.channels}; evaluate with data of the same kind"
        )
    split = Split(tuple(config.training.get("train_groups", ())), tuple(config.training.get("held_out_groups", ())))
    if not split.select(dataset.records, "held_out"):
        raise DataError("none of the groups that the weights' config.json names as held out is in this data")
    sides = {}
    for side in ("train", "held_out"):
        records = split.select(dataset.records, side)
        sides[side] = (cut_defects(dataset, records, config.window_sizes), load_backgrounds(dataset, records))
    steps = arguments.feature_steps
    features = train_features(
        WindowBatches(*sides["train"], 8, config.window_sizes, 0.0, arguments.seed, steps),
        dataset.channels,
        len(dataset.class_names),
        steps,
        arguments.seed,
    )
    painter = DefectInpainter(folder)  # loads the very file that ships
    classes, rows = {}, []
    for index, name in enumerate(dataset.class_names):
        measured, shown = _evaluate_class(painter, features, index, sides, arguments)
        classes[name] = measured
        rows += shown
        print(name, json.dumps(measured))
    metrics: dict[str, Any] = {
        "classes": classes,
        "min_contrast": MIN_CONTRAST,
        "features": NAME,
        "feature_steps": steps,
        "seed": arguments.seed,
        "commit": current_commit(),
        "torch": torch.__version__,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_text(arguments.out / "metrics.json", json.dumps(metrics, indent=1))
    titles = ["real, mask", "real", "clean", "mask", *(f"painted, z{i + 1}" for i in range(LATENTS))]
    sheet = grid(rows, (128, 128), titles)
    write_png(arguments.out / "sheet.png", sheet)
    if arguments.write_card:
        described = dataclasses.replace(config, metrics=metrics)
        write_png(folder.path / PICTURE, contact_sheet([painter], sample_images(), arguments.seed))
        write_text(folder.path / CONFIG, json.dumps(described.to_dict(), indent=1))
        write_text(folder.path / CARD, model_card(described, picture=True))
    print(arguments.out / "sheet.png")


def _evaluate_class(
    painter: DefectInpainter,
    features: DefectFeatures,
    index: int,
    sides: dict[str, tuple[list[DefectWindow], list[np.ndarray]]],
    arguments: argparse.Namespace,
) -> tuple[dict[str, Any], list[list[np.ndarray]]]:
    """Figures of one class, and rows for the sheet."""
    config = painter.folder.config
    held_out = [w for w in sides["held_out"][0] if w.class_index == index]
    train = [w for w in sides["train"][0] if w.class_index == index]
    size = max({w.size for w in held_out}, key=lambda s: sum(w.size == s for w in held_out))
    held_out, train = [w for w in held_out if w.size == size], [w for w in train if w.size == size] or train

    def windows(defects: list[DefectWindow], backgrounds: list[np.ndarray]) -> WindowBatches:
        seed = arguments.seed + 1
        return WindowBatches(defects, backgrounds, 8, config.window_sizes, 0.0, seed, 10**6, donors=True)

    real = _collect(windows(held_out, sides["held_out"][1]), arguments.draws)
    # Shapes of the training groups on clean windows of the held-out groups: what a user does.
    to_paint = _collect(windows(train, sides["held_out"][1]), arguments.draws)
    rng = np.random.default_rng(arguments.seed)
    painted = [_paint(painter, to_paint, rng) for _ in range(LATENTS)]
    pasted = [
        feathered_copy_paste(*layers)
        for layers in zip(to_paint["clean"], to_paint["fake_mask"], to_paint["donor"], strict=True)
    ]
    seen = [
        contrast(before, after, mask == index + 1)
        for before, after, mask in zip(to_paint["clean"], painted[0], to_paint["fake_mask"], strict=True)
    ]
    real_packed = pack(real["real"], real["real_mask"] == index + 1)
    train_packed = pack(to_paint["real"], to_paint["real_mask"] == index + 1)
    fake_packed = [pack(images, to_paint["fake_mask"] == index + 1) for images in painted]
    vectors = [embed(features, packed) for packed in fake_packed]
    everything = [w for side in sides.values() for w in side[0] if w.class_index == index]
    spread = within_class_distance(
        np.concatenate([_embed_windows(features, everything, size, index) for size in config.window_sizes]),
        np.array([w.group for size in config.window_sizes for w in everything if w.size == size]),
    )
    measured = {
        "draws": len(seen),
        "window": size,
        "contrast_reached": float(np.mean(np.array(seen) >= MIN_CONTRAST)),
        "contrast_median": float(np.median(seen)),
        "diversity": mean_distance(vectors[0], vectors[1]) / spread,
        "kid_painted": kid(features, real_packed, fake_packed[0]),
        "kid_copy_paste": kid(features, real_packed, pack(pasted, to_paint["fake_mask"] == index + 1)),
        "kid_real": kid(features, real_packed, train_packed),
        "held_out_defects": len(held_out),
        "held_out_groups": len({w.group for w in held_out}),
    }
    rows = [
        [
            outline(real["real"][i], real["real_mask"][i]),
            real["real"][i],
            to_paint["clean"][i],
            outline(to_paint["clean"][i], to_paint["fake_mask"][i]),
            *(images[i] for images in painted),
        ]
        for i in range(3)
    ]
    return measured, rows


def _embed_windows(features: DefectFeatures, defects: list[DefectWindow], size: int, index: int) -> np.ndarray:
    """(N, D) features of the stored windows of one size."""
    chosen = [w for w in defects if w.size == size]
    if not chosen:
        return np.empty((0, features.num_features))
    return embed(features, pack([w.image for w in chosen], [w.mask == index + 1 for w in chosen]))


def _collect(batches: WindowBatches, count: int) -> dict[str, np.ndarray]:
    """Join batches until there are `count` samples."""
    parts: list[dict[str, np.ndarray]] = []
    while sum(len(part["real"]) for part in parts) < count:
        parts.append(batches[len(parts)])
    return {key: np.concatenate([part[key] for part in parts])[:count] for key in parts[0]}


def _paint(painter: DefectInpainter, batch: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Paint every clean window of a batch with fresh latents: (N, H, W, C) uint8."""
    images = []
    for start in tqdm(range(0, len(batch["clean"]), 16), desc="paint", leave=False):
        clean = image_tensor(torch.from_numpy(batch["clean"][start : start + 16]))
        masks = mask_tensor(torch.from_numpy(batch["fake_mask"][start : start + 16]), len(painter.class_names))
        z = torch.from_numpy(np.stack([painter.draw_latent(rng) for _ in clean]))
        with torch.inference_mode():
            images.append(uint8_images(composite(clean, masks, *painter.network(clean, masks, z))).numpy())
    return np.concatenate(images)


if __name__ == "__main__":
    sys.exit(main())
