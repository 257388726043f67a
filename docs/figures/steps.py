"""Draw docs/images/steps.jpg: what one defect goes through, from the bundled networks themselves."""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from albu_gan import DefectInpainter
from albu_gan.generators import composite
from albu_gan.pictures import grid, sample_images

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "images" / "steps.jpg"
SIDE = 128
TITLES = ("clean window", "mask of a class", "residual", "alpha", "alpha x residual", "composite")


def row(weights: str, image: np.ndarray, corner_yx: tuple[int, int], class_name: str, seed: int) -> list[np.ndarray]:
    """Run the network on one window and return the pictures of each step."""
    painter = DefectInpainter.from_pretrained(weights)
    class_index = painter.class_names.index(class_name)
    bank = [painter.mask_bank[index] for index in range(len(painter.mask_bank))]
    own = [shape.mask for shape in bank if shape.class_index == class_index and max(shape.mask.shape) < 100]
    shape = min(own, key=lambda mask: abs(max(mask.shape) - 76))
    top, left = ((SIDE - side) // 2 for side in shape.shape)
    class_masks = torch.zeros(1, len(painter.class_names), SIDE, SIDE)
    class_masks[0, class_index, top : top + shape.shape[0], left : left + shape.shape[1]] = torch.from_numpy(shape)

    crop = image[corner_yx[0] : corner_yx[0] + SIDE, corner_yx[1] : corner_yx[1] + SIDE]
    window = torch.from_numpy(crop.reshape(SIDE, SIDE, -1)).permute(2, 0, 1)[None] / 127.5 - 1
    z = torch.from_numpy(painter.draw_latent(np.random.default_rng(seed)))[None]
    with torch.inference_mode():
        residual, alpha = painter.network(window, class_masks, z)
        painted = composite(window, class_masks, residual, alpha)
    inside = class_masks.amax(dim=1, keepdim=True)
    return [
        crop,
        picture(inside * 2 - 1),
        signed(residual),
        picture(alpha * 2 - 1),
        signed(residual * alpha * inside),
        picture(painted),
    ]


def picture(values: torch.Tensor) -> np.ndarray:
    """(1, C, H, W) in [-1, 1] to (H, W, C) uint8."""
    return ((values[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def signed(values: torch.Tensor) -> np.ndarray:
    """(1, C, H, W) in [-2, 2] to a picture: blue takes light away, red adds it, gray changes nothing."""
    mean = (values[0].mean(dim=0).numpy() * 127.5).clip(-128, 127)
    return np.stack([128 + mean, 128 - np.abs(mean) / 2, 128 - mean], axis=-1).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    images = sample_images()
    rows = [
        row("bsdata-pitting-v1", images[2], (90, 150), "pitting", seed=3),
        row("magnetic-tile-v1", sample_images(gray=True)[0], (10, 40), "crack", seed=1),
    ]
    cv2.imwrite(str(OUT), cv2.cvtColor(grid(rows, (200, 200), TITLES), cv2.COLOR_RGB2BGR))
