"""What the speed should be, and whether a measurement reached it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.cases import BACKENDS
from benchmarks.peers import CLONE, FFC, ONE_DEFECT, PATCH

WIDE = (256, 1600)
LOOPS = ("batches only", "training")
LOST = 0.20  # of the throughput, at most
SAME_SHAPES_SIDE = 512  # from which on images of any size get the same shapes
FLAT = 1.25  # times what is beyond the copy, at most, is no growth: what noise there is between runs


@dataclass(frozen=True)
class Target:
    """One figure and its limit.

    Attributes:
        name: what is measured.
        value: as measured, or None if this run did not measure it.
        limit: of the value.
        at_least: whether the limit is the least, not the most.
        percent: whether the figures are shares, written in percent.
    """

    name: str
    value: float | None
    limit: float
    at_least: bool = False
    percent: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the value keeps to its limit; None if there is none."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def lost_throughput(result: Mapping[str, Any]) -> dict[tuple[str, bool, str], float | None]:
    """Return what share of a DataLoader's images a second painting takes: by loop, whole or cropped, and backend.

    The worst of all numbers of workers; None if a run did not measure it.
    """
    wide = [entry for entry in result["loader"] if tuple(entry["size_hw"]) == WIDE]
    return {
        (loop, whole, backend): max(
            (
                1 - e["with_to_without"][backend]["median"]
                for e in wide
                if e["loop"] == loop and (e["crop_hw"] is None) == whole
            ),
            default=None,
        )
        for loop in LOOPS
        for whole in (True, False)
        for backend in BACKENDS
    }


def targets(result: Mapping[str, Any]) -> list[Target]:
    """Compare a run with every target, the worst setting where there are several."""
    found = [
        Target(
            f"throughput of a DataLoader lost to `p=0.3` at 256 x 1600, {'whole' if whole else 'cropped'}, {loop}, "
            f"backend={backend!r}: the worst of all workers",
            value,
            LOST,
            percent=True,
        )
        for (loop, whole, backend), value in lost_throughput(result).items()
    ]
    sides = result["growth"]["sides"]
    base = sides.get(f"{SAME_SHAPES_SIDE}")
    grown = base["largest_to_this"]["median"] if base and max(map(int, sides)) > SAME_SHAPES_SIDE else None
    ratios, one = result["one_defect"]["ratios"], ONE_DEFECT.format("colour")
    found += [
        Target(f"cost beyond a copy, largest image / {SAME_SHAPES_SIDE} x {SAME_SHAPES_SIDE}", grown, FLAT),
        Target(f"{one} / {FFC}", ratios[f"{one} / {FFC}"]["median"], 1 / 50),
        Target(f"{one} / {CLONE}", ratios[f"{one} / {CLONE}"]["median"], 2.0),
    ]
    for case in (result.get("flops") or {}).get("cases", ()):
        if (case["window"], case["batch"]) == (PATCH, 1) and case["backend"] in BACKENDS:
            name = f"network's share of the core's peak, {PATCH} x {PATCH} window, backend={case['backend']!r}"
            found.append(Target(name, case["share"], 0.5, at_least=True, percent=True))
    return found
