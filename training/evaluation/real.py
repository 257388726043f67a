"""`python -m training.evaluation real`: how far real training defects are from real test defects, no painter at all.

The first figure to look at: no painter that learns from the training side can be expected to come nearer to the test
side than the training side itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from albu_gan.data import DataError, DefectDataset, add_data_arguments
from albu_gan.painting import window_shapes
from training.atomic import write_json
from training.datasets import split_by_group
from training.datasets.split_file import read_split
from training.evaluation.features import NAME, DefectFeatures, pack, read_or_train_features
from training.evaluation.fid_kid import fid, kid
from training.evaluation.inception import NAME as INCEPTION_NAME
from training.evaluation.inception import InceptionFeatures
from training.provenance import current_commit, hardware
from training.windows import DefectWindow, cut_defects, load_backgrounds

DIVISIONS = 20  # random ones, for the floor
ALL = "all classes"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m training.evaluation real`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation real", description="FID and KID of real training against real test defects"
    )
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for fid.json")
    parser.add_argument("--split", type=Path, help="of python -m training.datasets split; default: a division by group")
    parser.add_argument("--train-fraction", type=float, default=0.5, help="of that division; the thesis has one half")
    parser.add_argument("--window-sizes", type=int, nargs="+", default=[64, 128], help="network pixels")
    parser.add_argument("--features", type=Path, help="features.safetensors to use, or to write if there is none yet")
    parser.add_argument("--feature-steps", type=int, default=400, help="training steps of the feature network")
    parser.add_argument("--inception", help="path of the Inception weights, or 'download': its FID and KID as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="to measure on")
    return parser


def measure_real(dataset: DefectDataset, arguments: argparse.Namespace) -> Path:
    """Measure and write `fid.json`; returns its path.

    Raises:
        DataError: if a side has fewer than two defects.
    """
    split = (
        split_by_group(dataset.records, dataset.class_names, arguments.train_fraction, arguments.seed)
        if arguments.split is None
        else read_split(arguments.split, dataset.records)
    )
    sizes = tuple(sorted(set(arguments.window_sizes)))
    records = {side: split.select(dataset.records, side) for side in ("train", "held_out")}
    windows = {side: cut_defects(dataset, chosen, window_shapes(sizes, long=False)) for side, chosen in records.items()}
    for side, cut in windows.items():
        if len(cut) < 2:
            raise DataError(f"{len(cut)} defects on the side {side!r}; at least two are needed to compare them")
    features = read_or_train_features(
        arguments.features,
        (windows["train"], load_backgrounds(dataset, records["train"])),
        dataset,
        steps=arguments.feature_steps,
        seed=arguments.seed,
        device=arguments.device,
    )
    inception = InceptionFeatures(arguments.inception, arguments.device) if arguments.inception else None
    every = [*windows["train"], *windows["held_out"]]
    is_train = np.repeat([True, False], [len(windows["train"]), len(windows["held_out"])])
    index = np.array([w.class_index for w in every])
    kinds = {"features": np.concatenate([_embed(w, features) for w in every])}
    if inception is not None:
        kinds["inception"] = inception.embed([w.image for w in every])
    classes: dict[str, Any] = {}
    for name, chosen in (
        *((name, index == i) for i, name in enumerate(dataset.class_names)),
        (ALL, np.full(len(every), True)),
    ):
        sides = {"train": chosen & is_train, "test": chosen & ~is_train}
        classes[name] = {f"{side}_windows": int(rows.sum()) for side, rows in sides.items()}
        classes[name] |= {
            f"{side}_groups": len({every[i].group for i in np.flatnonzero(sides[side])}) for side in sides
        }
        for kind, vectors in kinds.items():
            figures = compare(vectors[sides["train"]], vectors[sides["test"]])
            classes[name] |= figures if kind == "features" else {"inception": figures}
    vectors = kinds["features"]
    classes[ALL] |= random_divisions(vectors, np.array([w.group for w in every]), is_train.mean(), arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = {
        "what": "every connected defect of every image, once, in a window around it; training side against test side",
        "images": {side: len(chosen) for side, chosen in zip(("train", "test"), records.values(), strict=True)},
        "classes": classes,
        "features": f"{NAME}, inside the mask",
        "num_features": features.num_features,
        "feature_steps": features.steps,
        **({"inception_features": INCEPTION_NAME} if inception else {}),
        "window_sizes": list(sizes),
        "train_fraction": None if arguments.split else arguments.train_fraction,
        "seed": arguments.seed,
        "source": dataset.source,
        "commit": current_commit(),
        "hardware": hardware(),
        "torch": torch.__version__,
    }
    write_json(arguments.out / "fid.json", result)
    print(json.dumps(classes, indent=1))
    return Path(arguments.out / "fid.json")


def compare(train: np.ndarray, test: np.ndarray) -> dict[str, float | None]:
    """Return FID and KID, None where a side has fewer than two windows."""
    enough = min(len(train), len(test)) > 1
    return {"fid": fid(test, train) if enough else None, "kid": kid(test, train) if enough else None}


def random_divisions(vectors: np.ndarray, groups: np.ndarray, train_share: float, seed: int) -> dict[str, float]:
    """Return FID and KID of divisions of all windows at random, by group, into sides of about the same sizes.

    They say what the number of windows and the differences of single parts do by themselves: the two sides differ by
    more than that only if their distance is larger.

    Returns:
        Mean and 95th percentile of `DIVISIONS` divisions, of each.
    """
    rng = np.random.default_rng(seed)
    names, counts = np.unique(groups, return_counts=True)
    found: dict[str, list[float]] = {"fid": [], "kid": []}
    for _ in range(DIVISIONS):
        order = rng.permutation(len(names))
        first = np.cumsum(counts[order]) <= max(2, train_share * len(vectors))
        rows = np.isin(groups, names[order[first]])
        for key, value in compare(vectors[rows], vectors[~rows]).items():
            if value is not None:
                found[key].append(value)
    return {
        f"{key}_random_{name}": float(reduce(values))
        for key, values in found.items()
        if values
        for name, reduce in (("mean", np.mean), ("p95", lambda v: np.percentile(v, 95)))
    }


def _embed(window: DefectWindow, features: DefectFeatures) -> np.ndarray:
    return features.embed(pack([window.image], [window.mask == window.class_index + 1]))
