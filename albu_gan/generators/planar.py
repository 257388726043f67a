"""The default generator rearranged for ONNX Runtime: what `ResidualUnshuffleGenerator.paint` computes, in less time.

ONNX Runtime has fast convolutions and slow transpositions. A convolution of a folded map is one of the map itself with
a larger kernel and a stride: so nothing is folded, and the two kinds of input of a layer are two convolutions, summed.
All modulations are one matrix product, what is added is computed before it is unfolded, and only in the mask's box.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from albu_gan.generators.base import DefectGenerator
from albu_gan.generators.default import ModulatedBlock, ResidualUnshuffleGenerator
from albu_gan.generators.noise import NOISE_TILE
from albu_gan.generators.packed import (
    head_for_one_tanh,
    merged_modulations,
    modulated_blocks,
    unfolded_kernel,
    weight_and_bias,
)
from albu_gan.generators.parts import Part, cut


def planar(network: DefectGenerator) -> Callable[..., Tensor]:
    """Return the form of `network.paint` that ONNX Runtime runs fastest.

    If it is a `PlanarUnshuffleGenerator`, it takes the fields of `Parts` besides, and returns what is painted alone.
    """
    return PlanarUnshuffleGenerator(network) if type(network) is ResidualUnshuffleGenerator else network.paint


class PlanarUnshuffleGenerator:
    """Paints as `ResidualUnshuffleGenerator` does, one part of the windows.

    Args:
        network: in evaluation mode on the CPU, float32.
    """

    @torch.no_grad()
    def __init__(self, network: ResidualUnshuffleGenerator) -> None:
        self.network, self.channels = network, network.config.in_channels
        planes, folded = self.channels + 2, network.config.fine_channels // 2
        stem, self.stem_bias = weight_and_bias(network.stem)
        self.stem, self.stem_classes = unfolded_kernel(stem[:, : 16 * planes], 4), stem[:, 16 * planes :]
        fine, self.fine_bias = weight_and_bias(network.fine_in)
        self.fine_seen, self.fine_made = unfolded_kernel(fine[:, folded:], 2), fine[:, :folded]
        self.head, self.head_bias = head_for_one_tanh(network)
        self.modulation, self.modulation_bias, self.widths = merged_modulations(network)

    def __call__(
        self,
        window: Tensor,
        inside: Tensor,
        present: Tensor,
        z: Tensor,
        block: Tensor | Part,
        made: Tensor | Part,
        seen: Tensor | Part,
        fine: Tensor | Part,
        painted: Tensor | Part,
    ) -> Tensor:
        """Paint; see `DefectGenerator.paint`, and for the parts, (4,) int64, `albu_gan.generators.parts.Parts`.

        Returns:
            (B, C, h, w) float, the part `painted` of what is to be added.
        """
        network, inside = self.network, inside[:, None]
        full = torch.cat([2 * window, 2 * inside - 1, self._noise(z, *window.shape[-2:])], dim=1)
        style = network.mapping(torch.cat([z, present * inside.amax(dim=(2, 3))], dim=1))
        modulation = F.linear(style, self.modulation, self.modulation_bias)
        modulations = iter(torch.split_with_sizes(modulation, self.widths, dim=1))
        blocks = iter(modulated_blocks(network))

        classes = present[:, :, None, None] * inside[:, :, 1::4, 1::4]
        x = F.conv2d(full, self.stem, self.stem_bias, stride=4, padding=4)
        x = F.leaky_relu(x + F.conv2d(classes, self.stem_classes, None, padding=1), 0.2)
        skips = []
        for down in network.down:
            skips.append(x)
            x = _block(F.leaky_relu(down(x), 0.2), next(blocks), next(modulations))
        x = _block(x, next(blocks), next(modulations))
        for number, up in enumerate(reversed(network.up), start=1):
            x = skips.pop() + F.interpolate(up(x), scale_factor=2.0, mode="nearest")
            x = _block(cut(x, block) if number == len(network.up) else x, next(blocks), next(modulations))
        x = x if len(network.up) else cut(x, block)

        x = F.pixel_shuffle(cut(F.leaky_relu(network.to_fine(x), 0.2), made), 2)
        features = F.conv2d(cut(full, seen), self.fine_seen, self.fine_bias, stride=2, padding=2)
        features = _modulated(features + F.conv2d(x, self.fine_made, None, padding=1), next(modulations))
        out = torch.tanh(F.conv2d(features, self.head, self.head_bias, padding=1))
        out = cut(out, fine)
        residuals, alphas = out[:, : 4 * self.channels], out[:, 4 * self.channels :]
        alphas = torch.cat([alphas] * self.channels, dim=1)
        return F.pixel_shuffle(torch.addcmul(residuals, residuals, alphas), 2) * (cut(inside, painted) * 0.5)

    def _noise(self, z: Tensor, height: int, width: int) -> Tensor:
        """`NoiseField`, of just the part that is seen."""
        field = self.network.noise
        noise: Tensor
        if max(height, width) > NOISE_TILE:
            noise = field(z, height, width)
            return noise
        z = z[:, : field.terms]
        weights = z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
        noise = torch.tensordot(weights, field.basis[:, :height, :width], dims=1)
        return noise[:, None]


def _block(x: Tensor, block: ModulatedBlock, modulation: Tensor) -> Tensor:
    out: Tensor = x + block.conv2(_modulated(block.conv1(x), modulation))
    return out


def _modulated(x: Tensor, modulation: Tensor) -> Tensor:
    scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
    return F.leaky_relu(x * scale + shift, 0.2)
