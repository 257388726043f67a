"""albu-gan: paint convincing defects into training images, as an Albumentations transform."""

from albu_gan.batch import BatchDefectInpaint
from albu_gan.defects import DefectInpainter, MaskBank, Shape
from albu_gan.hub import WeightsError, bundled_names
from albu_gan.transform import GANDefectInpaint

__version__ = "0.1.0"

__all__ = [
    "BatchDefectInpaint",
    "DefectInpainter",
    "GANDefectInpaint",
    "MaskBank",
    "Shape",
    "WeightsError",
    "bundled_names",
]
