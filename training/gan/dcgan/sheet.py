"""Sample sheets: real samples and decoded ones side by side, class by class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from albu_gan.pictures import grid, outline, to_rgb, write_png
from training.gan.dcgan.networks import DCGANGenerator
from training.gan.dcgan.sample import index_masks
from training.tensors import uint8_images

COLUMNS = 6  # real ones of each class, and as many decoded
CELL = 112  # pixels


@dataclass(frozen=True)
class FixedSamples:
    """What every sheet of a run shows.

    Attributes:
        real: pictures of real samples, a row a class.
        conditions: (N, D) float32 of the same samples, row by row, asked of the decoder.
    """

    real: list[list[np.ndarray]]
    conditions: np.ndarray


def collect(batches: Dataset[dict[str, Any]], num_classes: int) -> FixedSamples:
    """Take the first `COLUMNS` samples of each class."""
    pictures: list[list[np.ndarray]] = [[] for _ in range(num_classes)]
    conditions: list[list[np.ndarray]] = [[] for _ in range(num_classes)]
    step = 0
    while min(map(len, pictures)) < COLUMNS:
        batch = batches[step]
        for index, condition in enumerate(batch["condition"]):
            row = int(condition[:num_classes].argmax())
            if len(pictures[row]) < COLUMNS:
                if "coverage" in batch:
                    picture = gray(batch["coverage"][index, 0])
                else:
                    picture = pair_picture(batch["image"][index], batch["mask"][index])
                pictures[row].append(picture)
                conditions[row].append(condition)
        step += 1
    return FixedSamples(pictures, np.concatenate([np.stack(row) for row in conditions]))


def write_sheet(path: Path, generator: DCGANGenerator, fixed: FixedSamples) -> None:
    """Decode the same latents as in every sheet of the run and write the picture."""
    device = next(generator.parameters()).device
    z = torch.randn(len(fixed.conditions), generator.config.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        image, masks = generator(z.to(device), torch.from_numpy(fixed.conditions).to(device))
    if generator.config.masks_only:
        decoded = [gray(coverage) for coverage in masks[:, 0].cpu().numpy()]
    else:
        decoded = list(map(pair_picture, uint8_images(image).numpy(), index_masks(masks).numpy()))
    rows = [real + decoded[i * COLUMNS : (i + 1) * COLUMNS] for i, real in enumerate(fixed.real)]
    titles = ["real"] * COLUMNS + ["sampled"] * COLUMNS
    write_png(path, grid(rows, (CELL * rows[0][0].shape[0] // rows[0][0].shape[1], CELL), titles))


def gray(coverage: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] to (H, W, 1) uint8."""
    return (coverage.clip(0, 1) * 255).round().astype(np.uint8)[:, :, None]


def pair_picture(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image above itself with the outline of its mask."""
    return np.concatenate([to_rgb(image), outline(image, mask)])
