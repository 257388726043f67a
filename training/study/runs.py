"""Train and measure one setting after another; one JSON each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from albu_gan.hub import find_weights
from albu_gan.inpainter import DefectInpainter
from training.atomic import write_json
from training.datasets import DefectDataset, Split
from training.evaluation.features import DefectFeatures
from training.evaluation.measure import ClassSamples, collect_samples, means, measure_class, painter_of
from training.provenance import current_commit, hardware
from training.study.settings import COMMON, SETTINGS, flags
from training.windows import cut_defects, load_backgrounds

DRAWS = 96  # painted windows a class
EARLY, LATE = 5, 5  # logged steps at the beginning and the end of a run that its gradients are compared at


def run_setting(name: str, data: Sequence[str], out: Path, kimg: float, seed: int) -> Path:
    """Train one setting, going on where it was interrupted; returns the folder of the run.

    Raises:
        subprocess.CalledProcessError: if the training fails.
    """
    run = out / name
    if (run / "weights" / "config.json").is_file():
        return run
    common = {**COMMON, **SETTINGS[name].changes, "total_kimg": kimg, "seed": seed}
    command = [sys.executable, "-m", "training.gan", *data, "--out", str(run), *flags(common)]
    if (run / "checkpoints" / "last.pt").is_file():
        command.append("--resume")
    subprocess.run(command, check=True)
    return run


class Measure:
    """Measures runs on the same validation windows with the same features.

    Args:
        dataset: that the runs were trained on.
        split: of the runs.
        features: trained on the training groups.
    """

    def __init__(self, dataset: DefectDataset, split: Split, features: DefectFeatures) -> None:
        self.class_names, self.features = dataset.class_names, features
        sizes = COMMON["window_sizes"]
        sides = {
            side: (cut_defects(dataset, records, sizes), load_backgrounds(dataset, records))
            for side in ("train", "validation")
            for records in [split.select(dataset.records, side)]
        }
        found = [
            collect_samples(sides["train"][0], *sides["validation"], index, DRAWS, features, seed=2)
            for index in range(len(dataset.class_names))
        ]
        self.samples: list[ClassSamples] = [sample for sample in found if sample is not None]

    def __call__(self, run: Path) -> dict[str, Any]:
        """Return the figures of a run's weights, class by class, and their means."""
        painter = DefectInpainter(find_weights(str(run / "weights")))
        paint = painter_of(painter.network)
        classes = {
            self.class_names[sample.class_index]: measure_class(
                paint, painter.latent_dim, sample, self.features, seed=0
            )
            for sample in self.samples
        }
        return {"means": means(classes), "classes": classes}


def describe_run(name: str, run: Path, measured: dict[str, Any], kimg: float, seed: int) -> dict[str, Any]:
    """Return what is published of a run."""
    training = find_weights(str(run / "weights")).config.training
    logged = [json.loads(line) for line in (run / "stats.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in logged if "loss_d" in line]
    first, last = steps[:EARLY], steps[-LATE:]
    gradient = median(s["g_gradient_norm"] for s in last) / median(s["g_gradient_norm"] for s in first)
    painter = DefectInpainter(find_weights(str(run / "weights")))
    return {
        "name": name,
        "table": SETTINGS[name].table,
        "label": SETTINGS[name].label,
        "changes": SETTINGS[name].changes,
        "common": COMMON,
        "kimg": kimg,
        "seed": seed,
        "side": "validation",
        **measured,
        "parameters": sum(p.numel() for p in painter.network.parameters()),
        "minutes": training["minutes"],
        "busy": training["busy"],
        "d_accuracy": median(s["d_accuracy"] for s in last),
        "loss_d": median(s["loss_d"] for s in last),
        "gradient_ratio": gradient,
        "complaints": training.get("complaints", []),
        "commit": training["commit"],
        "measured_at": current_commit(),
        "torch": training["torch"],
        "hardware": hardware(),
    }


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write one JSON under a temporary name and rename it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{result['name']}.json", result)
