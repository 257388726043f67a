"""The bridge between images and networks: uint8 or float32 HWC outside, [-1, 1] NCHW inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from albu_gan.generators import DefectGenerator, build_skeleton, expected_state, packed
from albu_gan.hub import MODEL, OncePerProcess, WeightsError, WeightsFolder, read_again
from albu_gan.painting.compositing import Patch, edge_weight
from albu_gan.painting.draw import Draw
from albu_gan.painting.onnx_backend import OnnxPainter, check_backend
from albu_gan.painting.windows import (
    Window,
    WindowShape,
    choose_window,
    extract,
    extract_mask,
    patch_residual,
    window_shapes,
)

MAX_WINDOWS = 64  # that go through the network at once, so that a mask of specks does not fill the memory


@dataclass(frozen=True)
class Network:
    """What paints windows.

    Attributes:
        module: the generator; None if something else runs it.
        paint: see `DefectGenerator.paint`.
    """

    module: DefectGenerator | None
    paint: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


NETWORKS: OncePerProcess[Network] = OncePerProcess()
_process = os.getpid()  # that last used a network


class NetworkPainter:
    """Paints draws with the network of a weights folder, which is loaded on first use, once a process.

    Args:
        folder: a checked weights folder.
        device: a torch device, "cpu" or "cuda:0", say.
        backend: "torch" or "onnx"; see `DefectInpainter`.

    Raises:
        ValueError: if there is no such backend, or it is "onnx" and the device not "cpu".
        ImportError: if it is "onnx" and ONNX Runtime is not installed.
    """

    def __init__(self, folder: WeightsFolder, device: str = "cpu", backend: str = "torch") -> None:
        self.folder = folder
        self.device = device
        self.backend = check_backend(backend, device)
        self._key = (str(folder.path.resolve()), device, backend)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in index order."""
        return self.folder.config.class_names

    @property
    def window_sizes(self) -> tuple[int, ...]:
        """Sides of the square windows the network was trained at, in pixels, ascending."""
        return self.folder.config.window_sizes

    @property
    def window_shapes(self) -> tuple[WindowShape, ...]:
        """Rows and columns of every window it paints, see `albu_gan.painting.windows.window_shapes`."""
        config = self.folder.config
        return window_shapes(config.window_sizes, config.long_windows, expected_state(config.generator)[1])

    @property
    def latent_dim(self) -> int:
        """Length of z."""
        return self.folder.config.generator.latent_dim

    @property
    def network(self) -> DefectGenerator:
        """The generator, in evaluation mode on its device, whatever backend paints."""
        network = self.loaded().module
        return NetworkPainter(self.folder, self.device).network if network is None else network

    def loaded(self) -> Network:
        """Return what paints; the first call in a process loads it."""
        global _process
        if os.getpid() != _process:
            # This process was forked. If its parent had used torch, for whatever, the thread pool did not come along,
            # and a forward that waits for it hangs.
            torch.set_num_threads(1)
            _process = os.getpid()
        return NETWORKS.get(self._key, lambda: load_network(self.folder, self.device, self.backend))

    def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a standard normal z."""
        return rng.standard_normal(self.latent_dim, dtype=np.float32)

    def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
        """Paint defects; windows of one shape go through the network together.

        Args:
            image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; read only.
            draws: masks inside the image that do not overlap.

        Returns:
            One patch a draw, for `albu_gan.painting.compositing.paste`.
        """
        boxes = [(draw.top, draw.left, *draw.mask.shape) for draw in draws]
        windows = [choose_window(box, image.shape[:2], self.window_shapes) for box in boxes]
        patches: list[Patch | None] = [None] * len(draws)
        by_shape: dict[WindowShape, list[int]] = {}
        for i, window in enumerate(windows):
            by_shape.setdefault(window.shape, []).append(i)
        for members in (m[i : i + MAX_WINDOWS] for m in by_shape.values() for i in range(0, len(m), MAX_WINDOWS)):
            crops = np.stack([_network_image(image, windows[i], self._channels) for i in members])
            masks = np.stack([window_mask(draws[i], windows[i]) for i in members])
            residuals = self._residuals(
                crops, masks, [draws[i].class_index for i in members], np.stack([draws[i].z for i in members])
            )
            for i, residual in zip(members, residuals, strict=True):
                draw = draws[i]
                weight = edge_weight(draw.mask, draw.top, draw.left, (image.shape[0], image.shape[1]))
                cut = patch_residual(residual, windows[i], boxes[i]) * weight[:, :, None]
                patches[i] = Patch(draw.top, draw.left, draw.mask, np.ascontiguousarray(cut), draw.class_index)
        return [patch for patch in patches if patch is not None]

    @property
    def _channels(self) -> int:
        return self.folder.config.generator.in_channels

    def _residuals(
        self, crops: np.ndarray, masks: np.ndarray, classes: Sequence[int], latents: np.ndarray
    ) -> np.ndarray:
        """(N, H, W, C) float32 in [-1, 1] and (N, H, W) uint8 to what is added, (N, H, W, C) in units of full range."""
        paint = self.loaded().paint
        if isinstance(paint, OnnxPainter):
            made = paint.paint_arrays(crops.transpose(0, 3, 1, 2), masks, self._present(classes), latents)
            return np.moveaxis(made, 1, 3)
        device = torch.device(self.device)
        window, inside, z = (torch.from_numpy(array).to(device) for array in (crops, masks, latents))
        added = self.residuals(window.permute(0, 3, 1, 2), inside, classes, z)
        return np.asarray(added.permute(0, 2, 3, 1).cpu().numpy())

    def _present(self, classes: Sequence[int]) -> np.ndarray:
        """(N,) indices to (N, number of classes) float32, 1 for the class."""
        present = np.zeros((len(classes), len(self.class_names)), np.float32)
        present[np.arange(len(classes)), classes] = 1
        return present

    def residuals(self, window: Tensor, inside: Tensor, classes: Sequence[int], z: Tensor) -> Tensor:
        """Paint windows that are on the device.

        Args:
            window: (N, C, H, W) float32 in [-1, 1], of the channels of the network.
            inside: (N, H, W) uint8, 1 where the defect goes.
            classes: (N,) indices.
            z: (N, latent_dim) float32.

        Returns:
            (N, C, H, W) float32, what is to be added, in units of the full range of the image; 0 outside.
        """
        paint = self.loaded().paint
        present = torch.from_numpy(self._present(classes))
        # A context costs as much as three small layers: no autocast is switched off where none is on.
        kind = window.device.type
        outside = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
        with torch.inference_mode(), outside:
            return paint(window, inside.float(), present.to(window.device), z)


def _network_image(image: np.ndarray, window: Window, channels: int) -> np.ndarray:
    """Cut out what the network sees, (rows, columns, channels) float32 in [-1, 1]; other channel counts become gray.

    Args:
        image: (H, W[, C]) uint8, or float32 in [0, 1].
        window: where.
        channels: of the network.
    """
    gray = (1 if image.ndim == 2 else image.shape[2]) != channels
    crop = extract(image, window, gray).reshape(*window.shape, -1)
    seen = crop * np.float32(1 / 127.5 if image.dtype == np.uint8 else 2.0) - np.float32(1)
    return np.broadcast_to(seen, (*window.shape, channels))


def window_mask(draw: Draw, window: Window) -> np.ndarray:
    """The draw's mask as the network sees it: (rows, columns) uint8."""
    shifted = replace(window, top=window.top - draw.top, left=window.left - draw.left)
    return extract_mask(draw.mask, shifted)


def load_network(folder: WeightsFolder, device: str, backend: str) -> Network:
    """Load what paints: the generator, or a session of ONNX Runtime that stands for it."""
    now = read_again(folder)
    if backend == "onnx":
        paint = OnnxPainter(now.path / MODEL, now.config.generator, partial(load_generator, now, device))
        return Network(None, paint)
    generator = load_generator(now, device)
    return Network(generator, packed(generator) if torch.device(device).type == "cpu" else generator.paint)


def load_generator(folder: WeightsFolder, device: str) -> DefectGenerator:
    """Read the network, strictly."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder.path / MODEL
    network = build_skeleton(folder.config.generator)
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as err:
        raise WeightsError(f"{path}: not a readable safetensors file ({err}); download or export it again") from err
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path}: tensor {name!r} holds values that are not finite numbers; train again")
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True, assign=True)
    network.requires_grad_(False).eval()
    layout: Any = {"memory_format": torch.channels_last}
    return network.to(torch.device(device)).to(**layout)
