"""What painting is compared with: other augmentation, other ways to paint the same masks, the thesis's generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch

from albu_gan import DefectInpainter, GANDefectInpaint
from albu_gan.defects import DefectBank, DefectSampler, Painter, write_labels
from albu_gan.generators import GeneratorConfig, build_generator
from albu_gan.painting import Draw, choose_window, paste
from benchmarks.cases import BACKENDS, Case, copy, image_cases, painting, seeded, surface
from benchmarks.settings import Settings
from benchmarks.timing import interleaved, milliseconds, ratio, ratios
from training.benchmark.donors import MARGIN, CopyPaste, Donor, Poisson
from training.benchmark.perlin import PerlinTexture

DEFAULT = "GANDefectInpaint"
SAME_MASKS = "GANDefectInpaint, the masks of the three below"
COPY = "np.array of image and mask"
PATCH = 128  # pixels, side of the window and of the patch that is cloned
FFC_SIDE = 256
FFC = f"FFC generator {FFC_SIDE} x {FFC_SIDE}"
ONE_DEFECT = f"one defect, {PATCH} x {PATCH} window, {{}}"
CLONE = f"cv2.seamlessClone, {PATCH} x {PATCH} patch"
NETWORK = f"network alone, {PATCH} x {PATCH} window"


class PeerPaint(GANDefectInpaint):
    """`GANDefectInpaint` in all but what paints: sampling, placement, paste and labels are the same code."""

    peer: Painter

    def _sampler(self) -> DefectSampler:
        return replace(super()._sampler(), painter=self.peer)


class Donors(Sequence[Donor]):
    """A piece of a made-up surface for each shape of a mask bank, as large as a donor of that shape is."""

    def __init__(self, bank: DefectBank, channels: int) -> None:
        self.sizes = [bank[index].mask.shape for index in range(len(bank))]
        height, width = (max(sides) + 2 * MARGIN for sides in zip(*self.sizes, strict=True))
        self.image = surface((height, width), channels, seed=9).reshape(height, width, channels)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: Any) -> Any:
        height, width = self.sizes[index]
        return Donor(np.ascontiguousarray(self.image[: height + 2 * MARGIN, : width + 2 * MARGIN]))


class Textures(Sequence[Any]):
    """Images that Perlin noise takes its texture from."""

    def __init__(self, channels: int) -> None:
        self.images = [surface((256, 256), channels, seed).reshape(256, 256, channels) for seed in (10, 11, 12)]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        return self.images[index], None


def peer_transforms(weights: str, channels: int) -> dict[str, A.Compose]:
    """Return the ways to paint real or made-up pixels into the shapes that the transform paints into."""
    painter = DefectInpainter.from_pretrained(weights)
    bank, latent_dim = painter.bank, painter.latent_dim
    donors = Donors(bank, channels)
    peers: dict[str, Painter] = {
        "feathered copy-paste": CopyPaste(bank, donors, latent_dim),
        "copy-paste by cv2.seamlessClone": Poisson(bank, donors, latent_dim),
        "Perlin patch": PerlinTexture(bank, Textures(channels), latent_dim),  # type: ignore[arg-type]
    }
    composed = {}
    for name, peer in peers.items():
        transform = PeerPaint(weights=weights, min_contrast=0, p=1.0)
        transform.peer = peer
        composed[name] = A.Compose([transform], seed=0)
    return composed


def measure_calls(weights: str, settings: Settings) -> dict[str, Any]:
    """Time whole calls of the transform and of its peers on every image, in turns."""
    found = {}
    for case in image_cases():
        seconds = interleaved(*calls_on(case, weights, settings.rounds))
        found[case.name] = {
            "milliseconds": milliseconds(seconds),
            f"{DEFAULT} / other": ratios(seconds, DEFAULT),
            f"{SAME_MASKS} / other": ratios(seconds, SAME_MASKS),
        }
    return found


def calls_on(case: Case, weights: str, rounds: int) -> tuple[dict[str, Callable[[], Any]], int, Callable[[int], None]]:
    """Return the calls on one image, how often, and what seeds them for each round."""
    channels = 1 if case.image.ndim == 2 else case.image.shape[2]
    transforms = {
        DEFAULT: painting(weights),
        **{f"{DEFAULT}, backend={name!r}": painting(weights, backend=name) for name in BACKENDS[1:]},
        "GANDefectInpaint, one or two defects": painting(weights, defects_range=(1, 2)),
        SAME_MASKS: painting(weights, min_contrast=0),
        **peer_transforms(weights, channels),
        "A.ElasticTransform": A.Compose([A.ElasticTransform(p=1.0)], seed=0),
        "A.GridDistortion": A.Compose([A.GridDistortion(p=1.0)], seed=0),
    }

    functions: dict[str, Callable[[], Any]] = {
        name: partial(transform, image=case.image, mask=case.mask) for name, transform in transforms.items()
    }
    functions[COPY] = partial(copy, case.image, case.mask)
    return functions, rounds, lambda number: seeded(list(transforms.values()), number)


def measure_one_defect(weights: str, settings: Settings) -> dict[str, Any]:
    """Time one defect in one window beside a cloned patch and the generator that the thesis used, in turns."""
    painter = DefectInpainter.from_pretrained(weights)
    gray, colour = (surface((256, 256), channels, seed=1) for channels in (1, 3))
    draw = one_draw(painter)
    generator, parameters = thesis_generator(len(painter.class_names))
    functions: dict[str, Callable[[], Any]] = {
        ONE_DEFECT.format("gray"): partial(paint_one, painter, gray, draw),
        ONE_DEFECT.format("colour"): partial(paint_one, painter, colour, draw),
        NETWORK: network_alone(painter),
        CLONE: clone(colour, np.full((PATCH, PATCH), 255, np.uint8)),
        f"{CLONE}, the same mask": clone(colour, mask_in_patch(draw)),
        FFC: generator,
    }
    for name in BACKENDS[1:]:
        chosen: dict[str, Any] = {"backend": name}
        other = DefectInpainter.from_pretrained(weights, **chosen)
        functions[f"{ONE_DEFECT.format('gray')}, backend={name!r}"] = partial(paint_one, other, gray, draw)
        functions[f"{NETWORK}, backend={name!r}"] = network_alone(other)
    seconds = interleaved(functions, settings.slow_rounds)
    ours = [name for name in functions if name not in (FFC, CLONE, f"{CLONE}, the same mask")]
    return {
        "milliseconds": milliseconds(seconds),
        "ratios": {
            f"{name} / {peer}": ratio(seconds[name], seconds[peer])
            for name in ours
            for peer in (FFC, CLONE, f"{CLONE}, the same mask")
        },
        "parameters": {
            "network": sum(p.numel() for p in painter.network.parameters()),
            FFC: parameters,
        },
        "mask_pixels": int(draw.mask.sum()),
    }


def one_draw(painter: DefectInpainter) -> Draw:
    """An ellipse in the middle of a 256 x 256 image, as large as a window of `PATCH` pixels takes it."""
    centre, axes = (PATCH, PATCH), (PATCH * 3 // 8 - 1, PATCH // 4)
    mask = cv2.ellipse(np.zeros((256, 256), np.uint8), centre, axes, 0, 0, 360, 1, -1)
    left, top, width, height = cv2.boundingRect(mask)
    window = choose_window((top, left, height, width), (256, 256), painter.painter.window_shapes)
    if (window.height, window.width, window.shape) != (PATCH, PATCH, (PATCH, PATCH)):
        raise ValueError(f"the weights have windows of {painter.window_sizes}, the benchmark needs one of {PATCH}")
    cut = np.ascontiguousarray(mask[top : top + height, left : left + width]).astype(bool)
    return Draw(cut, top, left, 0, painter.draw_latent(np.random.default_rng(0)))


def paint_one(painter: DefectInpainter, image: np.ndarray, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """All that one defect takes once its place is known: window, network, paste, label, and both copies."""
    (patch,) = painter.paint(image, [draw])
    painted = np.array(image)
    paste(painted, patch)
    return painted, write_labels(np.zeros(image.shape[:2], np.uint8), [patch], range(1, 100), None)


def network_alone(painter: DefectInpainter) -> Callable[[], Any]:
    """The forward of one window, from tensors to tensors."""
    window = torch.zeros(1, painter.folder.config.require_generator().in_channels, PATCH, PATCH)
    inside = torch.zeros(1, PATCH, PATCH, dtype=torch.uint8)
    inside[:, 16:-16, 32:-32] = 1
    z = torch.from_numpy(painter.draw_latent(np.random.default_rng(0)))[None]
    return lambda: painter.painter.residuals(window, inside, [0], z)


def mask_in_patch(draw: Draw) -> np.ndarray:
    """The mask of `one_draw` in a patch in the middle of its image, 255 inside."""
    mask = np.zeros((PATCH, PATCH), np.uint8)
    top, left = (start - (256 - PATCH) // 2 for start in (draw.top, draw.left))
    mask[top : top + draw.mask.shape[0], left : left + draw.mask.shape[1]] = draw.mask * np.uint8(255)
    return mask


def clone(image: np.ndarray, mask: np.ndarray) -> Callable[[], Any]:
    """Blend a patch into the middle of an image by its gradients."""
    patch = surface((PATCH, PATCH), 3, seed=2)
    centre = (image.shape[1] // 2, image.shape[0] // 2)
    return lambda: cv2.seamlessClone(patch, image, mask, centre, cv2.NORMAL_CLONE)


def thesis_generator(num_classes: int) -> tuple[Callable[[], Any], int]:
    """LaMa's generator at the size of the original thesis code: nine blocks, about 27 M parameters; untrained.

    Returns:
        A forward of one window, and the number of parameters.
    """
    config = GeneratorConfig(
        architecture="ffc", num_classes=num_classes, channels=(128, 256, 512), blocks=9, fine_channels=64
    )
    layout: Any = {"memory_format": torch.channels_last}
    network = build_generator(config).requires_grad_(False).eval().to(**layout)
    window = torch.zeros(1, config.in_channels, FFC_SIDE, FFC_SIDE)
    class_masks = torch.zeros(1, num_classes, FFC_SIDE, FFC_SIDE)
    class_masks[:, 0, 80:160, 80:160] = 1
    z = torch.zeros(1, config.latent_dim)

    def forward() -> Any:
        with torch.inference_mode():
            return network(window, class_masks, z)

    return forward, sum(parameter.numel() for parameter in network.parameters())
