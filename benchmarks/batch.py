"""`BatchDefectInpaint` on its device beside one CPU worker, which paints the same images one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from albu_gan import BatchDefectInpaint, DefectInpainter
from albu_gan.batch import BatchSampler, Places, PreparedShapes
from albu_gan.defects import DefectSampler, class_probabilities
from albu_gan.painting import Draw, paste
from benchmarks.cases import painting, size_name, surface
from benchmarks.environment import environment
from benchmarks.timing import interleaved, milliseconds, ratio, summary

SIZES = ((256, 256), (256, 1600))
WORKER, MODULE, DRAWING = "one worker", "the module", "of which drawing"


def device_of(name: str) -> torch.device:
    """Return a device that is there.

    Raises:
        ValueError: if there is no such device.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as err:  # torch asserts that it was built for the device
        raise ValueError(f"--device {name}: {str(err).splitlines()[0]}") from err
    return device


def measure_batches(weights: str, device_name: str, batch_sizes: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Time whole batches, every image painted, gray, with the default arguments; both ways take turns.

    Args:
        weights: bundled name, folder or Hub repository.
        device_name: that the batches are on, "cuda" say. The worker is one thread of the CPU.
        batch_sizes: images at once.
        rounds: that count.

    Returns:
        `device`, `environment`, `rounds`, and `cases`: for each size and batch the milliseconds of a batch, the images
        a second, their ratio within rounds, and the largest difference in levels of 255 between the two, given the
        same draws.

    Raises:
        ValueError: if there is no such device.
        WeightsError: if there are no such weights.
    """
    device = device_of(device_name)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "device_type": device.type,
        "weights": weights,
        "environment": environment(),
        "rounds": rounds,
        "cases": [_case(weights, device, size, count, rounds) for size in SIZES for count in batch_sizes],
    }


def _case(weights: str, device: torch.device, size_hw: tuple[int, int], count: int, rounds: int) -> dict[str, Any]:
    images = [surface(size_hw, 1, seed) for seed in range(count)]
    blank = np.zeros(size_hw, np.uint8)
    batch = torch.from_numpy(np.stack(images))[:, None].float().div(255).to(device)
    masks = torch.zeros((count, *size_hw), dtype=torch.long, device=device)
    transform, module = painting(weights), BatchDefectInpaint(weights, p=1.0, seed=0)
    sampler, prepared, rng = _sampler(weights), PreparedShapes(0), np.random.default_rng(0)
    synchronize: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def worker() -> None:
        for image in images:
            transform(image=image, mask=blank)

    def batched() -> None:
        module(batch, masks)
        synchronize()

    def drawing() -> None:
        places = Places((count, *size_hw), masks != 0, device)
        BatchSampler(sampler, prepared, places, rng, batch).draw(range(count), device)
        synchronize()

    seconds = interleaved({WORKER: worker, MODULE: batched, DRAWING: drawing}, rounds)
    return {
        "size_hw": list(size_hw),
        "name": f"{size_name(size_hw)}, gray",
        "batch": count,
        "milliseconds": milliseconds(seconds),
        "images_a_second": {name: summary([count / s for s in seconds[name]]) for name in (WORKER, MODULE)},
        "module_to_worker": ratio(seconds[WORKER], seconds[MODULE]),
        "largest_difference": _largest_difference(weights, module, images, batch),
    }


def _sampler(weights: str) -> DefectSampler:
    """What the module draws with when its arguments are left alone, but every draw counts, visible or not."""
    painter = DefectInpainter.from_pretrained(weights)
    odds = class_probabilities(painter, painter.class_names, "balanced")
    return DefectSampler(painter, odds, (1, 2), "bank", (0.8, 1.25), (-15.0, 15.0), 0.0)


def _largest_difference(weights: str, module: BatchDefectInpaint, images: list[np.ndarray], batch: Tensor) -> float:
    """Paint the same draws both ways; levels of 255, before either is rounded to them."""
    sampler, rng = _sampler(weights), np.random.default_rng(1)
    painter = DefectInpainter.from_pretrained(weights)
    draws: list[list[Draw]] = [sampler.draw(image.shape[:2], None, rng)[0] for image in images]
    painted, _ = module(batch, draws=draws)
    largest = 0.0
    for image, several, ours in zip(images, draws, painted[:, 0].cpu().numpy(), strict=True):
        expected = image.astype(np.float32) / 255
        for patch in painter.paint(expected, several):
            paste(expected, patch)
        largest = max(largest, float(np.abs(expected - ours).max()) * 255)
    return largest
