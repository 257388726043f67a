"""Generators by name."""

from __future__ import annotations

from typing import Any

from albu_gan.generators.base import DefectGenerator
from albu_gan.generators.config import GeneratorConfig
from albu_gan.generators.default import ResidualUnshuffleGenerator
from albu_gan.generators.ffc import FourierGenerator
from albu_gan.generators.pix2pix import UNetGenerator
from albu_gan.generators.stylegan import StyleGenerator
from albu_gan.generators.stylegan2 import CoModulatedGenerator

#: Architectures by the name that `GeneratorConfig.architecture` holds.
ARCHITECTURES: dict[str, type[DefectGenerator]] = {
    "default": ResidualUnshuffleGenerator,
    "ffc": FourierGenerator,
    "pix2pix": UNetGenerator,
    "stylegan": StyleGenerator,
    "stylegan2": CoModulatedGenerator,
}


def build_generator(config: GeneratorConfig) -> DefectGenerator:
    """Build the network that `config` describes, with fresh weights.

    Raises:
        ValueError: if the architecture is unknown; the message lists the known ones.
    """
    return _architecture(config.architecture)(config)


def default_config(architecture: str, **fields: Any) -> GeneratorConfig:
    """Return a config with the architecture's own `channels`, and whatever else `fields` set.

    Raises:
        ValueError: if the architecture is unknown, or a field outside its range.
    """
    channels = _architecture(architecture).default_channels
    return GeneratorConfig(**{"architecture": architecture, "channels": channels, **fields})


def _architecture(name: str) -> type[DefectGenerator]:
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown generator architecture {name!r}; known: {sorted(ARCHITECTURES)}")
    return ARCHITECTURES[name]
