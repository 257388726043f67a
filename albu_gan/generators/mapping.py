"""From a latent and the classes of a window to a style."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.config import GeneratorConfig


def mapping_network(config: GeneratorConfig, layers: int) -> nn.Sequential:
    """Build the perceptron from (z, classes), concatenated, to a style of `config.style_dim` features."""
    widths = [config.latent_dim + config.num_classes] + layers * [config.style_dim]
    modules: list[nn.Module] = []
    for i in range(layers):
        modules += [nn.Linear(widths[i], widths[i + 1]), nn.LeakyReLU(0.2)]
    return nn.Sequential(*modules)


def present_classes(class_masks: Tensor) -> Tensor:
    """Return (B, K) float, 1 for every class that has a pixel in its mask."""
    return class_masks.amax(dim=(2, 3))


def normalised_latent(z: Tensor) -> Tensor:
    """Scale z to a mean square of 1, as StyleGAN's mapping network expects (Karras et al. 2019)."""
    scaled: Tensor = F.normalize(z, dim=1) * z.shape[1] ** 0.5
    return scaled


def classed_latent(z: Tensor, class_masks: Tensor) -> Tensor:
    """Return (B, latent_dim + K): the normalised latent, then the classes present."""
    return torch.cat([normalised_latent(z), present_classes(class_masks)], dim=1)
