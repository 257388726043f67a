"""Defects for a collated batch, on its device."""

from albu_gan.batch.draws import (
    BatchSampler,
    Places,
    PreparedShapes,
)
from albu_gan.batch.module import (
    BatchDefectInpaint,
)

__all__ = [
    "BatchDefectInpaint",
    "BatchSampler",
    "Places",
    "PreparedShapes",
]
