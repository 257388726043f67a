"""What is painted and where: the bank of shapes, places, draws, labels."""

from albu_gan.defects.bank import (
    DefectBank,
)
from albu_gan.defects.collect import Annotated, Collected, LeftOut, annotated_images, collect
from albu_gan.defects.exemplars import dress
from albu_gan.defects.inpainter import MEMORY, DefectInpainter
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
    PLACES,
    SHAPE_REDRAWS,
    SHRINK_FACTORS,
    USUAL,
    DefectSampler,
    Painter,
    class_probabilities,
    find_alike_place,
    longest_side,
    most_alike,
)
from albu_gan.defects.shapes import (
    Shape,
    jitter_shape,
    scale_shape,
)

__all__ = [
    "Annotated",
    "Collected",
    "DefectBank",
    "DefectInpainter",
    "DefectSampler",
    "Forbidden",
    "LATENT_REDRAWS",
    "LeftOut",
    "MEMORY",
    "Occupancy",
    "PLACES",
    "Painter",
    "RANDOM_TRIES",
    "SHAPE_REDRAWS",
    "SHRINK_FACTORS",
    "Shape",
    "USUAL",
    "annotated_images",
    "channel_value",
    "check_mask",
    "class_probabilities",
    "collect",
    "dress",
    "find_alike_place",
    "fitting_value",
    "jitter_shape",
    "longest_side",
    "most_alike",
    "occupied",
    "patch_box",
    "place",
    "scale_shape",
    "starts",
    "write_labels",
]
