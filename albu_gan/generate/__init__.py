"""Synthetic data sets: images of yours with defects painted into them, masks, COCO annotations and a manifest."""

from albu_gan.generate.run import generate
from albu_gan.generate.settings import GenerateError, GenerateSettings
from albu_gan.generate.share import Share

__all__ = ["GenerateError", "GenerateSettings", "Share", "generate"]
