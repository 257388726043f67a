"""Training windows as the networks want them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def image_tensor(image: Tensor) -> Tensor:
    """(B, H, W, C) uint8 to (B, C, H, W) float32 in [-1, 1]."""
    return image.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def mask_tensor(mask: Tensor, num_classes: int) -> Tensor:
    """(B, H, W) uint8 of class index + 1 to (B, K, H, W) float32 in {0, 1}."""
    return F.one_hot(mask.long(), num_classes + 1)[..., 1:].permute(0, 3, 1, 2).float().contiguous()


def uint8_images(image: Tensor) -> Tensor:
    """(B, C, H, W) float in [-1, 1] to (B, H, W, C) uint8."""
    levels = image.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu()
