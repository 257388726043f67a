"""What the last layers of the default generator need to compute: outside of the mask nothing is added.

From the finest block on, every layer reaches a pixel of its map further. So a mask's box decides what is needed of each
map, and the rest is not computed. The pixels inside are those of the whole window: what a part lacks beyond its rim
spoils a pixel a layer, and as many are computed around it.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

RIM = 1  # pixels at a quarter of the window's side that the fine layers reach: two layers of half a pixel
REACH = RIM + 3  # and with the finest block's two layers and the one after it


class Part(NamedTuple):
    """Rows and columns of a map; ends are not included."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, by: int, height: int, width: int) -> Part:
        """Return the part with so many pixels more on every side, as far as the map has them."""
        return Part(
            max(0, self.top - by), max(0, self.left - by), min(self.bottom + by, height), min(self.right + by, width)
        )

    def widened(self, multiple: int, height: int, width: int) -> Part:
        """Return a part around this one whose sides are multiples of a number, or as long as the map's."""
        sides = []
        for start, stop, limit in ((self.top, self.bottom, height), (self.left, self.right, width)):
            side = min(-(-(stop - start) // multiple) * multiple, limit)
            first = min(max(0, start - (side - stop + start) // 2), limit - side)
            sides.append((first, first + side))
        return Part(sides[0][0], sides[1][0], sides[0][1], sides[1][1])

    def times(self, factor: int) -> Part:
        """Return the same part of a map that is so many times as large."""
        return Part(*(factor * value for value in self))

    def inside(self, other: Part) -> Part:
        """Return the same part of what `other` cuts out."""
        return Part(self.top - other.top, self.left - other.left, self.bottom - other.top, self.right - other.left)


class Parts(NamedTuple):
    """What is needed of every map from the finest block on, in the order in which they are made."""

    block: Part  # of the map at a quarter of the window's side
    made: Part  # of what the block makes
    seen: Part  # of the window, its mask and the noise
    fine: Part  # of what the head makes
    painted: Part  # of the window: whole folded pixels

    @classmethod
    def around(cls, box: Part, height: int, width: int, multiple: int = 1) -> Parts:
        """Return what it takes to paint a box in a window.

        Args:
            box: that holds the mask.
            height: of the window.
            width: of the window.
            multiple: of the sides of `block` and `seen / 4`: more is computed then, for fewer different sizes.
        """
        height, width = height // 4, width // 4
        painted = Part(box.top // 4, box.left // 4, -(-box.bottom // 4), -(-box.right // 4))
        rim = painted.grown(RIM, height, width).widened(multiple, height, width)
        block = rim.grown(REACH - RIM, height, width).widened(multiple, height, width)
        return cls(block, rim.inside(block), rim.times(4), painted.inside(rim).times(2), painted.times(4))


def cut(x: Tensor, part: Tensor | Part) -> Tensor:
    """Cut a part out of (..., H, W). In a recording the part is an input: one graph serves all masks."""
    if has_torch_function((x, part)):
        recorded: Tensor = handle_torch_function(cut, (x, part), x, part)
        return recorded
    top, left, bottom, right = (int(value) for value in part)
    return x[..., top:bottom, left:right]


def mask_box(inside: Tensor) -> Part | None:
    """Return the smallest part that holds all masks, (B, H, W), 0 where nothing goes; None if that is everywhere.

    They are on the CPU, where numpy finds it in less time.
    """
    array = inside.numpy()
    rows, columns = (array.any(axis=axes).nonzero()[0].tolist() for axes in ((0, 2), (0, 1)))
    return Part(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else None
