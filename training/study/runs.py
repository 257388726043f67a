"""Train and measure one setting after another; one JSON each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from torch import nn

from albu_gan.data import DefectDataset
from albu_gan.defects import DefectInpainter
from albu_gan.hub import find_weights
from albu_gan.painting import window_shapes
from training.atomic import write_json
from training.datasets import Split
from training.evaluation.features import DefectFeatures
from training.evaluation.measure import ClassSamples, collect_samples, means, measure_class, painter_of
from training.gan.dcgan.folder import load_dcgan
from training.provenance import current_commit, hardware
from training.study.decoder import measure_decoder
from training.study.settings import COMMON, SETTINGS, flags
from training.windows import cut_defects, load_backgrounds

WEIGHTS, DECODER = "weights", "dcgan"  # what a run leaves behind
DRAWS = 96  # painted windows a class
EARLY, LATE = 5, 5  # logged steps at the beginning and the end of a run that its gradients are compared at


def run_setting(name: str, data: Sequence[str], out: Path, kimg: float, seed: int) -> Path:
    """Train one setting, going on where it was interrupted; returns the folder of the run.

    Raises:
        subprocess.CalledProcessError: if the training fails.
    """
    run, setting = out / name, SETTINGS[name]
    if (run / (DECODER if setting.decoder_only else WEIGHTS) / "config.json").is_file():
        return run
    module, common = ("training.gan.dcgan", {}) if setting.decoder_only else ("training.gan", COMMON)
    changes = {**common, "total_kimg": kimg, "seed": seed, **setting.changes}
    command = [sys.executable, "-m", module, *data, "--out", str(run), *flags(changes)]
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
        shapes = window_shapes(COMMON["window_sizes"], COMMON["long_windows"])
        sides = {
            side: (cut_defects(dataset, records, shapes), load_backgrounds(dataset, records))
            for side in ("train", "validation")
            for records in [split.select(dataset.records, side)]
        }
        found = [
            collect_samples(sides["train"][0], *sides["validation"], index, DRAWS, features, seed=2)
            for index in range(len(dataset.class_names))
        ]
        self.samples: list[ClassSamples] = [sample for sample in found if sample is not None]

    def __call__(self, run: Path) -> dict[str, Any]:
        """Return the figures of a run, class by class, and their means."""
        if (run / DECODER).is_dir():
            classes = measure_decoder(load_dcgan(run / DECODER), self.samples, self.features, DRAWS)
            return {"means": means(classes), "classes": classes}
        painter = DefectInpainter(find_weights(str(run / WEIGHTS)))
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
    setting = SETTINGS[name]
    network: nn.Module
    if setting.decoder_only:
        dcgan = load_dcgan(run / DECODER)
        network, training = dcgan.generator, dcgan.training
    else:
        folder = find_weights(str(run / WEIGHTS))
        network, training = DefectInpainter(folder).network, folder.config.training
    logged = [json.loads(line) for line in (run / "stats.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in logged if "loss_d" in line]
    first, last = steps[:EARLY], steps[-LATE:]
    gradient = median(s["g_gradient_norm"] for s in last) / median(s["g_gradient_norm"] for s in first)
    return {
        "name": name,
        "table": setting.table,
        "label": setting.label,
        "changes": setting.changes,
        "common": {"window_sizes": COMMON["window_sizes"]} if setting.decoder_only else COMMON,
        "kimg": kimg,
        "seed": setting.changes.get("seed", seed),
        "side": "validation",
        **measured,
        "parameters": sum(p.numel() for p in network.parameters()),
        "minutes": training["minutes"],
        **({"busy": training["busy"]} if "busy" in training else {}),
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
