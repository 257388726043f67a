"""`BatchDefectInpaint`: defects for a collated batch, on its device, inside the training step."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from albu_gan import arguments
from albu_gan.batch.draws import BatchSampler, Placed, Places, PreparedShapes, pixels_of
from albu_gan.batch.windows import Pixels, contrasts, extract_windows, residual_at, window_masks
from albu_gan.defects import LATENT_REDRAWS, SHAPE_REDRAWS, DefectInpainter, DefectSampler, class_probabilities
from albu_gan.hub import DEFAULT_WEIGHTS, find_weights
from albu_gan.painting import Draw, choose_window

#: Windows that go through the network at once.
CPU_WINDOWS, DEVICE_WINDOWS = 64, 256
#: Values of the image that are cut out at once: windows of a reduced scale may be as large as the image.
SOURCE_PIXELS = 1 << 26
#: Of masks. torch does little with its other integers.
MASK_DTYPES = frozenset(
    {
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.bool, torch.float16, torch.float32, torch.float64),
    }
)


@dataclass(frozen=True)
class _Painted:
    """Draws, the pixels of their masks, the class of each, these (P, C) pixels in [0, 1] before and after.

    `clear` says of every draw whether it stands out of the grain.
    """

    placed: list[Placed]
    pixels: Pixels
    classes: Tensor
    before: Tensor
    after: Tensor
    clear: list[bool]

    def keep(self, draws: list[bool]) -> _Painted:
        """Return those of some draws; their numbers stay."""
        part, where = self.pixels.part([number for number, kept in enumerate(draws) if kept], renumber=False)
        return _Painted(self.placed, part, self.classes[where], self.before[where], self.after[where], self.clear)


class BatchDefectInpaint(nn.Module):
    """Paint new defects into a batch of images with a GAN, and label them: `GANDefectInpaint` for whole batches.

    What is painted is drawn on the CPU, all images abreast; windows are cut, painted and pasted on the device of the
    images, all windows of one shape in one pass. A jittered shape is drawn four times on average, at other places and
    with other latents, before a new one takes its turn. Put the module into the training step, where the images are on
    the GPU already:

        images, masks = batch_inpaint(images, masks)

    Like dropout it does nothing in evaluation mode (`.eval()`). It has no parameters: it is neither trained nor saved
    with the model around it. Gradients do not flow through it.

    Args:
        weights: bundled name, `org/name`, `org/name@revision`, or a folder.
        defects_range: how many defects an image, both ends included.
        classes: names of the classes to paint; None for all.
        class_sampling: "balanced", "dataset" (frequencies of the mask bank) or `{name: weight}`.
        mask_source: "bank" (real shapes), "procedural" (invented shapes of the same sizes) or "both" (either, evenly).
        scale_range: factor by which a shape is scaled.
        rotate_range: degrees by which a shape is rotated.
        mask_values: `{class: value}` written into masks of one channel, or one value for all classes; None: class
            index + 1.
        mask_channels: `{class: channel}` of (B, C, H, W) masks; None: the class index, if C is the number of classes.
        avoid_existing: never touch pixels that the mask already labels.
        ignore_value: a mask value that is neither painted over nor counted as a defect.
        variation: how far a painted defect differs from the real one it is made from; see `GANDefectInpaint`.
        place_like: how far places like those that the defect was seen in are preferred; see `GANDefectInpaint`.
        max_shift: how far from where its shape was seen a defect may lie, in image heights and widths; 1: anywhere.
        min_contrast: levels of 255 that a defect must change at the 75th percentile over its mask; one that does not,
            or that is lost in the grain, is drawn again, and at last dropped with its label; 0 keeps all.
        p: probability of painting an image.
        seed: of the draws; None takes one from the system. Processes that train together need different seeds.

    Raises:
        ValueError: at construction for arguments out of range and weights that cannot be used.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = DEFAULT_WEIGHTS,
        defects_range: tuple[int, int] = (1, 1),
        classes: list[str] | None = None,
        class_sampling: str | dict[str, float] = "balanced",
        mask_source: str = "bank",
        scale_range: tuple[float, float] = (0.8, 1.25),
        rotate_range: tuple[float, float] = (-15.0, 15.0),
        mask_values: dict[str, int] | int | None = None,
        mask_channels: dict[str, int] | None = None,
        avoid_existing: bool = True,
        ignore_value: int | None = None,
        variation: float = 0.5,
        place_like: float = 0.7,
        max_shift: float = 1.0,
        min_contrast: float = 8.0,
        p: float = 0.5,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.folder = find_weights(os.fspath(weights))
        known = self.folder.config.class_names
        self.defects_range = arguments.count_range("defects_range", defects_range, 1000)
        self.classes = arguments.class_list(classes, known)
        self.class_sampling = arguments.check_class_sampling(class_sampling, self.classes, known)
        self.mask_source = arguments.mask_source(mask_source)
        self.scale_range = arguments.number_range("scale_range", scale_range, 0.01, 100)
        self.rotate_range = arguments.number_range("rotate_range", rotate_range, -360, 360)
        given = arguments.class_integers("mask_values", mask_values, self.classes, known, low=1, one_for_all=True)
        self.mask_channels = arguments.class_integers("mask_channels", mask_channels, self.classes, known)
        self._told_values = given is not None
        self.mask_values = {name: (given or {}).get(name, index + 1) for index, name in enumerate(known)}
        self.avoid_existing = arguments.flag("avoid_existing", avoid_existing)
        self.ignore_value = None if ignore_value is None else arguments.integer("ignore_value", ignore_value)
        arguments.require_not_ignored(self.ignore_value, {name: self.mask_values[name] for name in self.classes})
        self.variation = arguments.number("variation", variation, 0, 1)
        self.place_like = arguments.number("place_like", place_like, 0, 1)
        self.max_shift = arguments.number("max_shift", max_shift, 0, 1)
        arguments.require_centres(self.max_shift, self.folder.has_centres, self.folder.name)
        self.min_contrast = arguments.number("min_contrast", min_contrast, 0, 255)
        self.p = arguments.number("p", p, 0, 1)
        self.rng = np.random.default_rng(seed)
        self._prepared = PreparedShapes(int(self.rng.integers(2**63)))

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **arguments: Any,
    ) -> BatchDefectInpaint:
        """Build the module from bundled weights, a folder or a Hub repository.

        Args:
            name: bundled name, folder, `org/name` or `org/name@revision`.
            revision: branch, tag or commit.
            token: for private repositories.
            cache_dir: of the Hub.
            local_files_only: use the cache alone.
            **arguments: of the constructor.
        """
        folder = find_weights(
            name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        return cls(folder.path, **arguments)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of the weights, in index order."""
        return self.folder.config.class_names

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        masks: Tensor | None = None,
        regions: Tensor | None = None,
        *,
        draws: Sequence[Sequence[Draw]] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return painted copies of the images and labelled copies of the masks.

        Args:
            images: (B, C, H, W) float in [0, 1], before any normalisation. Channels that the weights do not have are
                painted as gray: their mean conditions the network, one residual goes to every channel.
            masks: (B, H, W) or (B, 1, H, W) class values, or (B, C, H, W) with a channel a class, in which 1 is
                written; integers, bool or float, 0 where there is no defect, on the device of the images; None for
                none.
            regions: (B, H, W), nonzero where defects may go; None for everywhere.
            draws: what to paint, a sequence an image, in place of what would be drawn; painted whether visible or not.

        Returns:
            Images and masks of the same shape, dtype and device, bit-identical where nothing was painted; a mask of
            None stays None.

        Raises:
            TypeError, ValueError: if a tensor is not as described.
        """
        _check(images, masks, regions, {name: self.mask_values[name] for name in self.classes})
        channels = self._channels(masks)
        painted = images.clone(), None if masks is None else masks.clone()
        if draws is not None:
            placed = _given(draws, images)
            if placed:
                self._write(*painted, self._paint(images, placed), channels)
            return painted
        if self.training:
            shape_bhw = (len(images), images.shape[2], images.shape[3])
            places = Places(shape_bhw, self._blocked(masks, regions), images.device)
            sampler = BatchSampler(self._sampler(images.device), self._prepared, places, self.rng, images)
            chosen = np.flatnonzero(self.rng.random(len(images)) < self.p).tolist()
            for batch in self._rounds(images, sampler, sampler.draw(chosen, images.device)):
                self._write(*painted, batch, channels)
        return painted

    def _painter(self, device: torch.device) -> DefectInpainter:
        return DefectInpainter(self.folder, str(device))

    def _sampler(self, device: torch.device) -> DefectSampler:
        painter = self._painter(device)
        return DefectSampler(
            painter,
            class_probabilities(painter, self.classes, self.class_sampling, self.mask_source),
            self.defects_range,
            self.mask_source,
            self.scale_range,
            self.rotate_range,
            self.min_contrast,
            self.max_shift,
            self.variation,
            self.place_like,
        )

    def _blocked(self, masks: Tensor | None, regions: Tensor | None) -> Tensor | None:
        """(B, H, W) bool, True where nothing may be painted; None if nothing is blocked."""
        blocked: Tensor | None = None if regions is None else regions == 0
        if masks is not None and self.avoid_existing:
            taken = _in_any_channel(masks != 0)
            blocked = taken if blocked is None else blocked | taken
        if masks is not None and self.ignore_value is not None and _fits(self.ignore_value, masks.dtype):
            ignored = _in_any_channel(masks == self.ignore_value)
            blocked = ignored if blocked is None else blocked | ignored
        return blocked

    def _channels(self, masks: Tensor | None) -> list[int] | None:
        """Channel of each class index in masks that have several; None for masks of one, whose values are checked."""
        if masks is None:
            return None
        if masks.ndim == 4 and masks.shape[1] > 1:
            names, count = self.class_names, masks.shape[1]
            if self.mask_channels is None and count != len(names):
                raise ValueError(
                    f"masks have {count} channels, the weights have {len(names)} classes; say where each class goes: "
                    f"mask_channels={{{names[0]!r}: 0, ...}}"
                )
            channels = [(self.mask_channels or {}).get(n, -1 if self.mask_channels else i) for i, n in enumerate(names)]
            if max(channels) >= count:
                raise ValueError(f"masks have {count} channels, mask_channels needs {max(channels) + 1}")
            return channels
        if masks.is_floating_point() and not self._told_values and max(self.mask_values[n] for n in self.classes) > 1:
            warnings.warn(
                f"masks are {masks.dtype}, in which losses expect 0 and 1; class values are written. Give "
                "mask_values=1 for binary masks, {class: value} for index masks",
                stacklevel=3,
            )
        return None

    def _paint(self, images: Tensor, placed: list[Placed]) -> _Painted:
        """Paint defects, all windows of one shape together."""
        device, channels = images.device, images.shape[1]
        outlines = [entry.outline for entry in placed]
        pixels = pixels_of(placed)
        added = torch.zeros((len(pixels.draw), channels), device=device)
        clear = self._add_looks(added, images, placed, pixels)
        unseen = [number for number, outline in enumerate(outlines) if outline.shape.look is None]
        if unseen:
            self._add_painted(added, images, placed, pixels, unseen)
        before = images[pixels.sample, :, pixels.row, pixels.column].float()
        classes = torch.cat([outline.classes for outline in outlines])
        return _Painted(placed, pixels, classes, before, (before + added).clamp(0, 1), clear)

    def _add_looks(self, added: Tensor, images: Tensor, placed: list[Placed], pixels: Pixels) -> list[bool]:
        """Relight the defects whose look is known, in numpy, into (P, C) what is added; say which defects are clear."""
        start, clear = 0, []
        for entry, count in zip(placed, pixels.counts, strict=True):
            shape = entry.outline.shape
            if shape.look is not None:
                image = images[entry.sample].permute(1, 2, 0).float().cpu().numpy()
                residual, clarity = shape.look.paint(image, entry.top, entry.left)
                added[start : start + count] = torch.from_numpy(residual[shape.mask]).to(added.device)
                clear.append(clarity >= 1 or self.min_contrast <= 0)
            else:
                clear.append(True)
            start += count
        return clear

    def _add_painted(
        self, added: Tensor, images: Tensor, placed: list[Placed], pixels: Pixels, unseen: list[int]
    ) -> None:
        """Paint the defects with these numbers by the network, into (P, C) what is added; in place."""
        device, channels = images.device, images.shape[1]
        outlines, corners = [entry.outline for entry in placed], [(entry.top, entry.left) for entry in placed]
        painter = self._painter(device).painter
        seen = painter.generator.in_channels
        image_hw, shapes = (images.shape[2], images.shape[3]), painter.window_shapes
        windows = {n: choose_window((*corners[n], *outlines[n].shape.mask.shape), image_hw, shapes) for n in unseen}
        for shape in shapes:
            members = [number for number, window in windows.items() if window.shape == shape]
            if not members:
                continue
            largest = math.prod(
                max(side) for side in zip(*((windows[n].height, windows[n].width) for n in members), strict=True)
            )
            most = CPU_WINDOWS if device.type == "cpu" else DEVICE_WINDOWS
            most = max(1, min(most, SOURCE_PIXELS // (largest * channels)))
            for start in range(0, len(members), most):
                chunk = members[start : start + most]
                chosen = [windows[number] for number in chunk]
                crops = extract_windows(images, [placed[number].sample for number in chunk], chosen)
                if channels != seen:
                    crops = crops.mean(dim=1, keepdim=True).expand(-1, seen, -1, -1)
                part, where = pixels.part(chunk)
                residuals = painter.residuals(
                    crops * 2 - 1,
                    window_masks([outlines[n] for n in chunk], [corners[n] for n in chunk], chosen, part),
                    [outlines[n].shape.class_index for n in chunk],
                    torch.from_numpy(np.stack([placed[n].z for n in chunk])).to(device),
                )
                if channels != seen:
                    residuals = residuals.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
                weights = [outlines[n].weight_at(*corners[n], image_hw) for n in chunk]
                added[where] = residual_at(residuals, chosen, part) * torch.cat(weights)[:, None]

    def _rounds(self, images: Tensor, sampler: BatchSampler, placed: list[Placed]) -> Iterator[_Painted]:
        """Yield the defects that can be seen; others get new latents, then new shapes, and are dropped at last."""
        for shape_try in range(SHAPE_REDRAWS + 1):
            waiting: list[Placed] = []  # for another shape: the same look in the same place would be as faint
            for latent_try in range(LATENT_REDRAWS + 1):
                if latent_try:
                    waiting += [entry for entry in placed if entry.outline.shape.look is not None]
                    placed = [entry for entry in placed if entry.outline.shape.look is None]
                    placed = [sampler.draw_latent_again(entry) for entry in placed]
                if not placed:
                    break
                painted = self._paint(images, placed)
                strong = (contrasts(painted.after - painted.before, painted.pixels) >= self.min_contrast).tolist()
                seen = [a and b for a, b in zip(strong, painted.clear, strict=True)]
                yield painted.keep(seen)
                placed = [entry for entry, visible in zip(placed, seen, strict=True) if not visible]
            placed += waiting
            if not placed:
                return
            if shape_try < SHAPE_REDRAWS:
                placed = sampler.draw_again(placed, images.device)

    def _write(self, images: Tensor, masks: Tensor | None, painted: _Painted, channels: list[int] | None) -> None:
        """Paste and label in place; `channels` as `_channels` returns them."""
        at = painted.pixels
        images[at.sample, :, at.row, at.column] = painted.after.to(images.dtype)
        if masks is not None and channels is not None:
            table = torch.tensor(channels, device=masks.device)
            masks[at.sample, table[painted.classes], at.row, at.column] = 1
        elif masks is not None:
            masks = masks[:, 0] if masks.ndim == 4 else masks
            shapes = [entry.outline.shape for entry in painted.placed]
            drawn = {c for s in shapes for c in ((s.class_index,) if s.parts is None else s.parts.classes)}
            # Values of classes that are not painted need not fit into the mask.
            values = [self.mask_values[name] if i in drawn else 0 for i, name in enumerate(self.class_names)]
            table = torch.tensor(values, device=masks.device, dtype=masks.dtype)
            masks[at.sample, at.row, at.column] = table[painted.classes]


def _given(draws: Sequence[Sequence[Draw]], images: Tensor) -> list[Placed]:
    """Check explicit draws.

    Raises:
        ValueError: if there is not one sequence an image, or a mask does not lie inside its image.
    """
    if len(draws) != len(images):
        raise ValueError(f"draws must hold one sequence for each of {len(images)} images, got {len(draws)}")
    height, width = images.shape[-2:]
    for draw in (draw for several in draws for draw in several):
        (h, w), top, left = draw.mask.shape, draw.top, draw.left
        if not (0 <= top <= height - h and 0 <= left <= width - w and draw.mask.any()):
            raise ValueError(
                f"the draw of {h} x {w} pixels at row {top}, column {left} is empty or not inside its image of "
                f"{height} x {width}; draws are made for images of one size"
            )
    return [Placed.of(sample, draw, images.device) for sample, several in enumerate(draws) for draw in several]


def _in_any_channel(found: Tensor) -> Tensor:
    """(B, H, W) or (B, C, H, W) bool to (B, H, W)."""
    return found.any(dim=1) if found.ndim == 4 else found


def _fits(value: int, dtype: torch.dtype) -> bool:
    """Whether a mask can hold a value. Compared with one that it cannot, torch wraps it around: -1 is 255."""
    if dtype.is_floating_point:
        return abs(value) <= torch.finfo(dtype).max
    if dtype == torch.bool:
        return value in (0, 1)
    return torch.iinfo(dtype).min <= value <= torch.iinfo(dtype).max


def _check(images: Any, masks: Any, regions: Any, values: Mapping[str, int]) -> None:
    """Raise unless the tensors are what `forward` describes."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images must be a float tensor in [0, 1], got {got}; divide uint8 images by 255")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(f"images must be (B, C, H, W) with at least one pixel, got shape {tuple(images.shape)}")
    for name, tensor in (("masks", masks), ("regions", regions)):
        if tensor is None:
            continue
        wanted = (images.shape[0], *images.shape[2:])
        channelled = name == "masks" and isinstance(tensor, Tensor) and tensor.ndim == 4 and tensor.shape[1] > 0
        if not isinstance(tensor, Tensor) or (tensor[:, 0] if channelled else tensor).shape != wanted:
            came = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"{name} must be a tensor (B, H, W) = {wanted} like the images, got {came}")
        if tensor.device != images.device:
            raise ValueError(f"{name} are on {tensor.device}, the images on {images.device}; move both to one device")
    if masks is not None:
        if masks.dtype not in MASK_DTYPES:
            raise TypeError(f"masks must be integers, bool or float, got {masks.dtype}; use masks.long()")
        one_channel = masks.ndim == 3 or masks.shape[1] == 1
        for name, value in values.items() if one_channel and masks.dtype != torch.bool else ():
            if not _fits(value, masks.dtype):
                raise ValueError(f"mask value {value} of {name!r} does not fit into {masks.dtype}; use masks.long()")
    sparse = images[:, :, ::8, ::8]
    if len(sparse):
        low, high, negative = (float(v) for v in (sparse.amin(), sparse.amax(), (sparse < -0.02).float().mean()))
        if high > 1.5 or low < -0.5 or negative > (0.1 if high <= 1 else 0.4):  # as `check_scale` has it
            raise ValueError(
                f"images must lie in [0, 1], got values from {low:g} to {high:g}; paint before they are normalised"
            )
