"""The encoder that lets a StyleGAN inpaint: features of the clean window and the masks at every resolution."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.config import GeneratorConfig


class WindowEncoder(nn.Module):
    """Strided convolutions on the window, folded to a quarter of its side (pixel-unshuffle, Shi et al. 2016)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.channels
        #: First input channel of the stem that holds a class mask.
        self.first_class = 16 * (config.in_channels + 1)
        self.stem = nn.Conv2d(self.first_class + config.num_classes, channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))

    def forward(self, window: Tensor, class_masks: Tensor) -> list[Tensor]:
        """Return (B, channels[i], H / 2 ** (i + 2), W / 2 ** (i + 2)) for every i."""
        inside = class_masks.amax(dim=1, keepdim=True)
        folded = F.pixel_unshuffle(torch.cat([2 * window, 2 * inside - 1], dim=1), 4)
        features = [F.leaky_relu_(self.stem(torch.cat([folded, class_masks[:, :, 1::4, 1::4]], dim=1)), 0.2)]
        for down in self.down:
            features.append(F.leaky_relu_(down(features[-1]), 0.2))
        return features
