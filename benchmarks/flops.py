"""How near the network comes to what a core can do: floating-point operations a second, as a share of the peak.

    python benchmarks/flops.py [--weights NAME] [--rounds N]

One thread. Seconds are those that the processor spent on this thread, so that other programs do not count (their use
of caches and memory does). Every round times everything, each for ten milliseconds or more; a share is the median of
the ratios within rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import torch
import torch.nn.functional as F
from torch import nn

from albu_gan import DefectInpainter
from albu_gan.generate.run import one_thread

MATRICES = (256, 384, 512, 768)  # sides; larger ones leave the caches
WINDOWS, BATCHES = (64, 128), (1, 4, 16)
PEAK = "peak "
SLICE = 0.01  # seconds that a function is called for in a round


def peak_flops(rounds: int = 30) -> float:
    """Return the largest float32 rate that one thread reaches, over several products and a convolution."""
    with one_thread():
        cases = _peak_cases()
        seconds = thread_seconds({name: case for name, (case, _) in cases.items()}, rounds)
    return max(flops / min(seconds[name]) for name, (_, flops) in cases.items())


def network_flops(network: nn.Module, window: int, batch: int) -> int:
    """Count the floating-point operations of a forward pass as the network is written down.

    Args:
        network: a `DefectGenerator`.
        window: side in pixels.
        batch: windows at once.
    """
    from torch.utils.flop_counter import FlopCounterMode

    config: Any = network.config
    inputs = (
        torch.zeros(batch, config.in_channels, window, window),
        torch.zeros(batch, config.num_classes, window, window),
        torch.ones(batch, config.latent_dim),
    )
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())


def measure(weights: str = "magnetic-tile-v1", rounds: int = 40) -> dict[str, Any]:
    """Measure the network as `DefectInpainter` runs it.

    Args:
        weights: bundled name, folder or Hub repository.
        rounds: of everything.

    Returns:
        `peak_gflops`, and in `cases` for every window, batch and backend ("plain": the network as it is written down;
        "torch"; "onnx", if it is installed) `milliseconds`, `gflops` and `share` of the peak.
    """
    with one_thread(), torch.inference_mode():
        peaks = _peak_cases()
        functions: dict[str, Callable[[], Any]] = {PEAK + name: case for name, (case, _) in peaks.items()}
        rows: dict[str, dict[str, Any]] = {}
        for row, function in _network_cases(weights):
            name = f"{row['backend']} {row['window']} {row['batch']}"
            functions[name], rows[name] = function, row
        seconds = thread_seconds(functions, rounds)
    rates = [[flops / s for s in seconds[PEAK + name]] for name, (_, flops) in peaks.items()]
    peak = [max(in_round) for in_round in zip(*rates, strict=True)]
    cases = []
    for name, row in rows.items():
        taken = seconds[name]
        cases.append(
            {
                **{key: row[key] for key in ("window", "batch", "backend")},
                "milliseconds": round(1000 * statistics.median(taken), 3),
                "gflops": round(row["flops"] / statistics.median(taken) / 1e9, 1),
                "share": round(statistics.median(row["flops"] / s / p for s, p in zip(taken, peak, strict=True)), 3),
            }
        )
    return {
        "weights": weights,
        "rounds": rounds,
        "peak_gflops": round(statistics.median(peak) / 1e9, 1),
        "cases": cases,
    }


def _network_cases(weights: str) -> Iterator[tuple[dict[str, Any], Callable[[], Any]]]:
    """Every window, batch and backend, and what to time."""
    painters = {"torch": DefectInpainter.from_pretrained(weights)}
    with suppress(ImportError):
        painters["onnx"] = DefectInpainter.from_pretrained(weights, backend="onnx")
    network, config = painters["torch"].network, painters["torch"].folder.config.require_generator()
    generator = torch.Generator().manual_seed(0)
    for window in WINDOWS:
        for batch in BATCHES:
            flops = network_flops(network, window, batch)
            # As they come from images: channels last in memory.
            image = torch.rand(batch, window, window, config.in_channels, generator=generator).permute(0, 3, 1, 2)
            inside = torch.ones(batch, window, window, dtype=torch.uint8)  # or a part of it would not be computed
            z = torch.randn(batch, config.latent_dim, generator=generator)
            present = F.one_hot(torch.zeros(batch, dtype=torch.long), config.num_classes).float()

            def plain(image: Any = image, inside: Any = inside, present: Any = present, z: Any = z) -> Any:
                return network.paint(image, inside.float(), present, z)

            row = {"window": window, "batch": batch, "flops": flops}
            yield {**row, "backend": "plain"}, plain
            for backend, painter in painters.items():

                def paint(painter: Any = painter, image: Any = image, inside: Any = inside, z: Any = z) -> Any:
                    return painter.painter.residuals(image, inside, [0] * len(image), z)

                yield {**row, "backend": backend}, paint


def _peak_cases() -> dict[str, tuple[Callable[[], Any], int]]:
    """What reaches the peak, and its operations."""
    cases: dict[str, tuple[Callable[[], Any], int]] = {}
    for side in MATRICES:
        a, b = torch.rand(side, side), torch.rand(side, side)
        cases[f"matrix {side}"] = (partial(torch.matmul, a, b), 2 * side**3)
    layout: Any = {"memory_format": torch.channels_last}
    x, weight = torch.rand(1, 64, 64, 64).to(**layout), torch.rand(64, 64, 3, 3).to(**layout)
    cases["convolution 64"] = (lambda: F.conv2d(x, weight, padding=1), 2 * 64 * 64 * 9 * 64 * 64)
    return cases


def thread_seconds(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time every function, in seconds of this thread a call, once a round for at least `SLICE`."""
    calls = {}
    for name, function in functions.items():
        for _ in range(3):
            began = time.thread_time()
            function()
        calls[name] = max(1, round(SLICE / max(1e-6, time.thread_time() - began)))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.thread_time()
            for _ in range(calls[name]):
                function()
            seconds[name].append((time.thread_time() - began) / calls[name])
    return seconds


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="magnetic-tile-v1")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    json.dump(measure(arguments.weights, arguments.rounds), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
