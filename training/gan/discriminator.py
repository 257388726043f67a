"""The discriminator: patches at three scales, judged near the mask and pooled to one number a sample."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.base import initialise

NEAR_PIXELS = 8  # how far around a mask a patch still counts
GRAIN_GAIN = 5.0  # brings the local contrast of technical surfaces near 1


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))


class MultiScaleDiscriminator(nn.Module):
    """Scores an image given its class masks.

    A defect covers few pixels of its window, so patch scores are averaged with a weight that is 1 near the mask and
    0 elsewhere (the local discriminator of inpainting GANs). Scores come from three depths, whose patches see about
    15, 50 and 120 pixels: grain, edge and shape, and the fit to what surrounds the defect.
    """

    def __init__(self, in_channels: int, num_classes: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * (2 * in_channels + num_classes), channels[0], 3, padding=1)
        self.fine = ResidualBlock(channels[0])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.blocks = nn.ModuleList(ResidualBlock(c) for c in channels[1:])
        self.heads = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in channels[1:])
        initialise(self)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    module.conv2.weight.mul_(0.3)

    def forward(self, image: Tensor, class_masks: Tensor) -> Tensor:
        """Args: image (B, C, H, W) in [-1, 1], class_masks (B, K, H, W) in {0, 1}. Returns (B,) float logits."""
        near = F.max_pool2d(class_masks.amax(dim=1, keepdim=True), 2)
        near = F.max_pool2d(near, (NEAR_PIXELS + 1, 1), 1, (NEAR_PIXELS // 2, 0))
        near = F.max_pool2d(near, (1, NEAR_PIXELS + 1), 1, (0, NEAR_PIXELS // 2))
        # Grain is a few levels strong; beside brightness and masks it would be overlooked for thousands of steps.
        grain = image - F.avg_pool2d(image, 7, 1, 3, count_include_pad=False)
        x = self.stem(F.pixel_unshuffle(torch.cat([image, GRAIN_GAIN * grain, class_masks], dim=1), 2))
        x = self.fine(x)
        scores = []
        for down, block, head in zip(self.down, self.blocks, self.heads, strict=True):
            x = block(down(F.leaky_relu(x, 0.2)))
            patch = head(F.leaky_relu(x, 0.2)).float()
            weight = F.adaptive_avg_pool2d(near, patch.shape[-2:]).float()
            scores.append((patch * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp_min(1e-3))
        return torch.stack(scores).sum(dim=0)
