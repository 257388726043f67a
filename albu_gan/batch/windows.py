"""What `albu_gan.painting.compositing` does to one numpy image, done to a whole batch of tensors on its device.

Windows are cut, and residuals brought back, by index: nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from albu_gan.defects import Shape
from albu_gan.painting import Window, edge_weight, extract_mask


def extract_windows(images: Tensor, sample: Sequence[int], windows: Sequence[Window]) -> Tensor:
    """Cut windows of one shape out of the images of a batch, as `compositing.extract` does.

    Args:
        images: (B, C, H, W) floating point.
        sample: (N,) image that each window lies in.
        windows: (N,) of one `shape`.

    Returns:
        (N, C, rows, columns) float32. A reduced scale averages areas.
    """
    device, shape = images.device, windows[0].shape
    limits = images.shape[-2:]
    sides = np.array([(w.height, w.width) for w in windows])
    starts = torch.from_numpy(np.array([(w.top, w.left) for w in windows])).to(device)
    largest = [int(side) for side in sides.max(axis=0)]
    rows_at, columns_at = (_mirrored(starts[:, axis], largest[axis], limits[axis]) for axis in (0, 1))
    index = torch.as_tensor(np.asarray(sample), device=device)
    # Indices around a full slice put the channels last.
    cut = images[index[:, None, None], :, rows_at[:, :, None], columns_at[:, None, :]].permute(0, 3, 1, 2).float()
    if not any(window.reduced for window in windows):
        return cut
    vertical, horizontal = (
        _area_weights(torch.from_numpy(sides[:, axis]).to(device), largest[axis], shape[axis])[:, None]
        for axis in (0, 1)
    )
    return vertical @ cut @ horizontal.transpose(-1, -2)


def _mirrored(starts: Tensor, count: int, limit: int) -> Tensor:
    """`compositing.mirrored` of several starts, (N, count)."""
    position = (starts[:, None] + torch.arange(count, device=starts.device)) % (2 * limit)
    return torch.minimum(position, 2 * limit - 1 - position)


def _area_weights(sides: Tensor, pixels: int, size: int) -> Tensor:
    """Say how much of each of the first `side` pixels falls into each of `size` equal parts.

    Args:
        sides: (N,) integers.
        pixels: of each window that there are, at least `side`.
        size: parts.

    Returns:
        (N, size, pixels) float32; the weights of a part sum to 1.
    """
    length = sides.float()[:, None, None] / size
    part = torch.arange(size, device=sides.device, dtype=torch.float32)[:, None]
    pixel = torch.arange(pixels, device=sides.device, dtype=torch.float32)
    ends = torch.minimum(torch.minimum((part + 1) * length, pixel + 1), sides[:, None, None])
    overlap = (ends - torch.maximum(part * length, pixel)).clamp_min(0)
    return overlap / overlap.sum(dim=2, keepdim=True)


@dataclass(frozen=True)
class Outline:
    """A shape, and its pixels as tensors on one device, row by row.

    Attributes:
        shape: tight.
        row: (P,) int64, of each pixel in the mask.
        column: (P,) int64.
        weight: (P,) float32, `edge_weight` where no border of the image is touched.
        classes: (P,) int64, class index of each pixel; one for all of them but for a compound.
    """

    shape: Shape
    row: Tensor
    column: Tensor
    weight: Tensor
    classes: Tensor

    @classmethod
    def of(cls, shape: Shape, device: torch.device) -> Outline:
        """Find the pixels of a shape."""
        height, width = shape.mask.shape
        weight = edge_weight(shape.mask, 1, 1, (height + 2, width + 2))[shape.mask]
        row, column = torch.from_numpy(np.stack(np.nonzero(shape.mask))).to(device)
        parts = shape.parts
        one = np.full(len(weight), shape.class_index, np.int64)
        classes = one if parts is None else parts.class_map()[shape.mask] - 1
        return cls(shape, row, column, torch.from_numpy(weight).to(device), torch.from_numpy(classes).to(device))

    def weight_at(self, top: int, left: int, image_hw: tuple[int, int]) -> Tensor:
        """`edge_weight` of its pixels where it lies in an image."""
        mask = self.shape.mask
        height, width = mask.shape
        if top > 0 and left > 0 and top + height < image_hw[0] and left + width < image_hw[1]:
            return self.weight
        return torch.from_numpy(edge_weight(mask, top, left, image_hw)[mask]).to(self.weight.device)


@dataclass(frozen=True)
class Pixels:
    """The pixels of several masks in a batch, mask after mask; (P,) int64 tensors on one device.

    Attributes:
        draw: number of the mask.
        sample: image of the batch.
        row: in the image.
        column: in the image.
        counts: pixels of each mask; not a tensor.
    """

    draw: Tensor
    sample: Tensor
    row: Tensor
    column: Tensor
    counts: tuple[int, ...]

    @classmethod
    def of(cls, outlines: Sequence[Outline], corners_yx: Sequence[tuple[int, int]], sample: Sequence[int]) -> Pixels:
        """Collect the pixels of at least one mask.

        Args:
            outlines: of the masks.
            corners_yx: of each mask in its image.
            sample: image of each mask.
        """
        device = outlines[0].row.device
        counts = tuple(len(outline.row) for outline in outlines)
        table = np.column_stack([np.arange(len(counts)), sample, np.asarray(corners_yx, np.int64), counts])
        number, image, top, left, count = torch.from_numpy(table.T.copy()).to(device)
        draw = torch.repeat_interleave(number, count, output_size=sum(counts))
        row = torch.cat([outline.row for outline in outlines]) + top[draw]
        column = torch.cat([outline.column for outline in outlines]) + left[draw]
        return cls(draw, image[draw], row, column, counts)

    def part(self, draws: Sequence[int], renumber: bool = True) -> tuple[Pixels, Tensor]:
        """Return the pixels of some of the masks, and where in this table they are.

        Args:
            draws: numbers of the masks, ascending.
            renumber: count the masks that are left from 0; else their numbers stay.
        """
        ends = np.cumsum(self.counts, dtype=np.int64)
        ranges = [np.arange(ends[number] - self.counts[number], ends[number]) for number in draws]
        where = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *ranges])).to(self.draw.device)
        counts = tuple(self.counts[number] for number in draws)
        number = self.draw[where]
        if renumber:
            number = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(number.device)
        return Pixels(number, self.sample[where], self.row[where], self.column[where], counts), where


def window_masks(
    outlines: Sequence[Outline], corners_yx: Sequence[tuple[int, int]], windows: Sequence[Window], pixels: Pixels
) -> Tensor:
    """Show masks as the network sees them, as `compositing.extract_mask` does.

    Args:
        outlines: (N,) of the masks.
        corners_yx: of each mask in its image.
        windows: (N,) of one shape, around them.
        pixels: of these masks, numbered as they are.

    Returns:
        (N, rows, columns) uint8 in {0, 1}.
    """
    device, (rows, columns) = pixels.row.device, windows[0].shape
    starts = torch.from_numpy(np.array([(w.top, w.left) for w in windows], np.int64).T.copy()).to(device)
    top, left = starts[:, pixels.draw]
    inside = torch.zeros((len(windows), rows, columns), dtype=torch.uint8, device=device)
    inside[pixels.draw, (pixels.row - top).clamp(max=rows - 1), (pixels.column - left).clamp(max=columns - 1)] = 1
    reduced = [number for number, window in enumerate(windows) if window.reduced]  # whose pixels are not the image's
    if reduced:
        shrunk = [
            extract_mask(
                outlines[n].shape.mask,
                replace(windows[n], top=windows[n].top - corners_yx[n][0], left=windows[n].left - corners_yx[n][1]),
            )
            for n in reduced
        ]
        inside[torch.tensor(reduced, device=device)] = torch.from_numpy(np.stack(shrunk)).to(device)
    return inside


def residual_at(residuals: Tensor, windows: Sequence[Window], pixels: Pixels) -> Tensor:
    """Return what the network added at every pixel, enlarged where the window's scale was reduced.

    Args:
        residuals: (N, C, rows, columns), of mask `draw` of the pixels.
        windows: (N,) of one shape.
        pixels: inside their windows.

    Returns:
        (P, C).
    """
    device = residuals.device
    table = np.array([(w.top, w.left, w.height, w.width) for w in windows], np.int64)
    top, left, height, width = torch.from_numpy(table.T.copy()).to(device)[:, pixels.draw]
    y, x = pixels.row - top, pixels.column - left
    if not any(window.reduced for window in windows):
        return residuals[pixels.draw, :, y, x]
    # Bilinear between the centres of network pixels, the outermost repeated: cv2.INTER_LINEAR.
    taps = []
    for position, side, size in ((y, height, residuals.shape[2]), (x, width, residuals.shape[3])):
        at = ((position + 0.5) * (size / side) - 0.5).clamp(0, size - 1)
        first = at.floor().long()
        taps.append((first, (first + 1).clamp(max=size - 1), (at - first)[:, None].to(residuals.dtype)))
    (y0, y1, v), (x0, x1, u) = taps
    upper, lower = (torch.lerp(residuals[pixels.draw, :, y, x0], residuals[pixels.draw, :, y, x1], u) for y in (y0, y1))
    return torch.lerp(upper, lower, v)


def contrasts(change: Tensor, pixels: Pixels) -> Tensor:
    """How visible each defect is, as `compositing.contrast` has it.

    Args:
        change: (P, C) of images in [0, 1], every pixel of every mask.
        pixels: that changed.

    Returns:
        (N,) levels of 255, the 75th percentile over each mask; NaN if any change within it is not finite.
    """
    largest = change.abs().amax(dim=1).float()
    broken = torch.zeros(len(pixels.counts), device=change.device)
    broken.index_add_(0, pixels.draw, (~torch.isfinite(largest)).float())
    order = torch.argsort(largest)
    order = order[torch.argsort(pixels.draw[order], stable=True)]  # by mask, and within one by size
    ordered = largest[order]
    counts = np.array(pixels.counts)
    start = np.cumsum(counts) - counts
    at = 0.75 * (counts - 1)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, counts - 1)
    low, high = (torch.from_numpy(start + offset).to(change.device) for offset in (below, above))
    share = torch.from_numpy((at - below).astype(np.float32)).to(change.device)
    found = torch.lerp(ordered[low], ordered[high], share) * 255.0
    return torch.where(broken > 0, torch.nan, found)
