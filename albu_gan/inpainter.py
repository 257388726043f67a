"""The bridge between images and networks, and one network per process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from albu_gan.compositing import (
    Patch,
    Window,
    WindowShape,
    choose_window,
    edge_weight,
    extract,
    extract_mask,
    paste,
    patch_residual,
    window_shapes,
)
from albu_gan.generators import DefectGenerator
from albu_gan.generators.packed import packed
from albu_gan.generators.skeleton import build_skeleton, expected_state
from albu_gan.hub import find_weights
from albu_gan.hub_push import push_folder
from albu_gan.masks import MaskBank, Origin
from albu_gan.onnx_backend import OnnxPainter, check_backend
from albu_gan.weights_folder import MASKS, MODEL, WeightsError, WeightsFolder, copy_folder, read_folder

MAX_WINDOWS = 64  # that go through the network at once, so that a mask of specks does not fill the memory


@dataclass(frozen=True)
class Draw:
    """One defect to be painted.

    Attributes:
        mask: (h, w) bool, tight around the shape.
        top: first row of the mask in the image.
        left: first column of the mask in the image.
        class_index: of the defect.
        z: (latent_dim,) float32.
        origin: of the shape, if it came from a mask bank.
    """

    mask: np.ndarray
    top: int
    left: int
    class_index: int
    z: np.ndarray
    origin: Origin | None = None


@dataclass(frozen=True)
class _Loaded:
    network: DefectGenerator | None  # None if something else paints
    bank: MaskBank
    paint: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # see `DefectGenerator.paint`


_CACHE: dict[tuple[str, str, str], _Loaded] = {}
_LOCK = threading.Lock()
_PROCESS = os.getpid()  # that last used the cache


def _reset_lock() -> None:
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_lock)


class DefectInpainter:
    """Paints a defect of a given class into a given mask.

    The network and the mask bank are loaded on first use and shared by every inpainter of the process that names the
    same folder, device and backend.

    Args:
        folder: a checked weights folder.
        device: a torch device, "cpu" or "cuda:0", say.
        backend: "torch", or "onnx": ONNX Runtime, faster on the CPU, the same pixels within a level of 255. On
            first use the network is exported, checked against torch and kept in a cache folder.

    Raises:
        ValueError: if there is no such backend, or it is "onnx" and the device not "cpu".
        ImportError: if it is "onnx" and ONNX Runtime is not installed.
    """

    def __init__(self, folder: WeightsFolder, device: str = "cpu", backend: str = "torch") -> None:
        self.folder = folder
        self.device = device
        self.backend = check_backend(backend, device)
        self._key = (str(folder.path.resolve()), device, backend)  # of what is loaded

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        device: str = "cpu",
        backend: str = "torch",
    ) -> DefectInpainter:
        """Find weights by bundled name, folder or Hub repository; see `albu_gan.hub.find_weights`."""
        folder = find_weights(
            name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        return cls(folder, device, backend)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the weights folder: generator, mask bank, config, card and its pictures.

        Raises:
            FileExistsError: if `folder` exists and is not a weights folder; one that is, is replaced.
        """
        copy_folder(self.folder.path, Path(folder))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload albu-gan weights",
    ) -> str:
        """Upload the weights folder as a model repository, in one commit.

        Args:
            repo_id: `org/name`; made if it does not exist.
            private: True makes a private repository, and refuses to upload into a public one; False makes a public
                one; None does what the organisation's settings say.
            token: of one who may write there; None takes the one that `hf auth login` stored.
            commit_message: of the commit.

        Returns:
            The commit: `from_pretrained(repo_id, revision=commit)` loads these bytes for ever.

        Raises:
            WeightsError: if the folder is not sound, or the Hub cannot be reached or does not take it.
        """
        return push_folder(self.folder.path, repo_id, private=private, token=token, commit_message=commit_message)

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
        """Rows and columns of every window it paints, see `albu_gan.compositing.window_shapes`."""
        config = self.folder.config
        return window_shapes(config.window_sizes, config.long_windows, expected_state(config.generator)[1])

    @property
    def latent_dim(self) -> int:
        """Length of z."""
        return self.folder.config.generator.latent_dim

    @property
    def mask_bank(self) -> MaskBank:
        """Real shapes of the training data."""
        return self._loaded().bank

    @property
    def network(self) -> DefectGenerator:
        """The generator, in evaluation mode on its device, whatever backend paints."""
        network = self._loaded().network
        return DefectInpainter(self.folder, self.device).network if network is None else network

    def _loaded(self) -> _Loaded:
        global _PROCESS
        if os.getpid() != _PROCESS:
            # This process was forked. If its parent had used torch, for whatever, the thread pool did not come along,
            # and a forward that waits for it hangs.
            torch.set_num_threads(1)
            _PROCESS = os.getpid()
        if self._key not in _CACHE:
            with _LOCK:
                if self._key not in _CACHE:
                    _CACHE[self._key] = _load(self.folder, self.device, self.backend)
        return _CACHE[self._key]

    def draw_latent(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a standard normal z."""
        return rng.standard_normal(self.latent_dim, dtype=np.float32)

    def paint(self, image: np.ndarray, draws: Sequence[Draw]) -> list[Patch]:
        """Paint defects; windows of one shape go through the network together.

        Args:
            image: (H, W) or (H, W, C), uint8, or float32 in [0, 1]; read only.
            draws: masks inside the image that do not overlap.

        Returns:
            One patch a draw, for `albu_gan.compositing.paste`.
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
        paint = self._loaded().paint
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
        paint = self._loaded().paint
        present = torch.from_numpy(self._present(classes))
        # A context costs as much as three small layers: no autocast is switched off where none is on.
        kind = window.device.type
        outside = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
        with torch.inference_mode(), outside:
            return paint(window, inside.float(), present.to(window.device), z)

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, class_name: str, seed: int = 0, strength: float = 1.0
    ) -> np.ndarray:
        """Paint one defect into every connected part of a mask.

        Args:
            image: (H, W), (H, W, 1) or (H, W, 3), uint8, or float32 in [0, 1]; not changed.
            mask: (H, W), nonzero = paint.
            class_name: one of `class_names`.
            seed: of the latent; same seed, same picture.
            strength: factor of what is added; 0 returns a copy of the image.

        Returns:
            A new image of the same shape and dtype, bit-identical outside the mask.

        Raises:
            TypeError, ValueError: if the image, mask or class is not as described, or the network makes no finite
                numbers of the image.
        """
        check_image(image)
        mask = np.asarray(mask)
        if mask.shape != image.shape[:2]:
            raise ValueError(f"mask must be {image.shape[:2]} like its image, got shape {mask.shape}")
        if class_name not in self.class_names:
            raise ValueError(f"unknown class {class_name!r}; these weights paint {list(self.class_names)}")
        if not np.isfinite(strength):
            raise ValueError(f"strength must be a finite number, got {strength!r}")
        rng = np.random.default_rng(seed)
        draws = []
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask != 0).astype(np.uint8), connectivity=8)
        for index in range(1, count):
            left, top, width, height = (int(v) for v in stats[index, :4])
            cut = labels[top : top + height, left : left + width] == index
            draws.append(Draw(cut, top, left, self.class_names.index(class_name), self.draw_latent(rng)))
        painted = np.array(image, order="C")
        for patch in self.paint(image, draws):
            if not np.isfinite(patch.residual).all():
                raise ValueError(
                    "nothing finite can be painted into this image: it holds NaN or infinity, or the weights overflow"
                )
            paste(painted, Patch(patch.top, patch.left, patch.mask, patch.residual * strength, patch.class_index))
        return painted


