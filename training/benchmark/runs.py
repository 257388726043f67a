"""One run: an arm, a fold, a fraction and a seed; and its JSON."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn

import albu_gan
from albu_gan.data import DefectDataset
from albu_gan.hub import WeightsFolder
from albu_gan.pictures import write_png
from training.atomic import write_text
from training.benchmark.arms import build_painting
from training.benchmark.crops import Crops
from training.benchmark.folds import Fold
from training.benchmark.images import ImageStore, at_most_per_group, defective_and_clean
from training.benchmark.network import Segmenter, predict
from training.benchmark.painters import describe_painter
from training.benchmark.scoring import FACTORS, score_image, summary
from training.benchmark.settings import ARMS, BenchmarkConfig
from training.benchmark.train import train
from training.provenance import current_commit, hardware

KIND = "training.benchmark run 1"
PREDICTIONS = "predictions"  # folder beside the JSON


class ResultError(ValueError):
    """A JSON in the output folder that is not a run of this benchmark; the message names it and says what to do."""


@dataclass(frozen=True)
class Run:
    """What is trained."""

    arm: str
    fold: Fold
    seed: int

    @property
    def name(self) -> str:
        """Of its JSON."""
        return f"{self.arm}-{self.fold.name}-seed{self.seed}"


@dataclass(frozen=True)
class Machine:
    """What it is trained on."""

    device: torch.device
    workers: int


def carry_out(
    run: Run,
    dataset: DefectDataset,
    config: BenchmarkConfig,
    painter: WeightsFolder | None,
    dcgan: Path | None,
    machine: Machine,
    out: Path,
) -> dict[str, Any]:
    """Train and test a network, write the JSON of the run, and return it."""
    started, busy = time.perf_counter(), time.process_time()
    fold, device = run.fold, machine.device
    records = fold.select(dataset.records, "train")
    defective, clean = (ImageStore(dataset, side) for side in defective_and_clean(dataset, records))
    painting = build_painting(run.arm, dataset, records, config, painter, dcgan, run.seed)
    length = config.steps * config.batch_size
    crops = Crops(defective, clean, config, painting, run.arm == "oversample", run.seed, length)
    torch.manual_seed(run.seed)
    network = Segmenter(config, dataset.channels, len(dataset.class_names)).to(device)
    validation = curve_images(dataset, fold, config)

    def measure(trained: nn.Module) -> dict[str, Any]:
        images = [_scored(trained, validation, i, config, device)[0] for i in range(len(validation))]
        figures = summary(images, dataset.class_names)
        return {key: figures[key] for key in ("mean_dice", "average_precision", "false_alarm_ppm")}

    trained = train(network, crops, config, measure, device, machine.workers, run.name)
    tested = time.perf_counter()
    test = test_images(dataset, fold, config)
    shown = shown_images(test)
    images = []
    for index in range(len(test)):
        scored, predicted = _scored(network, test, index, config, device)
        images.append(scored)
        if index in shown:
            _write_prediction(out / PREDICTIONS / run.name / f"{test.records[index].name}.png", predicted)
    result = {
        "kind": KIND,
        "arm": run.arm,
        "fold": fold.number,
        "folds": fold.folds,
        "fraction": fold.fraction,
        "seed": run.seed,
        "config": config.to_dict(),
        "class_names": list(dataset.class_names),
        "data": {"class": type(dataset).__name__, "source": dataset.source},
        "groups": {"train": list(fold.train), "validation": list(fold.validation), "test": list(fold.test)},
        "counts": {"defective": len(defective), "clean": len(clean), "validation": len(validation), "test": len(test)},
        "parameters": sum(p.numel() for p in network.parameters()),
        "curve": trained.curve,
        "summary": summary(images, dataset.class_names),
        "background_factors": list(FACTORS),  # of dice_at and alarm_at
        "images": images,
        "steps_per_second": trained.steps_per_second,
        "workers": machine.workers,
        "seconds": {
            "all": time.perf_counter() - started,
            "training": trained.seconds,
            "testing": time.perf_counter() - tested,
            "processor": time.process_time() - busy,  # of this process, whatever else the machine did meanwhile
        },
        "commit": current_commit(),
        "versions": {
            "albu_gan": albu_gan.__version__,
            "albumentations": albumentations.__version__,
            "torch": torch.__version__,
            "segmentation_models_pytorch": smp.__version__,
            "numpy": np.__version__,
        },
        "hardware": hardware(),
        "device": str(device),
        **({"painter": describe_painter(painter)} if painter is not None else {}),
        **({"dcgan": str(dcgan)} if run.arm == "decoder-only" else {}),
    }
    write_text(out / f"{run.name}.json", run_text(result))
    return result


def run_text(result: dict[str, Any]) -> str:
    """Return a run as JSON, one tested image a line, so that a person can read it and compare two."""
    head = json.dumps({**result, "images": []}, indent=1, ensure_ascii=False, allow_nan=False)
    images = ",\n".join(f"  {json.dumps(image, ensure_ascii=False, allow_nan=False)}" for image in result["images"])
    return head.replace('\n "images": []', f'\n "images": [\n{images}\n ]') + "\n"


def curve_images(dataset: DefectDataset, fold: Fold, config: BenchmarkConfig) -> ImageStore:
    """Return a few images of every validation group."""
    defective, clean = defective_and_clean(dataset, fold.select(dataset.records, "validation"))
    count = config.curve_per_group
    return ImageStore(dataset, at_most_per_group(defective, count) + at_most_per_group(clean, 1))


def test_images(dataset: DefectDataset, fold: Fold, config: BenchmarkConfig) -> ImageStore:
    """Return all test images with a defect, and some clean ones of every group."""
    defective, clean = defective_and_clean(dataset, fold.select(dataset.records, "test"))
    return ImageStore(dataset, [*defective, *at_most_per_group(clean, config.clean_per_group)])


def shown_images(test: ImageStore) -> set[int]:
    """Return the indices of the images whose predictions are kept for the picture: one of every class, and a clean."""
    shown: dict[tuple[int, ...], int] = {}
    for index, record in enumerate(test.records):
        shown.setdefault(tuple(sorted(record.classes)), index)
    return set(shown.values())


def _scored(
    network: nn.Module, store: ImageStore, index: int, config: BenchmarkConfig, device: torch.device
) -> tuple[dict[str, Any], np.ndarray]:
    image, mask = store[index]
    probabilities = predict(network, image, config.crop_size, config.overlap, device)
    scored = score_image(store.records[index], mask, probabilities, config.score_pixels)
    return scored, probabilities.argmax(axis=0).astype(np.uint8)


def _write_prediction(path: Path, predicted: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, predicted)


def read_runs(out: Path) -> dict[str, dict[str, Any]]:
    """Read every run of a folder, by name. A setting that is younger than a run had its default there.

    Raises:
        ResultError: naming the file, if a JSON is half-written or not a run of this benchmark.
    """
    runs = {}
    for path in sorted(out.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as err:
            raise ResultError(f"{path}: not a whole JSON ({err}); remove it, and the run is done again") from err
        if not isinstance(result, dict) or result.get("kind") != KIND or result.get("arm") not in ARMS:
            raise ResultError(f"{path}: no run of this benchmark; keep other files out of its folder")
        result["config"] = {**BenchmarkConfig().to_dict(), **result["config"]}
        runs[path.stem] = result
    return runs


def check_same(run: Run, found: dict[str, Any], dataset: DefectDataset, config: BenchmarkConfig, path: Path) -> None:
    """Refuse to mix a run that is done with one that would be trained otherwise.

    Raises:
        ResultError: saying what differs.
    """
    wanted: dict[str, Any] = {
        "class_names": list(dataset.class_names),
        "groups": {side: list(getattr(run.fold, side)) for side in ("train", "validation", "test")},
        **config.to_dict(),
    }
    recorded = {**found.get("config", {}), "class_names": found.get("class_names"), "groups": found.get("groups")}
    changed = sorted(key for key, value in wanted.items() if recorded.get(key) != value)
    if changed:
        raise ResultError(
            f"{path}: was made with other settings ({', '.join(changed)}); give the same flags, or another --out"
        )
