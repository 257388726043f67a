"""What is painted and where: the bank of shapes, places, draws, labels."""

from albu_gan.defects.bank import (
    MaskBank,
)
from albu_gan.defects.inpainter import (
    DefectInpainter,
)
from albu_gan.defects.labels import (
    Forbidden,
    channel_value,
    check_mask,
    fitting_value,
    occupied,
    patch_box,
    write_labels,
)
from albu_gan.defects.placement import (
    RANDOM_TRIES,
    Occupancy,
    place,
    starts,
)
from albu_gan.defects.sampling import (
    LATENT_REDRAWS,
    SHAPE_REDRAWS,
    SHRINK_FACTORS,
    DefectSampler,
    Painter,
    class_probabilities,
    longest_side,
)
from albu_gan.defects.shapes import (
    Shape,
    jitter_shape,
    scale_shape,
)

__all__ = [
    "DefectInpainter",
    "DefectSampler",
    "Forbidden",
    "LATENT_REDRAWS",
    "MaskBank",
    "Occupancy",
    "Painter",
    "RANDOM_TRIES",
    "SHAPE_REDRAWS",
    "SHRINK_FACTORS",
    "Shape",
    "channel_value",
    "check_mask",
    "class_probabilities",
    "fitting_value",
    "jitter_shape",
    "longest_side",
    "occupied",
    "patch_box",
    "place",
    "scale_shape",
    "starts",
    "write_labels",
]
