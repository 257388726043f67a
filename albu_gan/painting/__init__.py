"""From draws to pixels: windows, and what is laid into the image.

What needs torch is imported by its own name: `albu_gan.painting.painter`, `albu_gan.painting.onnx_backend`.
"""

from albu_gan.painting.backends import BACKENDS, check_backend
from albu_gan.painting.compositing import (
    Patch,
    check_image,
    check_scale,
    contrast,
    edge_weight,
    paste,
)
from albu_gan.painting.draw import (
    Draw,
    Look,
    Origin,
)
from albu_gan.painting.parts import MAX_PARTS, Parts
from albu_gan.painting.record import patches_from_text, patches_to_text
from albu_gan.painting.windows import (
    Window,
    WindowShape,
    choose_window,
    extract,
    extract_mask,
    mask_box,
    thin_parts,
    window_shapes,
)

__all__ = [
    "BACKENDS",
    "Draw",
    "Look",
    "MAX_PARTS",
    "Origin",
    "Parts",
    "Patch",
    "Window",
    "WindowShape",
    "check_backend",
    "check_image",
    "check_scale",
    "choose_window",
    "contrast",
    "edge_weight",
    "extract",
    "extract_mask",
    "mask_box",
    "paste",
    "patches_from_text",
    "patches_to_text",
    "thin_parts",
    "window_shapes",
]
