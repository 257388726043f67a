"""How much is measured: rounds, sizes, files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Amounts of one run of the benchmark. The defaults take about ten minutes of two quiet cores.

    Raises:
        ValueError: if there are no rounds, no image or no epoch.
    """

    rounds: int = 40  # of every group of cases that take turns
    slow_rounds: int = 25  # of the group with the generator of the thesis, which takes half a second
    flops_rounds: int = 40  # of the network alone
    growth_sides: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)  # of square images, pixels
    growth_defects: tuple[int, ...] = (1, 2, 4, 8, 16)  # in one image of 1024 x 1024
    epochs: int = 5  # with painting, and as many without, of each setting of the DataLoader
    epoch_pixels: int = 40_000_000  # of the images that one epoch decodes, or max_files images
    max_files: int = 384  # images an epoch
    all_loaders: bool = True  # every pipeline with every number of workers, not one of each
    starts: int = 3  # of processes, of which start-up times are medians
    paint_calls: int = 20  # before the memory of a worker is read

    def __post_init__(self) -> None:
        for name in (
            "rounds",
            "slow_rounds",
            "flops_rounds",
            "epochs",
            "epoch_pixels",
            "max_files",
            "starts",
            "paint_calls",
        ):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"Settings.{name} must be at least 1, got {value}")


#: Under a minute: every part runs, no figure is to be trusted.
QUICK = Settings(
    rounds=2,
    slow_rounds=2,
    flops_rounds=2,
    growth_sides=(64, 512, 1024),
    growth_defects=(1, 4),
    epochs=1,
    epoch_pixels=1_500_000,
    max_files=16,
    all_loaders=False,
    starts=1,
    paint_calls=2,
)
