"""Train one network with one arm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from training.benchmark.crops import Crops
from training.benchmark.network import SegmentationLoss
from training.benchmark.settings import BenchmarkConfig

FINAL_RATE = 0.02  # of the learning rate, at the end


class DivergedError(RuntimeError):
    """A loss that is no number; the message names the step."""


@dataclass(frozen=True)
class Trained:
    """How the training went.

    Attributes:
        curve: measurements, each with its step.
        losses: mean of the loss between two measurements.
        steps_per_second: of the optimiser, without the time of measuring and of the first ten steps.
        seconds: of training, without measuring.
    """

    curve: list[dict[str, Any]]
    losses: list[float]
    steps_per_second: float
    seconds: float


def rate_at(step: int, config: BenchmarkConfig) -> float:
    """Return the factor of the learning rate: warm-up, constant, then a cosine down to `FINAL_RATE`."""
    start = config.steps * (1 - config.decay_fraction)
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if step < start:
        return 1.0
    done = (step - start) / max(1.0, config.steps - start)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def train(
    network: nn.Module,
    crops: Crops,
    config: BenchmarkConfig,
    measure: Callable[[nn.Module], dict[str, Any]],
    device: torch.device,
    workers: int,
    title: str,
) -> Trained:
    """Train a network in place.

    Args:
        network: on the device.
        crops: as many as all steps need.
        config: of the benchmark.
        measure: called `curve_points` times; what it returns becomes the curve.
        device: to train on.
        workers: processes that make crops.
        title: for the progress bar.

    Raises:
        DivergedError: if the loss is no number.
    """
    loss_of = SegmentationLoss(len(crops.defective.dataset.class_names), config.defect_weight).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, config))
    loader = DataLoader(crops, config.batch_size, num_workers=workers, pin_memory=device.type == "cuda", drop_last=True)
    points = {round(config.steps * (i + 1) / config.curve_points) for i in range(config.curve_points)}
    curve, losses, recent = [], [], []
    timed, seconds, mark = 0, 0.0, time.perf_counter()
    network.train()
    for step, (image, mask) in enumerate(tqdm(loader, desc=title, unit="step", leave=False), start=1):
        loss = loss_of(network(image.to(device)), mask.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        recent.append(loss.detach())
        if step == min(10, config.steps // 2):
            mark = _now(device)
        if step in points:
            timed, seconds = step, seconds + _now(device) - mark
            losses.append(float(torch.stack(recent).mean()))
            if not math.isfinite(losses[-1]):
                raise DivergedError(f"the loss is no number before step {step}; lower --learning-rate")
            network.eval()
            curve.append({"step": step, "loss": losses[-1], **measure(network)})
            network.train()
            recent, mark = [], _now(device)
    network.eval()
    counted = timed - min(10, config.steps // 2)
    return Trained(curve, losses, counted / max(seconds, 1e-9), seconds)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
