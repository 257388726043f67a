"""What is painted and where: the bank of shapes, places, draws, labels."""

from albu_gan.defects.bank import (
    DefectBank,
)
from albu_gan.defects.collect import Annotated, Collected, LeftOut, annotated_images, collect
from albu_gan.defects.cutting import (
    jitter_and_cut,
    longest_side,
)
from albu_gan.defects.donors import Donor
from albu_gan.defects.exemplars import dress, wear
from albu_gan.defects.fitting import (
    PLACES,
    USUAL,
    draw_fitting,
    find_alike_place,
    most_alike,
)
from albu_gan.defects.inpainter import MEMORY, DefectInpainter
from albu_gan.defects.invention import blob_mix, invented
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
from albu_gan.defects.procedural import procedural_shape
from albu_gan.defects.relight import Laid, Place, lay, look, relight, soften
from albu_gan.defects.sample_targets import BACKGROUND, SampleTargets
from albu_gan.defects.sampling import (
    LATENT_REDRAWS,
    SHAPE_REDRAWS,
    SHRINK_FACTORS,
    DefectSampler,
    Painter,
    class_probabilities,
)
from albu_gan.defects.shapes import (
    Shape,
    jitter_shape,
    scale_shape,
)
from albu_gan.defects.surface import roughness
from albu_gan.defects.traits import stature
from albu_gan.defects.variation import CONTRAST_RANGE, Variation, contrast, elastic
from albu_gan.defects.wearing import rim_on_rim

__all__ = [
    "Annotated",
    "BACKGROUND",
    "CONTRAST_RANGE",
    "Collected",
    "DefectBank",
    "DefectInpainter",
    "DefectSampler",
    "Donor",
    "Forbidden",
    "LATENT_REDRAWS",
    "Laid",
    "LeftOut",
    "MEMORY",
    "Occupancy",
    "PLACES",
    "Painter",
    "Place",
    "RANDOM_TRIES",
    "SHAPE_REDRAWS",
    "SHRINK_FACTORS",
    "SampleTargets",
    "Shape",
    "USUAL",
    "Variation",
    "annotated_images",
    "blob_mix",
    "channel_value",
    "check_mask",
    "class_probabilities",
    "collect",
    "contrast",
    "draw_fitting",
    "dress",
    "elastic",
    "find_alike_place",
    "fitting_value",
    "invented",
    "jitter_and_cut",
    "jitter_shape",
    "lay",
    "longest_side",
    "look",
    "most_alike",
    "occupied",
    "patch_box",
    "place",
    "procedural_shape",
    "relight",
    "rim_on_rim",
    "roughness",
    "scale_shape",
    "soften",
    "starts",
    "stature",
    "wear",
    "write_labels",
]
