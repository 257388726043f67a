"""The default generator rearranged for ONNX Runtime: what `ResidualUnshuffleGenerator.paint` computes, in less time.

ONNX Runtime has fast convolutions and slow transpositions. A convolution of a folded map is one of the map itself with
a larger kernel and a stride: so nothing is folded, and the two kinds of input of a layer are two convolutions, summed.
All modulations are one matrix product, and what is added is computed before it is unfolded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from albu_gan.generators.base import DefectGenerator
from albu_gan.generators.default import ModulatedBlock, ResidualUnshuffleGenerator
from albu_gan.generators.noise import NOISE_TILE
from albu_gan.generators.packed import head_for_one_tanh, merged_modulations, modulated_blocks, weight_and_bias


def planar(network: DefectGenerator) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Return the form of `network.paint` that ONNX Runtime runs fastest."""
    return PlanarUnshuffleGenerator(network) if type(network) is ResidualUnshuffleGenerator else network.paint


class PlanarUnshuffleGenerator:
    """Paints as `ResidualUnshuffleGenerator` does.

    Args:
        network: in evaluation mode on the CPU, float32.
    """

    @torch.no_grad()
    def __init__(self, network: ResidualUnshuffleGenerator) -> None:
        self.network, self.channels = network, network.config.in_channels
        planes, folded = self.channels + 2, network.config.fine_channels // 2
        stem, self.stem_bias = weight_and_bias(network.stem)
        self.stem, self.stem_classes = _unfolded_kernel(stem[:, : 16 * planes], 4), stem[:, 16 * planes :]
        fine, self.fine_bias = weight_and_bias(network.fine_in)
        self.fine_seen, self.fine_made = _unfolded_kernel(fine[:, folded:], 2), fine[:, :folded]
        self.head, self.head_bias = head_for_one_tanh(network)
        self.modulation, self.modulation_bias, self.widths = merged_modulations(network)

    def __call__(self, window: Tensor, inside: Tensor, present: Tensor, z: Tensor) -> Tensor:
        """Paint; see `DefectGenerator.paint`."""
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
        for up in reversed(network.up):
            x = skips.pop() + F.interpolate(up(x), scale_factor=2.0, mode="nearest")
            x = _block(x, next(blocks), next(modulations))

        made = F.pixel_shuffle(F.leaky_relu(network.to_fine(x), 0.2), 2)
        fine = F.conv2d(full, self.fine_seen, self.fine_bias, stride=2, padding=2)
        fine = _modulated(fine + F.conv2d(made, self.fine_made, None, padding=1), next(modulations))
        out = torch.tanh(F.conv2d(fine, self.head, self.head_bias, padding=1))
        residuals, alphas = out[:, : 4 * self.channels], out[:, 4 * self.channels :]
        alphas = torch.cat([alphas] * self.channels, dim=1)
        return F.pixel_shuffle(torch.addcmul(residuals, residuals, alphas), 2) * (inside * 0.5)

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


def _unfolded_kernel(weight: Tensor, factor: int) -> Tensor:
    """(C', C f f, K, K), for a map folded by f, to (C', C, K f, K f), for the map itself with a stride of f."""
    out, inputs, size, _ = weight.shape
    cells = weight.view(out, inputs // factor**2, factor, factor, size, size).permute(0, 1, 4, 2, 5, 3)
    return cells.reshape(out, -1, size * factor, size * factor)
