"""Speed of the transform as ratios from one run, and memory added to a worker. Writes speed.json beside it."""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import torch

import albu_gan
from albu_gan import DefectInpainter, GANDefectInpaint

HERE = Path(__file__).parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="magnetic-tile-v1")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=HERE / "speed.json")
    arguments = parser.parse_args()
    worker = memory_of_worker(arguments.weights)  # before this process has used torch
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    seconds = interleaved(cases(arguments.weights), arguments.rounds)
    elastic_256, elastic_wide = seconds["ElasticTransform 256 x 256"], seconds["ElasticTransform 256 x 1600"]
    result: dict[str, Any] = {
        "median_ms": {name: round(1000 * statistics.median(values), 3) for name, values in seconds.items()},
        "ratios": {
            "network 128 x 128 / ElasticTransform 256 x 256": ratio(
                seconds["network, one 128 x 128 window"], elastic_256
            ),
            "transform 256 x 1600, one defect / ElasticTransform 256 x 1600": ratio(
                seconds["GANDefectInpaint 256 x 1600, one defect"], elastic_wide
            ),
        },
        "forked_worker_memory_mb": worker,
        "weights": arguments.weights,
        "rounds": arguments.rounds,
        "threads": 1,
        "environment": {
            "albu_gan": albu_gan.__version__,
            "commit": git_commit(),
            "torch": torch.__version__,
            "albumentations": A.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "processor": processor(),
            "cores": os.cpu_count(),
        },
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def cases(weights: str) -> dict[str, Callable[[], Any]]:
    """Build what is timed, by name."""
    rng = np.random.default_rng(0)
    square, wide = (rng.integers(60, 180, (256, width, 3)).astype(np.uint8) for width in (256, 1600))
    mask = np.zeros(wide.shape[:2], np.uint8)
    elastic = A.Compose([A.ElasticTransform(p=1.0)], seed=0)
    paint = A.Compose([GANDefectInpaint(weights=weights, defects_range=(1, 1), p=1.0)], seed=0)
    painter = DefectInpainter.from_pretrained(weights)
    config = painter.folder.config.generator
    window = torch.zeros(1, config.in_channels, 128, 128)
    class_masks = torch.zeros(1, config.num_classes, 128, 128)
    class_masks[:, 0, 40:80, 50:70] = 1
    z = torch.randn(1, config.latent_dim)

    def network() -> Any:
        with torch.inference_mode():
            return painter.network(window, class_masks, z)

    return {
        "network, one 128 x 128 window": network,
        "GANDefectInpaint 256 x 1600, one defect": lambda: paint(image=wide, mask=mask),
        "ElasticTransform 256 x 256": lambda: elastic(image=square),
        "ElasticTransform 256 x 1600": lambda: elastic(image=wide, mask=mask),
    }


def interleaved(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time every function once a round, so that a machine that slows down slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 3):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if number >= 3:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(ours: list[float], peer: list[float]) -> float:
    """Median of the ratios within each round."""
    return round(statistics.median(a / b for a, b in zip(ours, peer, strict=True)), 3)


def memory_of_worker(weights: str) -> dict[str, float] | None:
    """Private megabytes that a forked worker gains by painting, beyond what it has after using torch; Linux only."""
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=paint_and_measure, args=(weights, sender))
    process.start()
    result: dict[str, float] = receiver.recv()
    process.join()
    return result


def paint_and_measure(weights: str, sender: Any) -> None:
    """In the worker: use torch, measure, paint, measure."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        torch.nn.Conv2d(3, 16, 3)(torch.zeros(1, 3, 128, 128))
    # A full collection writes to every object inherited from the parent and so makes private copies of tens of
    # megabytes. It comes sooner or later in any worker, whatever the worker does: here it comes before measuring.
    gc.collect()
    before = private_megabytes()
    transform = A.Compose([GANDefectInpaint(weights=weights, p=1.0)], seed=0)
    image = np.full((256, 1600, 3), 120, np.uint8)
    for _ in range(20):
        transform(image=image, mask=np.zeros((256, 1600), np.uint8))
    sender.send({"torch_alone": round(before, 1), "added": round(private_megabytes() - before, 1)})


def private_megabytes() -> float:
    """Memory of this process that it shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return kilobytes / 1024


def git_commit() -> str:
    """Commit of the checkout."""
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    ).stdout.strip()


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
