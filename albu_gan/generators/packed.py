"""The default generator rearranged for a CPU: what `ResidualUnshuffleGenerator.paint` computes, in less time.

Written down plainly, the network spends much of its time on a CPU outside of convolutions, or on pixels that nobody
will see. Here:

- features are (B, H, W, C) in memory from the first layer to the last, weights are laid out for oneDNN once;
- nothing is folded: a convolution of a folded map is one of the map itself with a larger kernel and a stride;
- all modulations are one matrix product, and tanh is part of the convolution before it;
- once the coarse features are made, only what the mask's box needs is computed: the layers from there on reach a few
  pixels, and outside of the mask nothing is added.
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
from albu_gan.generators.parts import Parts, cut, mask_box

SLOPE = 0.2  # of the leaky ReLU
LAYOUT = torch.channels_last
SIZES = 4  # oneDNN compiles a convolution for every size that it meets: sides of parts are multiples of this


def packed(network: DefectGenerator) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Return the fastest form of `network.paint` on the CPU, without gradients.

    Args:
        network: in evaluation mode on the CPU, float32. Its weights are copied: train, then pack.
    """
    return PackedUnshuffleGenerator(network) if type(network) is ResidualUnshuffleGenerator else network.paint


class PackedConv:
    """A convolution of maps that are (B, H, W, C) in memory, with weights that oneDNN need not reorder.

    Args:
        weight: (C', C, K, K).
        bias: (C',), or None.
        size: side of a typical input; others work, and cost a reordering at worst.
        stride: along both axes.
        padding: on every side; None for half of the kernel.
        activation: "none" or "tanh".
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        size: int,
        stride: int = 1,
        padding: int | None = None,
        activation: str = "none",
    ) -> None:
        padding = weight.shape[-1] // 2 if padding is None else padding
        self.stride, self.padding, self.activation = [stride] * 2, [padding] * 2, activation
        self.bias = None if bias is None else bias.contiguous()
        self.pointwise = bias is not None and weight.shape[-1] == 1 and stride == 1 and activation == "none"
        self.packed: Tensor | None = None
        if self.pointwise:
            self.weight = weight[:, :, 0, 0].t().contiguous()
            return
        self.weight = weight.contiguous(memory_format=LAYOUT)
        # What torch's own compiler calls, and nothing that torch promises: taken if it is there and right.
        side = 8 * stride
        example = torch.linspace(-1, 1, weight.shape[1] * side**2).view(1, side, side, -1).permute(0, 3, 1, 2)
        expected = self(example)
        try:
            self.convolve = torch.ops.mkldnn._convolution_pointwise.default  # which saves a search at each call
            self.convolve_onto = torch.ops.mkldnn._convolution_pointwise_.binary
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight.contiguous(), self.padding, self.stride, [1, 1], 1, [1, weight.shape[1], size, size]
            )
            onto = self.onto(torch.ones_like(expected), example) - 1 if activation == "none" else expected
            for made in (self(example), onto):
                if not torch.allclose(made, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())):
                    self.packed = None
        except (AttributeError, RuntimeError, TypeError):
            self.packed = None

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if self.pointwise:
            assert self.bias is not None
            B, C, H, W = x.shape
            out = torch.addmm(self.bias, x.permute(0, 2, 3, 1).reshape(-1, C), self.weight)
            return out.view(B, H, W, -1).permute(0, 3, 1, 2)
        if self.packed is None:
            out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
            return (torch.tanh_(out) if self.activation == "tanh" else out).contiguous(memory_format=LAYOUT)
        made: Tensor = self.convolve(
            x, self.packed, self.bias, self.padding, self.stride, [1, 1], 1, self.activation, [], ""
        )
        return made

    def onto(self, total: Tensor, x: Tensor) -> Tensor:
        """Add the convolution of `x` to `total`, in place."""
        if self.packed is None:
            return total.add_(self(x))
        made: Tensor = self.convolve_onto(
            total, x, self.packed, self.bias, self.padding, self.stride, [1, 1], 1, "add", None, None, [], None
        )
        return made


class PackedUnshuffleGenerator:
    """Paints as `ResidualUnshuffleGenerator` does.

    Args:
        network: in evaluation mode on the CPU, float32.
        size: of a typical window.
    """

    @torch.no_grad()
    def __init__(self, network: ResidualUnshuffleGenerator, size: int = 128) -> None:
        config = network.config
        self.channels, planes, folded = config.in_channels, config.in_channels + 2, config.fine_channels // 2
        self.mapping, self.noise = network.mapping, network.noise
        self._bases: dict[tuple[int, int], Tensor] = {}
        sizes = [max(1, size // 4 // 2**level) for level in range(len(config.channels))]

        def convolution(layer: nn.Module, level: int) -> PackedConv:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            return PackedConv(layer.weight, layer.bias, sizes[level], layer.stride[0])

        stem, bias = weight_and_bias(network.stem)
        self.stem = PackedConv(unfolded_kernel(stem[:, : 16 * planes], 4), bias, size, stride=4, padding=4)
        self.stem_classes = PackedConv(stem[:, 16 * planes :], None, sizes[0])
        self.down = [convolution(layer, level) for level, layer in enumerate(network.down)]
        self.up = [convolution(layer, level + 1) for level, layer in enumerate(network.up)]
        levels = [*range(1, len(sizes)), len(sizes) - 1, *reversed(range(len(sizes) - 1))]
        self.blocks = [
            (convolution(block.conv1, level), convolution(block.conv2, level))
            for block, level in zip(modulated_blocks(network), levels, strict=True)
        ]
        self.modulation, self.modulation_bias, widths = merged_modulations(network)
        self.halves = [width // 2 for width in widths for _ in range(2)]  # scales and shifts

        self.to_fine = convolution(network.to_fine, 0)
        fine, bias = weight_and_bias(network.fine_in)
        self.fine_seen = PackedConv(unfolded_kernel(fine[:, folded:], 2), bias, size, stride=2, padding=2)
        self.fine_made = PackedConv(fine[:, :folded], None, size // 2)
        self.head = PackedConv(*head_for_one_tanh(network), size // 2, activation="tanh")

    def __call__(self, window: Tensor, inside: Tensor, present: Tensor, z: Tensor) -> Tensor:
        """Paint; see `DefectGenerator.paint`."""
        B, _, H, W = window.shape
        added = torch.zeros_like(window, memory_format=torch.contiguous_format)
        box = mask_box(inside)
        if box is None:
            return added
        parts = Parts.around(box, H, W, SIZES)
        full = window.new_empty((B, H, W, self.channels + 2))
        torch.mul(window.permute(0, 2, 3, 1), 2, out=full[..., : self.channels])
        torch.sub(inside + inside, 1, out=full[..., -2])
        full[..., -1] = self._noise(z, H, W)
        full = full.permute(0, 3, 1, 2)
        classes = inside[:, 1::4, 1::4, None] * present[:, None, None]

        style = self.mapping(torch.cat([z, present * inside.amax(dim=(1, 2))[:, None]], dim=1))
        modulation = torch.addmm(self.modulation_bias, style, self.modulation.t())[:, :, None, None]
        halves = iter(torch.split_with_sizes(modulation, self.halves, dim=1))
        modulations = zip(halves, halves, strict=True)
        blocks = iter(self.blocks)
        x = F.leaky_relu_(self.stem_classes.onto(self.stem(full), classes.permute(0, 3, 1, 2)), SLOPE)
        skips = []
        for down in self.down:
            skips.append(x)
            x = self._block(F.leaky_relu_(down(x), SLOPE), next(blocks), *next(modulations))
        x = self._block(x, next(blocks), *next(modulations))

        for up in reversed(self.up):
            x = _enlarged_onto(skips.pop(), up(x))
            if not skips:
                x = cut(x, parts.block).contiguous(memory_format=LAYOUT)
            x = self._block(x, next(blocks), *next(modulations))
        x = x if self.up else cut(x, parts.block).contiguous(memory_format=LAYOUT)
        x = cut(F.leaky_relu_(self.to_fine(x), SLOPE), parts.made).contiguous(memory_format=LAYOUT)
        fine = self.fine_seen(cut(full, parts.seen).contiguous(memory_format=LAYOUT))
        fine = _modulated(self.fine_made.onto(fine, F.pixel_shuffle(x, 2)), *next(modulations))
        out = cut(self.head(fine), parts.fine).permute(0, 2, 3, 1)

        _, height, width, _ = out.shape
        residuals = out[..., : 4 * self.channels].reshape(B, height, width, self.channels, 2, 2)
        alphas = out[..., 4 * self.channels :].reshape(B, height, width, 1, 2, 2)
        sums = torch.addcmul(residuals, residuals, alphas).permute(0, 3, 1, 4, 2, 5)
        half = (0.5 * cut(inside, parts.painted)).view(B, 1, height, 2, width, 2)
        cut(added, parts.painted).view(B, self.channels, height, 2, width, 2).copy_(sums.mul_(half))
        return added

    @staticmethod
    def _block(x: Tensor, convolutions: tuple[PackedConv, PackedConv], scale: Tensor, shift: Tensor) -> Tensor:
        return convolutions[1](_modulated(convolutions[0](x), scale, shift)).add_(x)

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


def unfolded_kernel(weight: Tensor, factor: int) -> Tensor:
    """(C', C f f, K, K), for a map folded by f, to (C', C, K f, K f), for the map itself with a stride of f."""
    out, inputs, size, _ = weight.shape
    cells = weight.view(out, inputs // factor**2, factor, factor, size, size).permute(0, 1, 4, 2, 5, 3)
    return cells.reshape(out, -1, size * factor, size * factor)


def _modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scale and shift in place, then the activation."""
    return F.leaky_relu_(torch.addcmul(shift, x, scale, out=x), SLOPE)


def _enlarged_onto(x: Tensor, added: Tensor) -> Tensor:
    """Add a map of half the size to `x`, in place, each pixel to four."""
    B, C, H, W = x.shape
    x.view(B, C, H // 2, 2, W // 2, 2).add_(added[:, :, :, None, :, None])
    return x
