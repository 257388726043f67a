"""Differentiable augmentation of what the discriminator sees, images and masks moved together.

References:
    Zhao et al.: Differentiable augmentation for data-efficient GAN training, 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 0.125  # largest translation, as a share of the side


def draw_augmentation(count: int, generator: torch.Generator) -> Tensor:
    """Draw what `diff_augment` does to `count` samples: (count, 4) uniform in [0, 1), on the generator's device."""
    return torch.rand(count, 4, generator=generator, device=generator.device)


def diff_augment(image: Tensor, class_masks: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """Change brightness, contrast and position of each sample; gradients pass through to `image`.

    Args:
        image: (B, C, H, W) in [-1, 1].
        class_masks: (B, K, H, W); shifted as the image is, 0 where the shift brought in nothing.
        draw: (B, 4) of `draw_augmentation`.

    Returns:
        Both, changed; the image may leave [-1, 1].
    """
    B, _, H, W = image.shape
    brightness, contrast = (draw[:, 0] - 0.5)[:, None, None, None], (draw[:, 1] * 0.6 + 0.7)[:, None, None, None]
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = (image - mean) * contrast + mean + brightness
    reach_y, reach_x = max(1, int(H * SHIFT)), max(1, int(W * SHIFT))
    dy = (draw[:, 2] * (2 * reach_y + 1)).long().clamp_max(2 * reach_y)
    dx = (draw[:, 3] * (2 * reach_x + 1)).long().clamp_max(2 * reach_x)
    rows = (dy[:, None] + torch.arange(H, device=image.device))[:, None, :, None]
    columns = (dx[:, None] + torch.arange(W, device=image.device))[:, None, None, :]
    sample = torch.arange(B, device=image.device)[:, None, None, None]

    def shift(x: Tensor, mode: str) -> Tensor:
        padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y), mode=mode)
        channel = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
        return padded[sample, channel, rows, columns]

    return shift(image, "reflect"), shift(class_masks, "constant")
