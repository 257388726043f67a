"""The share of one process in work that several do."""

from __future__ import annotations

import os
from dataclasses import dataclass

from albu_gan.generate.settings import GenerateError


@dataclass(frozen=True)
class Share:
    """Which samples this process makes: every `world_size`-th, from `rank` on.

    Attributes:
        rank: of this process, from 0.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """Read RANK and WORLD_SIZE, which `accelerate launch` and torchrun set for each of their processes.

        Raises:
            GenerateError: if only one of them is set, or they do not fit.
        """
        rank, world_size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
        if world_size is None and rank is None:
            return cls()
        try:
            share = cls(int(rank or ""), int(world_size or ""))
        except ValueError:
            share = cls(0, 0)
        if not 0 <= share.rank < share.world_size:
            raise GenerateError(
                f"RANK={rank} and WORLD_SIZE={world_size} in the environment are no share of a launch; unset them, or "
                "set RANK from 0 to WORLD_SIZE - 1"
            )
        return share

    def of(self, count: int) -> range:
        """Numbers of this process's samples."""
        return range(self.rank, count, self.world_size)
