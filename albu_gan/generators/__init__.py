"""Generators: encoder-decoders conditioned on a clean window, class masks and a latent."""

from albu_gan.generators.base import (
    DefectGenerator,
    composite,
    initialise,
)
from albu_gan.generators.build import (
    ARCHITECTURES,
    build_generator,
    default_config,
)
from albu_gan.generators.config import (
    GeneratorConfig,
)
from albu_gan.generators.default import (
    ResidualUnshuffleGenerator,
)
from albu_gan.generators.ffc import (
    FourierGenerator,
)
from albu_gan.generators.packed import (
    packed,
)
from albu_gan.generators.parts import (
    Part,
    Parts,
    mask_box,
)
from albu_gan.generators.pix2pix import (
    UNetGenerator,
)
from albu_gan.generators.planar import (
    PlanarUnshuffleGenerator,
    planar,
)
from albu_gan.generators.skeleton import (
    build_skeleton,
    expected_state,
)
from albu_gan.generators.stylegan import (
    StyleGenerator,
)
from albu_gan.generators.stylegan2 import (
    CoModulatedGenerator,
)

__all__ = [
    "ARCHITECTURES",
    "CoModulatedGenerator",
    "DefectGenerator",
    "FourierGenerator",
    "GeneratorConfig",
    "Part",
    "Parts",
    "PlanarUnshuffleGenerator",
    "ResidualUnshuffleGenerator",
    "StyleGenerator",
    "UNetGenerator",
    "build_generator",
    "build_skeleton",
    "composite",
    "default_config",
    "expected_state",
    "initialise",
    "mask_box",
    "packed",
    "planar",
]
