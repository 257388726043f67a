"""What a generator is built from: a frozen, JSON-ready description."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GeneratorConfig:
    """Everything that rebuilds a generator; stored as `generator` in a weights folder's `config.json`.

    Raises:
        ValueError: if a field is outside its range; the message names the field.
    """

    architecture: str = "default"  # a key of albu_gan.generators.ARCHITECTURES
    in_channels: int = 1  # channels of the window: 1 gray, 3 RGB
    num_classes: int = 1  # channels of the class masks
    latent_dim: int = 32  # length of z
    channels: tuple[int, ...] = (48, 64, 128)  # features at 1/4, 1/8, ... of the window; pix2pix, ffc: at 1/2, 1/4, ...
    fine_channels: int = 16  # features at 1/2 of the window, where texture is made; pix2pix has none
    style_dim: int = 128  # width of the mapping from (z, classes) to feature modulation; pix2pix has none
    blocks: int = 6  # residual blocks at the coarsest resolution, of ffc

    def __post_init__(self) -> None:
        if isinstance(self.channels, list):
            object.__setattr__(self, "channels", tuple(self.channels))
        if not isinstance(self.architecture, str):
            raise ValueError(f"GeneratorConfig.architecture must be a name, got {self.architecture!r}")
        if type(self.in_channels) is not int or self.in_channels not in (1, 3):
            raise ValueError(f"GeneratorConfig.in_channels must be 1 or 3, got {self.in_channels!r}")
        limits = {
            "num_classes": (1, 64),
            "latent_dim": (1, 512),
            "fine_channels": (2, 256),
            "style_dim": (1, 1024),
            "blocks": (1, 32),
        }
        for field, (least, most) in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"GeneratorConfig.{field} must be an integer from {least} to {most}, got {value!r}")
        if not isinstance(self.channels, tuple) or not 1 <= len(self.channels) <= 6:
            raise ValueError(f"GeneratorConfig.channels must be 1 to 6 integers, got {self.channels!r}")
        if not all(isinstance(c, int) and not isinstance(c, bool) and 1 <= c <= 1024 for c in self.channels):
            raise ValueError(f"GeneratorConfig.channels must be integers from 1 to 1024, got {self.channels!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorConfig:
        """Rebuild a config, refusing fields that this version does not know."""
        if not isinstance(values, dict):
            raise ValueError(f"generator config must be an object, got {type(values).__name__}")
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"generator config has unknown fields {unknown}; a newer albu-gan may have written it")
        return cls(**values)
