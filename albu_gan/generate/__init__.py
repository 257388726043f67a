"""Synthetic data sets: images of yours with defects painted into them, masks, COCO annotations and a manifest."""

from albu_gan.generate.command import (
    add_backend,
    add_generate,
    add_variation,
)
from albu_gan.generate.run import (
    generate,
    one_thread,
)
from albu_gan.generate.settings import (
    GenerateError,
    GenerateSettings,
)
from albu_gan.generate.share import (
    Share,
)

__all__ = [
    "GenerateError",
    "GenerateSettings",
    "Share",
    "add_backend",
    "add_generate",
    "add_variation",
    "generate",
    "one_thread",
]
