"""StyleGAN with an encoder: AdaIN styles and noise in every layer, features of the clean window at every resolution.

Synthesis starts from the encoder's coarsest features instead of a learned constant, and takes in the encoder's features
of each finer resolution. The last layer works at half resolution, sees the window, the mask and noise once more, and
its head unfolds to full resolution: a quarter of the cost of a layer there.

References:
    Karras, Laine, Aila: A style-based generator architecture for generative adversarial networks, 2019.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.base import DefectGenerator, initialise, residual_and_alpha
from albu_gan.generators.config import GeneratorConfig
from albu_gan.generators.encoder import WindowEncoder
from albu_gan.generators.mapping import classed_latent, mapping_network
from albu_gan.generators.noise import NOISE_SHIFT, NoiseField
from albu_gan.generators.normalisation import adaptive_instance_norm


class StyledLayer(nn.Module):
    """Convolution, noise scaled by channel, activation, AdaIN."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.noise_strength = nn.Parameter(torch.full((out_channels, 1, 1), 0.3))
        self.affine = nn.Linear(style_dim, 2 * out_channels)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        x = self.conv(x)
        x = torch.addcmul(x, noise.to(x.dtype), self.noise_strength.to(x.dtype))
        scale, shift = self.affine(style).float()[:, :, None, None].chunk(2, dim=1)
        return adaptive_instance_norm(F.leaky_relu_(x, 0.2), 1 + scale, shift)


class StyleGenerator(DefectGenerator):
    """See the module's docstring. `channels` are the features at 1/4, 1/8, ..., `fine_channels` at 1/2."""

    default_channels = (48, 64, 128)

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        channels, style_dim, fine = config.channels, config.style_dim, config.fine_channels
        self.size_multiple = 4 * 2 ** (len(channels) - 1)
        self.noise = NoiseField(config.latent_dim)
        self.mapping = mapping_network(config, layers=4)
        self.encoder = WindowEncoder(config)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(list(pairwise(channels))))
        self.layers = nn.ModuleList(StyledLayer(c, c, style_dim) for c in reversed(channels) for _ in range(2))
        folded = max(1, fine // 2)
        self.to_fine = nn.Conv2d(channels[0], 4 * folded, 3, padding=1)
        self.fine_layer = StyledLayer(folded + 4 * (config.in_channels + 2), fine, style_dim)
        self.head = nn.Conv2d(fine, 4 * (config.in_channels + 1), 3, padding=1)
        initialise(self)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            for module in self.modules():
                if isinstance(module, StyledLayer):
                    module.affine.weight.mul_(0.3)

    def class_inputs(self) -> dict[str, int]:
        return {"mapping.0.weight": self.config.latent_dim, "encoder.stem.weight": self.encoder.first_class}

    def forward(self, window: Tensor, class_masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        height, width = window.shape[-2:]
        style = self.mapping(classed_latent(z, class_masks))
        features = self.encoder(window, class_masks)
        x = features.pop()
        for i, layer in enumerate(self.layers):
            if i and i % 2 == 0:
                x = features.pop() + F.interpolate(self.up[i // 2 - 1](x), scale_factor=2.0, mode="nearest")
            x = layer(x, style, self.noise(z, x.shape[2], x.shape[3], shift=NOISE_SHIFT * (i + 1)))

        inside = class_masks.amax(dim=1, keepdim=True)
        full = torch.cat([2 * window, 2 * inside - 1, self.noise(z, height, width)], dim=1)
        fine = torch.cat([F.pixel_shuffle(F.leaky_relu_(self.to_fine(x), 0.2), 2), F.pixel_unshuffle(full, 2)], dim=1)
        noise = self.noise(z, height // 2, width // 2, shift=NOISE_SHIFT * (len(self.layers) + 1))
        return residual_and_alpha(F.pixel_shuffle(self.head(self.fine_layer(fine, style, noise)), 2))