def check_image(image: Any) -> None:
    """Raise unless `image` is something that can be painted.

    Raises:
        TypeError: if it is no array of uint8 or float32.
        ValueError: if it is not (H, W) or (H, W, C), or has no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image must be a numpy array, got {type(image).__name__}; convert it with np.asarray(image)")
    if image.dtype not in (np.uint8, np.float32):
        raise TypeError(
            f"image must be uint8 or float32 in [0, 1], got {image.dtype}; "
            "scale it and convert it with image.astype(np.float32), or use A.ToFloat before"
        )
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"image must be (H, W) or (H, W, C) with at least one pixel, got shape {image.shape}")


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


def _load(folder: WeightsFolder, device: str, backend: str) -> _Loaded:
    """Read network and mask bank, strictly."""
    now = read_folder(folder.path, folder.name, folder.commit)
    if _what_arguments_rest_on(now) != _what_arguments_rest_on(folder):
        raise WeightsError(f"{folder.path}: holds other weights than when it was opened; build the transform anew")
    network: DefectGenerator | None = None
    if backend == "torch":
        network = _load_network(folder, device)
        paint = packed(network) if torch.device(device).type == "cpu" else network.paint
    else:
        paint = OnnxPainter(folder.path / MODEL, folder.config.generator, partial(_load_network, folder, device))
    try:
        bank = MaskBank.load(folder.path / MASKS, folder.config.generator.num_classes)
    except ValueError as err:
        raise WeightsError(str(err)) from err
    return _Loaded(network, bank, paint)


def _load_network(folder: WeightsFolder, device: str) -> DefectGenerator:
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


def _what_arguments_rest_on(folder: WeightsFolder) -> tuple[Any, ...]:
    """What was known of the weights when the arguments were checked, and must still hold when they are loaded."""
    config = folder.config
    return config.generator, config.class_names, config.window_sizes, config.long_windows, folder.has_centres
