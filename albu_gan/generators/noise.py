"""White noise that is a function of z: smooth along a latent walk and identical on every device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NOISE_TILE = 128  # period of the noise, in pixels
NOISE_TERMS = 16  # independent fields that z mixes
NOISE_SHIFT = 37  # roll from one layer's noise to the next, in pixels; odd, so that 128 layers differ


class NoiseField(nn.Module):
    """White noise as a linear function of the first entries of z: `sum_j z_j / |z| * basis_j`, of unit variance."""

    basis: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.terms = min(latent_dim, NOISE_TERMS)
        self.register_buffer("basis", torch.randn(self.terms, NOISE_TILE, NOISE_TILE, generator=generator))

    def forward(self, z: Tensor, height: int, width: int, shift: int = 0) -> Tensor:
        """Return (B, 1, height, width), periodic with `NOISE_TILE` pixels.

        Args:
            z: (B, latent_dim) float.
            height: of the map.
            width: of the map.
            shift: pixels by which the field is rolled along both axes; maps of different shifts are uncorrelated.
        """
        z = z[:, : self.terms]
        weights = z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
        field = torch.tensordot(weights, self.basis.to(z.dtype), dims=1)
        if shift:
            field = field.roll((shift, shift), dims=(1, 2))
        rows, columns = -(-height // NOISE_TILE), -(-width // NOISE_TILE)
        tiled: Tensor = field.repeat(1, rows, columns)
        return tiled[:, None, :height, :width]
