"""Pictures for people: sheets of samples, and the demo."""

from albu_gan.pictures.bank_sheet import bank_sheet
from albu_gan.pictures.demo import (
    SAMPLES,
    contact_sheet,
    demo_sheet,
    read_image,
    sample_images,
    surfaces_of,
)
from albu_gan.pictures.sheet import (
    around,
    grid,
    jpeg_bytes,
    outline,
    png_bytes,
    to_rgb,
    write_picture,
    write_png,
)

__all__ = [
    "SAMPLES",
    "around",
    "bank_sheet",
    "contact_sheet",
    "demo_sheet",
    "grid",
    "jpeg_bytes",
    "outline",
    "png_bytes",
    "read_image",
    "sample_images",
    "surfaces_of",
    "to_rgb",
    "write_picture",
    "write_png",
]
