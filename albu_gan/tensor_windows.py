"""What `albu_gan.compositing` does to one numpy image, done to a whole batch of tensors on its device.

Windows are cut, and residuals brought back, by index: nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from albu_gan.compositing import Window, mirrored


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
    starts = np.array([(w.top, w.left) for w in windows])
    largest = [int(side) for side in sides.max(axis=0)]
    rows_at, columns_at = (
        torch.from_numpy(np.stack([mirrored(int(start), largest[axis], limits[axis]) for start in starts[:, axis]])).to(
            device
        )
        for axis in (0, 1)
    )
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
    def of(
        cls,
        masks: Sequence[np.ndarray],
        corners_yx: Sequence[tuple[int, int]],
        sample: Sequence[int],
        device: torch.device,
    ) -> Pixels:
        """Collect the pixels of masks.

        Args:
            masks: (h, w) bool each.
            corners_yx: of each mask in its image.
            sample: image of each mask.
            device: of the tensors.
        """
        found = [np.nonzero(mask) for mask in masks]
        counts = tuple(len(rows) for rows, _ in found)
        table = np.concatenate(
            [
                np.stack([np.full(count, number), np.full(count, sample[number]), rows + top, columns + left])
                for number, (count, (rows, columns), (top, left)) in enumerate(
                    zip(counts, found, corners_yx, strict=True)
                )
            ],
            axis=1,
        )
        draw, image, row, column = torch.from_numpy(table.astype(np.int64)).to(device)
        return cls(draw, image, row, column, counts)

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
