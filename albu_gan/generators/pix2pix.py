"""pix2pix: a U-Net of stride-2 4 x 4 convolutions with instance normalisation.

z and the classes enter at the input and at the bottleneck. BicycleGAN tiles them over the map and concatenates; a
convolution of a tiled channel adds one vector everywhere, so here a linear layer adds that vector: the same function
(borders apart) at no cost. Neither place is normalised, as instance normalisation would take the vector away again. A
noise map that is a function of z comes in with the window, where pix2pix had dropout.

References:
    Isola et al.: Image-to-image translation with conditional adversarial networks, 2017.
    Zhu et al.: Toward multimodal image-to-image translation (BicycleGAN), 2017.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.base import DefectGenerator, initialise, residual_and_alpha
from albu_gan.generators.config import GeneratorConfig
from albu_gan.generators.mapping import present_classes
from albu_gan.generators.noise import NoiseField
from albu_gan.generators.normalisation import InstanceNorm


class UNetGenerator(DefectGenerator):
    """See the module's docstring. `channels` are the features at 1/2, 1/4, ... of the window."""

    default_channels = (32, 64, 96, 128)

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.size_multiple = 2 ** len(channels)
        self.noise = NoiseField(config.latent_dim)
        self.stem = nn.Conv2d(config.in_channels + 2 + config.num_classes, channels[0], 4, stride=2, padding=1)
        self.stem_code = nn.Linear(config.latent_dim, channels[0], bias=False)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1, bias=i == len(channels) - 2)  # a bias before a norm does nothing
            for i, (a, b) in enumerate(pairwise(channels))
        )
        self.down_norms = nn.ModuleList(InstanceNorm(c) for c in channels[1:-1])
        self.bottleneck_code = nn.Linear(config.latent_dim + config.num_classes, channels[-1], bias=False)
        widths = [channels[-1], *(2 * c for c in reversed(channels[1:-1]))]  # of what comes up, with its skip
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False)
            for a, b in zip(widths, reversed(channels[:-1]), strict=False)
        )
        self.up_norms = nn.ModuleList(InstanceNorm(c) for c in reversed(channels[:-1]))
        joined = channels[0] * (2 if len(channels) > 1 else 1)
        self.head = nn.ConvTranspose2d(joined, config.in_channels + 1, 4, stride=2, padding=1)
        initialise(self)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.ConvTranspose2d):
                    layer.weight.normal_(0, (2 / (4 * layer.in_channels)) ** 0.5)  # each output sees 2 x 2 inputs
                    if layer.bias is not None:
                        layer.bias.zero_()
            self.head.weight.mul_(0.1)

    def class_inputs(self) -> dict[str, int]:
        return {"stem.weight": self.config.in_channels + 2, "bottleneck_code.weight": self.config.latent_dim}

    def forward(self, window: Tensor, class_masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        height, width = window.shape[-2:]
        inside = class_masks.amax(dim=1, keepdim=True)
        seen = torch.cat([2 * window, 2 * inside - 1, self.noise(z, height, width), class_masks], dim=1)
        x = self.stem(seen) + self.stem_code(z)[:, :, None, None]
        skips = []
        for i, down in enumerate(self.down):
            x = F.leaky_relu_(x, 0.2)
            skips.append(x)
            x = down(x)
            if i < len(self.down_norms):
                x = self.down_norms[i](x)
        code = self.bottleneck_code(torch.cat([z, present_classes(class_masks)], dim=1))
        x = F.leaky_relu_(x + code[:, :, None, None], 0.2)
        for up, norm in zip(self.up, self.up_norms, strict=True):
            x = F.leaky_relu_(norm(up(x)), 0.2)
            x = torch.cat([x, skips.pop()], dim=1)
        return residual_and_alpha(self.head(x))
