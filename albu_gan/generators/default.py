"""The default generator: a residual U-Net on a pixel-unshuffled grid with a fine head for texture.

A full-resolution U-Net spends most of its time where it has the fewest features. Here the window is folded by
pixel-unshuffle (Shi et al. 2016) into a grid of a quarter of its side, where convolutions are dense and cheap; a small
head at half resolution sees the window, the mask and noise again, so that grain and sharp edges are made at their own
scale. z modulates features (FiLM, Perez et al. 2018) and mixes a fixed basis of white noise into the noise map, so that
texture depends on z alone: smooth along a latent walk and identical on every device.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.base import DefectGenerator, initialise, residual_and_alpha
from albu_gan.generators.config import GeneratorConfig
from albu_gan.generators.mapping import mapping_network, present_classes
from albu_gan.generators.noise import NoiseField


class ModulatedBlock(nn.Module):
    """Residual block whose hidden features are scaled and shifted by the style.

    The residual stream itself stays linear (as in EDSR, Lim et al. 2017): one activation a block, half the passes
    over memory of a pre-activation block.
    """

    def __init__(self, channels: int, style_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.modulation = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.modulation(style)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.conv1(x), 1 + scale)
        out: Tensor = x + self.conv2(F.leaky_relu_(h, 0.2))
        return out


class ResidualUnshuffleGenerator(DefectGenerator):
    """See the module's docstring. `channels` are the features at 1/4, 1/8, ..., `fine_channels` at 1/2."""

    default_channels = (48, 64, 128)

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        channels, style_dim, fine = config.channels, config.style_dim, config.fine_channels
        self.size_multiple = 4 * 2 ** (len(channels) - 1)
        self.noise = NoiseField(config.latent_dim)
        self.mapping = mapping_network(config, layers=2)
        # Per folded pixel: the window, the union of the masks and the noise, each 4 x 4; classes on the coarse grid.
        self.stem = nn.Conv2d(16 * (config.in_channels + 2) + config.num_classes, channels[0], 3, padding=1)
        # Painting needs more capacity than seeing: second convolutions are 1 x 1 in the encoder, 3 x 3 in the decoder.
        self.encoder = nn.ModuleList(ModulatedBlock(c, style_dim, kernel_size=1) for c in channels[1:])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.middle = ModulatedBlock(channels[-1], style_dim, kernel_size=1)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(channels))
        self.decoder = nn.ModuleList(ModulatedBlock(c, style_dim, kernel_size=3) for c in channels[:-1])
        folded = fine // 2
        self.to_fine = nn.Conv2d(channels[0], 4 * folded, 3, padding=1)
        self.fine_in = nn.Conv2d(folded + 4 * (config.in_channels + 2), fine, 3, padding=1)
        self.fine_modulation = nn.Linear(style_dim, 2 * fine)
        self.head = nn.Conv2d(fine, 4 * (config.in_channels + 1), 3, padding=1)
        initialise(self)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.fine_modulation.weight.mul_(0.2)
            for module in self.modules():
                if isinstance(module, ModulatedBlock):
                    module.conv2.weight.mul_(0.3)
                    module.modulation.weight.mul_(0.2)

    def class_inputs(self) -> dict[str, int]:
        return {"mapping.0.weight": self.config.latent_dim, "stem.weight": 16 * (self.config.in_channels + 2)}

    def forward(self, window: Tensor, class_masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        height, width = window.shape[-2:]
        inside = class_masks.amax(dim=1, keepdim=True)
        style = self.mapping(torch.cat([z, present_classes(class_masks)], dim=1))
        noise = self.noise(z, height, width)
        full = torch.cat([2 * window, 2 * inside - 1, noise], dim=1)

        folded = torch.cat([F.pixel_unshuffle(full, 4), class_masks[:, :, 1::4, 1::4]], dim=1)
        x = F.leaky_relu_(self.stem(folded), 0.2)
        skips = []
        for down, block in zip(self.down, self.encoder, strict=True):
            skips.append(x)
            x = block(F.leaky_relu_(down(x), 0.2), style)
        x = self.middle(x, style)
        for block, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = block(skips.pop() + F.interpolate(up(x), scale_factor=2.0, mode="nearest"), style)

        fine = torch.cat([F.pixel_shuffle(F.leaky_relu_(self.to_fine(x), 0.2), 2), F.pixel_unshuffle(full, 2)], dim=1)
        scale, shift = self.fine_modulation(style)[:, :, None, None].chunk(2, dim=1)
        fine = F.leaky_relu_(torch.addcmul(shift, self.fine_in(fine), 1 + scale), 0.2)
        return residual_and_alpha(F.pixel_shuffle(self.head(fine), 2))
