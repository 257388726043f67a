"""The default generator rearranged for a CPU: what `ResidualUnshuffleGenerator.paint` computes, in less time.

Written down plainly, the network spends a third of its time on a CPU outside of convolutions, moving pixels between
memory formats. Here features are (B, H, W, C) in memory from the first layer to the last, channels are in the order in
which folding and unfolding copy runs of memory, weights are permuted to match and laid out for oneDNN once, and all
modulations are one matrix product. What is added is computed before it is unfolded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albu_gan.generators.base import DefectGenerator
from albu_gan.generators.default import ModulatedBlock, ResidualUnshuffleGenerator
from albu_gan.generators.noise import NOISE_TILE

SLOPE = 0.2  # of the leaky ReLU


def packed(network: DefectGenerator) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Return the fastest form of `network.paint` on the CPU, without gradients.

    Args:
        network: in evaluation mode on the CPU, float32. Its weights are copied: train, then pack.
    """
    return PackedUnshuffleGenerator(network) if type(network) is ResidualUnshuffleGenerator else network.paint


class PackedConv:
    """A convolution from (B, H, W, C) to (B, H', W', C'), both contiguous, with weights that oneDNN need not reorder.

    Args:
        weight: (C', C, K, K), K odd.
        bias: (C',).
        size: side of a typical input; others work, and cost a reordering at worst.
        stride: along both axes.
    """

    def __init__(self, weight: Tensor, bias: Tensor, size: int, stride: int = 1) -> None:
        self.bias, self.stride, self.padding = bias.contiguous(), [stride] * 2, [weight.shape[-1] // 2] * 2
        self.pointwise = weight.shape[-1] == 1 and stride == 1
        self.packed: Tensor | None = None
        if self.pointwise:
            self.weight = weight[:, :, 0, 0].t().contiguous()
            return
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        # What torch's own compiler calls, and nothing that torch promises: taken if it is there and right.
        example = torch.linspace(-1, 1, weight.shape[1] * 64).view(1, 8, 8, -1)
        expected = self(example)
        try:
            self.convolve = torch.ops.mkldnn._convolution_pointwise.default  # which saves a search at each call
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight.contiguous(), self.padding, self.stride, [1, 1], 1, [1, weight.shape[1], size, size]
            )
            if not torch.allclose(self(example), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())):
                self.packed = None
        except (AttributeError, RuntimeError, TypeError):
            self.packed = None

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve."""
        if self.pointwise:
            return torch.addmm(self.bias, x.view(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)
        x = x.permute(0, 3, 1, 2)
        if self.packed is None:
            out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        else:
            out = self.convolve(x, self.packed, self.bias, self.padding, self.stride, [1, 1], 1, "none", [], "")
        return out.permute(0, 2, 3, 1).contiguous()


class PackedUnshuffleGenerator:
    """Paints as `ResidualUnshuffleGenerator` does.

    Args:
        network: in evaluation mode on the CPU, float32.
        size: of a typical window.
    """

    @torch.no_grad()
    def __init__(self, network: ResidualUnshuffleGenerator, size: int = 128) -> None:
        config = network.config
        self.channels, self.planes, self.folded = config.in_channels, config.in_channels + 2, config.fine_channels // 2
        self.mapping, self.noise = network.mapping, network.noise
        self._bases: dict[tuple[int, int], Tensor] = {}
        sizes = [max(1, size // 4 // 2**level) for level in range(len(config.channels))]

        def convolution(layer: nn.Module, level: int) -> PackedConv:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            return PackedConv(layer.weight, layer.bias, sizes[level], layer.stride[0])

        stem, stem_bias = weight_and_bias(network.stem)
        order = torch.arange(16 * self.planes).view(self.planes, 2, 2, 2, 2).permute(1, 3, 2, 4, 0).reshape(-1)
        self.stem = PackedConv(torch.cat([stem[:, order], stem[:, len(order) :]], dim=1), stem_bias, sizes[0])
        self.down = [convolution(layer, level) for level, layer in enumerate(network.down)]
        self.up = [convolution(layer, level + 1) for level, layer in enumerate(network.up)]
        levels = [*range(1, len(sizes)), len(sizes) - 1, *reversed(range(len(sizes) - 1))]
        self.blocks = [
            (convolution(block.conv1, level), convolution(block.conv2, level))
            for block, level in zip(modulated_blocks(network), levels, strict=True)
        ]
        self.modulation, self.modulation_bias, self.widths = merged_modulations(network)

        order = _unfolded(self.folded)
        fine, fine_bias = weight_and_bias(network.to_fine)
        self.to_fine = PackedConv(fine[order], fine_bias[order], sizes[0])
        fine, fine_bias = weight_and_bias(network.fine_in)
        fine = torch.cat([fine[:, : self.folded], fine[:, self.folded :][:, _unfolded(self.planes)]], dim=1)
        self.fine_in = PackedConv(fine, fine_bias, size // 2)
        head, head_bias = head_for_one_tanh(network)
        order = torch.cat([_unfolded(self.channels), torch.arange(4) + 4 * self.channels])
        self.head = PackedConv(head[order], head_bias[order], size // 2)

    def __call__(self, window: Tensor, inside: Tensor, present: Tensor, z: Tensor) -> Tensor:
        """Paint; see `DefectGenerator.paint`."""
        B, _, H, W = window.shape
        planes, folded, height, width = self.planes, self.folded, H // 2, W // 2
        full = window.new_empty((B, H, W, planes))
        torch.mul(window.permute(0, 2, 3, 1), 2, out=full[..., : self.channels])
        torch.sub(inside + inside, 1, out=full[..., -2])
        full[..., -1] = self._noise(z, H, W)

        fine = window.new_empty((B, height, width, folded + 4 * planes))
        halves = fine[..., folded:].view(B, height, width, 2, 2 * planes)
        halves.copy_(full.view(B, height, 2, width, 2 * planes).transpose(2, 3))
        x = window.new_empty((B, H // 4, W // 4, 16 * planes + present.shape[1]))
        quarters = fine[..., folded:].view(B, H // 4, 2, W // 4, 2, 4 * planes).transpose(2, 3)
        x[..., : 16 * planes].view(quarters.shape).copy_(quarters)
        torch.mul(inside[:, 1::4, 1::4, None], present[:, None, None], out=x[..., 16 * planes :])

        present = present * inside.amax(dim=(1, 2))[:, None]
        style = self.mapping(torch.cat([z, present], dim=1))
        modulation = torch.addmm(self.modulation_bias, style, self.modulation.t())
        modulations = iter(torch.split_with_sizes(modulation, self.widths, dim=1))
        blocks = iter(self.blocks)
        x = F.leaky_relu_(self.stem(x), SLOPE)
        skips = []
        for down in self.down:
            skips.append(x)
            x = self._block(F.leaky_relu_(down(x), SLOPE), next(blocks), next(modulations))
        x = self._block(x, next(blocks), next(modulations))
        for up in reversed(self.up):
            x = _enlarged_onto(skips.pop(), up(x))
            x = self._block(x, next(blocks), next(modulations))

        x = F.leaky_relu_(self.to_fine(x), SLOPE).view(B, H // 4, W // 4, 2, 2, folded).transpose(2, 3)
        fine[..., :folded].view(x.shape).copy_(x)
        out = self.head(_modulated(self.fine_in(fine), next(modulations))).tanh_()

        residuals = out[..., : 4 * self.channels].view(B, height, width, 2, 2, self.channels).transpose(2, 3)
        alphas = out[..., 4 * self.channels :].view(B, height, width, 2, 2, 1).transpose(2, 3)
        added = torch.addcmul(residuals, residuals, alphas).reshape(B, H, W, self.channels)
        return added.mul_((inside * 0.5)[..., None]).permute(0, 3, 1, 2)

    @staticmethod
    def _block(x: Tensor, convolutions: tuple[PackedConv, PackedConv], modulation: Tensor) -> Tensor:
        return convolutions[1](_modulated(convolutions[0](x), modulation)).add_(x)

    def _noise(self, z: Tensor, height: int, width: int) -> Tensor:
        """`NoiseField`, (B, H, W), of just the part that is seen."""
        if max(height, width) > NOISE_TILE:
            noise: Tensor = self.noise(z, height, width)
            return noise[:, 0]
        basis = self._bases.get((height, width))
        if basis is None:
            basis = self.noise.basis[:, :height, :width].reshape(self.noise.terms, -1)
            self._bases[height, width] = basis
        z = z[:, : self.noise.terms]
        weights: Tensor = z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
        return (weights @ basis).view(-1, height, width)


def modulated_blocks(network: ResidualUnshuffleGenerator) -> list[ModulatedBlock]:
    """Blocks in the order in which features pass them."""
    blocks: list[Any] = [*network.encoder, network.middle, *reversed(network.decoder)]
    return blocks


def merged_modulations(network: ResidualUnshuffleGenerator) -> tuple[Tensor, Tensor, list[int]]:
    """Weight, bias and widths of one layer from the style to scale and shift, of every block and of the fine features.

    In the order in which features pass them.
    """
    layers = [*(block.modulation for block in modulated_blocks(network)), network.fine_modulation]
    widths = [layer.out_features for layer in layers]
    ones = torch.cat([(torch.arange(width) < width // 2).float() for width in widths])  # scales are around 1
    return torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]) + ones, widths


def head_for_one_tanh(network: ResidualUnshuffleGenerator) -> tuple[Tensor, Tensor]:
    """Weight and bias of the head of which tanh gives `r` and `a` with `residual * alpha / 2 = (r + r * a) / 2`.

    sigmoid(x + 1) is (1 + tanh((x + 1) / 2)) / 2.
    """
    weight, bias = weight_and_bias(network.head)
    first = 4 * network.config.in_channels
    weight = torch.cat([weight[:first], weight[first:] / 2])
    return weight, torch.cat([bias[:first], (bias[first:] + 1) / 2])


def weight_and_bias(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Parameters of a convolution that has both, as plain tensors."""
    assert layer.bias is not None
    return layer.weight.detach(), layer.bias.detach()


def _unfolded(channels: int) -> Tensor:
    """Channels of a map that `pixel_shuffle` unfolds by 2, as rows, columns, channels instead of channels first."""
    return torch.arange(4 * channels).view(channels, 2, 2).permute(1, 2, 0).reshape(-1)


def _modulated(x: Tensor, modulation: Tensor) -> Tensor:
    """Scale and shift in place, then the activation."""
    scale, shift = modulation[:, None, None].chunk(2, dim=3)
    return F.leaky_relu_(x.mul_(scale).add_(shift), SLOPE)


def _enlarged_onto(x: Tensor, added: Tensor) -> Tensor:
    """Add a map of half the size to `x`, in place, each pixel to four."""
    B, H, W, C = x.shape
    x.view(B, H // 2, 2, W // 2, 2, C).add_(added.view(B, H // 2, 1, W // 2, 1, C))
    return x
