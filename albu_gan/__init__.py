"""albu-gan: paint convincing defects into training images, as an Albumentations transform."""

from typing import TYPE_CHECKING, Any

from albu_gan.defects import DefectBank, DefectInpainter, Shape
from albu_gan.hub import WeightsError, bundled_names
from albu_gan.transform import GANDefectInpaint

if TYPE_CHECKING:
    from albu_gan.batch import BatchDefectInpaint

__version__ = "0.1.0"

__all__ = [
    "BatchDefectInpaint",
    "DefectBank",
    "DefectInpainter",
    "GANDefectInpaint",
    "Shape",
    "WeightsError",
    "bundled_names",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name == "BatchDefectInpaint":
        from albu_gan.batch import BatchDefectInpaint

        return BatchDefectInpaint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
