"""LaMa's inpainter: residual blocks of fast Fourier convolutions, so that every layer sees the whole window.

As in LaMa, a few strided convolutions, residual blocks whose features are a quarter local (3 x 3 convolutions) and
three quarters global (1 x 1 convolutions of the spectrum), and a decoder. Three things differ. Batch normalisation is
gone: the residual stream is linear, and z modulates what is between a block's two convolutions (FiLM, Perez et al.
2018). LaMa's first layer at full resolution is one on the pixel-unshuffled window, at half. The head sees the window,
the mask and noise again, as LaMa has no skip connections to bring fine texture across the blocks.

`GeneratorConfig(architecture="ffc", channels=(128, 256, 512), blocks=9)` is the size of the original, 28 M parameters.

References:
    Suvorov et al.: Resolution-robust large mask inpainting with Fourier convolutions (LaMa), 2021.
    Chi, Jiang, Mu: Fast Fourier convolution, 2020.
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


class FourierUnit(nn.Module):
    """A 1 x 1 convolution and an activation in the frequency domain: a convolution as large as the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # In float32 under autocast too: bfloat16 has no FFT.
        spectrum = torch.fft.rfft2(x.float().contiguous(), norm="ortho")
        parts = torch.cat([spectrum.real, spectrum.imag], dim=1)
        real, imaginary = F.leaky_relu_(self.conv(parts), 0.2).float().chunk(2, dim=1)
        spectrum = torch.complex(real.contiguous(), imaginary.contiguous())
        out: Tensor = torch.fft.irfft2(spectrum, s=x.shape[-2:], norm="ortho")
        return out.to(x.dtype)


class SpectralTransform(nn.Module):
    """The global branch: half as many channels, a `FourierUnit` around which they also pass by, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.fourier = FourierUnit(hidden)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu_(self.reduce(x), 0.2)
        out: Tensor = self.expand(x + self.fourier(x))
        return out


class FourierConvolution(nn.Module):
    """A layer on features of which the first are local and the others, three quarters, global.

    Local features come from all by a 3 x 3 convolution, global ones from local ones by a 3 x 3 convolution and from
    global ones by a `SpectralTransform`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local = max(1, channels // 4)
        self.to_local = nn.Conv2d(channels, self.local, 3, padding=1)
        self.to_global = nn.Conv2d(self.local, channels - self.local, 3, padding=1)
        self.spectral = SpectralTransform(channels - self.local)

    def forward(self, x: Tensor) -> Tensor:
        spread = self.to_global(x[:, : self.local]) + self.spectral(x[:, self.local :])
        return torch.cat([self.to_local(x), spread], dim=1)


class FourierBlock(nn.Module):
    """Residual block of two `FourierConvolution` layers; the style scales and shifts what is between them."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv1 = FourierConvolution(channels)
        self.conv2 = FourierConvolution(channels)
        self.modulation = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.modulation(style)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.conv1(x), 1 + scale)
        out: Tensor = x + self.conv2(F.leaky_relu_(h, 0.2))
        return out


class FourierGenerator(DefectGenerator):
    """See the module's docstring. `channels` are the features at 1/2, 1/4, ... of the window; `blocks` at the last."""

    default_channels = (24, 48, 96)

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        channels, style_dim, fine = config.channels, config.style_dim, config.fine_channels
        if channels[-1] < 2:
            raise ValueError(f"ffc needs 2 features or more, local and global, where it ends; got channels {channels}")
        self.size_multiple = 2 ** len(channels)
        self.noise = NoiseField(config.latent_dim)
        self.mapping = mapping_network(config, layers=2)
        folded = 4 * (config.in_channels + 2)  # the window, the union of the masks and the noise, each 2 x 2
        self.stem = nn.Conv2d(folded + config.num_classes, channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.blocks = nn.ModuleList(FourierBlock(channels[-1], style_dim) for _ in range(config.blocks))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in reversed(list(pairwise(channels))))
        self.fine_in = nn.Conv2d(channels[0] + folded, fine, 3, padding=1)
        self.head = nn.Conv2d(fine, 4 * (config.in_channels + 1), 3, padding=1)
        initialise(self)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            for module in self.modules():
                if isinstance(module, FourierConvolution):  # global features are a sum of three
                    module.to_global.weight.mul_(0.7)
                    module.spectral.expand.weight.mul_(0.5)
                elif isinstance(module, FourierBlock):
                    module.modulation.weight.mul_(0.2)
                    for last in (module.conv2.to_local, module.conv2.to_global, module.conv2.spectral.expand):
                        last.weight.mul_(0.3)

    def class_inputs(self) -> dict[str, int]:
        return {"mapping.0.weight": self.config.latent_dim, "stem.weight": 4 * (self.config.in_channels + 2)}

    def forward(self, window: Tensor, class_masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        height, width = window.shape[-2:]
        inside = class_masks.amax(dim=1, keepdim=True)
        style = self.mapping(torch.cat([z, present_classes(class_masks)], dim=1))
        full = torch.cat([2 * window, 2 * inside - 1, self.noise(z, height, width)], dim=1)
        folded = F.pixel_unshuffle(full, 2)
        x = F.leaky_relu_(self.stem(torch.cat([folded, class_masks[:, :, ::2, ::2]], dim=1)), 0.2)
        for down in self.down:
            x = F.leaky_relu_(down(x), 0.2)
        for block in self.blocks:
            x = block(x, style)
        for up in self.up:
            x = F.interpolate(F.leaky_relu_(up(x), 0.2), scale_factor=2.0, mode="nearest")
        fine = F.leaky_relu_(self.fine_in(torch.cat([x, folded], dim=1)), 0.2)
        return residual_and_alpha(F.pixel_shuffle(self.head(fine), 2))
