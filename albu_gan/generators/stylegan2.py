"""StyleGAN2 with an encoder: modulated convolutions whose style comes from z and from the window (co-modulation).

As in CoModGAN, the encoder's coarsest features both start the synthesis and, pooled, join the mapped latent in the
style of every layer; its finer features are added at their resolution. Residual and alpha are summed over resolutions
(output skips). The last layer works at half resolution, sees the window, the mask and noise once more, and its head
unfolds to full resolution: a quarter of the cost of a layer there.

References:
    Karras et al.: Analyzing and improving the image quality of StyleGAN, 2020.
    Zhao et al.: Large scale image completion via co-modulated generative adversarial networks, 2021.
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


class ModulatedConv2d(nn.Module):
    """Convolution whose weights are scaled, for each sample, by style along the input channels.

    Scaling weights is the same as scaling the input before and the output after a convolution that all samples share,
    which is several times faster on a CPU than one group a sample.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: odd.
        style_dim: length of the style.
        demodulate: whether the scaled weights of each output channel are normalised to a sum of squares of 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, style_dim: int, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.affine = nn.Linear(style_dim, in_channels)
        nn.init.kaiming_normal_(self.weight, a=0.2)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale = self.affine(style)
        out = F.conv2d(x * scale[:, :, None, None].to(x.dtype), self.weight, padding=self.weight.shape[-1] // 2)
        if self.demodulate:
            # A product and a sum instead of a matrix product, which autocast would round to half precision.
            power = self.weight.square().sum(dim=(2, 3)) * scale.float().square()[:, None]
            out = out * torch.rsqrt(power.sum(dim=2) + 1e-8)[:, :, None, None].to(out.dtype)
        return out


class ModulatedLayer(nn.Module):
    """Modulated convolution, scaled noise, bias, activation."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim)
        self.noise_strength = nn.Parameter(torch.full((1,), 0.3))
        self.bias = nn.Parameter(torch.zeros(out_channels, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        x = self.conv(x, style)
        x = x + (noise * self.noise_strength).to(x.dtype) + self.bias.to(x.dtype)
        return F.leaky_relu_(x, 0.2) * 2**0.5  # the gain keeps the variance


class CoModulatedGenerator(DefectGenerator):
    """See the module's docstring. `channels` are the features at 1/4, 1/8, ..., `fine_channels` at 1/2."""

    default_channels = (48, 64, 128)

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        channels, style_dim, fine = config.channels, config.style_dim, config.fine_channels
        self.size_multiple = 4 * 2 ** (len(channels) - 1)
        self.noise = NoiseField(config.latent_dim)
        self.mapping = mapping_network(config, layers=4)
        self.encoder = WindowEncoder(config)
        self.window_style = nn.Linear(channels[-1], style_dim)
        joint = 2 * style_dim
        outputs = config.in_channels + 1
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(list(pairwise(channels))))
        self.layers = nn.ModuleList(ModulatedLayer(c, c, joint) for c in reversed(channels) for _ in range(2))
        self.outputs = nn.ModuleList(
            ModulatedConv2d(c, outputs, 1, joint, demodulate=False) for c in reversed(channels)
        )
        folded = max(1, fine // 2)
        self.to_fine = nn.Conv2d(channels[0], 4 * folded, 3, padding=1)
        self.fine_layer = ModulatedLayer(folded + 4 * (config.in_channels + 2), fine, joint)
        self.head = ModulatedConv2d(fine, 4 * outputs, 3, joint, demodulate=False)
        initialise(self)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ModulatedConv2d):
                    module.affine.weight.mul_(0.3)
                    nn.init.ones_(module.affine.bias)
                    if not module.demodulate:  # the outputs, which are summed
                        module.weight.mul_(0.07)
            for weight in self.up.parameters():  # what comes up is added to what the encoder sees
                weight.mul_(0.5)

    def class_inputs(self) -> dict[str, int]:
        return {"mapping.0.weight": self.config.latent_dim, "encoder.stem.weight": self.encoder.first_class}

    def forward(self, window: Tensor, class_masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        height, width = window.shape[-2:]
        features = self.encoder(window, class_masks)
        x = features.pop()
        seen = F.leaky_relu_(self.window_style(x.mean(dim=(2, 3))), 0.2)
        style = torch.cat([self.mapping(classed_latent(z, class_masks)), seen], dim=1)
        out: Tensor | None = None
        for i, layer in enumerate(self.layers):
            if i and i % 2 == 0:
                x = features.pop() + F.interpolate(self.up[i // 2 - 1](x), scale_factor=2.0, mode="nearest")
            x = layer(x, style, self.noise(z, x.shape[2], x.shape[3], shift=NOISE_SHIFT * (i + 1)))
            if i % 2:
                added = self.outputs[i // 2](x, style).float()
                out = added if out is None else added + enlarge(out, 2)

        inside = class_masks.amax(dim=1, keepdim=True)
        full = torch.cat([2 * window, 2 * inside - 1, self.noise(z, height, width)], dim=1)
        fine = torch.cat([F.pixel_shuffle(F.leaky_relu_(self.to_fine(x), 0.2), 2), F.pixel_unshuffle(full, 2)], dim=1)
        noise = self.noise(z, height // 2, width // 2, shift=NOISE_SHIFT * (len(self.layers) + 1))
        fine = self.fine_layer(fine, style, noise)
        assert out is not None  # there is at least one resolution
        return residual_and_alpha(enlarge(out, 4) + F.pixel_shuffle(self.head(fine, style), 2))


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Enlarge a map bilinearly: for a factor of 2, StyleGAN2's filter of 1, 3, 3, 1."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
