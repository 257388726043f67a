"""Sample sheets: the same windows and latents again and again, so that progress can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from albu_gan.generators import DefectGenerator, composite
from albu_gan.pictures import grid, outline, write_png
from training.tensors import image_tensor, mask_tensor, uint8_images

LATENTS = 3


def write_sheet(path: Path, generator: DefectGenerator, batches: Sequence[dict[str, np.ndarray]]) -> None:
    """Paint fixed windows with fixed latents.

    Args:
        path: of the PNG, written under a temporary name and renamed.
        generator: in evaluation mode, on any device.
        batches: of `training.windows.WindowBatches`, a size of window each.
    """
    random = torch.Generator().manual_seed(0)
    device = next(generator.parameters()).device
    rows = []
    for batch in batches:
        clean = image_tensor(torch.from_numpy(batch["clean"])).to(device)
        masks = mask_tensor(torch.from_numpy(batch["fake_mask"]), generator.config.num_classes).to(device)
        painted = []
        for _ in range(LATENTS):
            z = torch.randn(len(clean), generator.config.latent_dim, generator=random).to(device)
            with torch.no_grad():
                painted.append(uint8_images(composite(clean, masks, *generator(clean, masks, z))).numpy())
        for i in range(len(clean)):
            cells = [outline(batch["real"][i], batch["real_mask"][i]), batch["real"][i], batch["clean"][i]]
            rows.append([*cells, outline(batch["clean"][i], batch["fake_mask"][i]), *(p[i] for p in painted)])
    titles = ["real, mask", "real", "clean", "mask", *(f"painted, z{i + 1}" for i in range(LATENTS))]
    half = -(-len(rows) // 2)
    doubled = [a + b for a, b in zip(rows[:half], rows[half:] + [[]] * (2 * half - len(rows)), strict=True)]
    write_png(path, grid(doubled, (128, 128), titles * 2))
