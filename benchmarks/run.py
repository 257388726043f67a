"""One run of everything, in one process."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import torch

from albu_gan.hub import find_weights
from benchmarks import flops
from benchmarks.environment import environment, load
from benchmarks.growth import measure_growth
from benchmarks.loader import measure_loader
from benchmarks.peers import measure_calls, measure_one_defect
from benchmarks.settings import Settings
from benchmarks.stages import measure_stages
from benchmarks.workers import measure_memory, measure_starts


def measure_all(weights: str, settings: Settings, quick: bool) -> dict[str, Any]:
    """Measure every part with one thread, and return what speed.json holds.

    Args:
        weights: bundled name, folder or Hub repository.
        settings: how much of everything.
        quick: noted in the result, so that it is not taken for a measurement.

    Raises:
        WeightsError: if there are no such weights.
    """
    find_weights(weights)
    began = time.perf_counter()
    memory = measure_memory(weights, settings)  # first: forked workers inherit what torch has taken by then
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    machine = environment()
    with tempfile.TemporaryDirectory(prefix="albu-gan-benchmark-") as folder:
        parts: dict[str, Callable[[], Any]] = {
            "calls": lambda: measure_calls(weights, settings),
            "stages": lambda: measure_stages(weights, settings),
            "flops": lambda: flops.measure(weights, settings.flops_rounds),
            "one_defect": lambda: measure_one_defect(weights, settings),
            "growth": lambda: measure_growth(weights, settings),
            "starts": lambda: measure_starts(weights, settings, Path(folder) / "starts"),
            "loader": lambda: measure_loader(weights, settings, Path(folder) / "loader"),
        }
        found = {}
        for number, (name, measure) in enumerate(parts.items(), start=1):
            print(f"{number}/{len(parts)} {name}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            found[name] = measure()
    return {
        "quick": quick,
        "weights": weights,
        "settings": asdict(settings),
        "environment": {**machine, "load_after": load()},
        "minutes": (time.perf_counter() - began) / 60,
        "memory": memory,
        **found,
    }
