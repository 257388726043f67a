"""Generators: encoder-decoders conditioned on a clean window, class masks and a latent."""

from albu_gan.generators.base import DefectGenerator, composite
from albu_gan.generators.config import GeneratorConfig
from albu_gan.generators.default import ResidualUnshuffleGenerator

#: Architectures by the name that `GeneratorConfig.architecture` holds.
ARCHITECTURES: dict[str, type[DefectGenerator]] = {"default": ResidualUnshuffleGenerator}


def build_generator(config: GeneratorConfig) -> DefectGenerator:
    """Build the network that `config` describes, with fresh weights.

    Raises:
        ValueError: if the architecture is unknown; the message lists the known ones.
    """
    if config.architecture not in ARCHITECTURES:
        raise ValueError(f"unknown generator architecture {config.architecture!r}; known: {sorted(ARCHITECTURES)}")
    return ARCHITECTURES[config.architecture](config)


__all__ = [
    "ARCHITECTURES",
    "DefectGenerator",
    "GeneratorConfig",
    "ResidualUnshuffleGenerator",
    "build_generator",
    "composite",
]
