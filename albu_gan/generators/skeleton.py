"""Networks without weights: names and shapes, to be compared with a file and then filled from it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from albu_gan.generators.base import DefectGenerator
from albu_gan.generators.build import build_generator
from albu_gan.generators.config import GeneratorConfig


class _NoRandomFill(TorchFunctionMode):
    """Leave new weights as they are: on the meta device, random numbers make torch import its compiler.

    That costs every worker two seconds and 150 MB.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace random fills by nothing."""
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        if func in (torch.randn, torch.rand):
            return torch.empty(*args)
        return func(*args, **(kwargs or {}))


def build_skeleton(config: GeneratorConfig) -> DefectGenerator:
    """Build the network that `config` describes on the meta device, where weights have shapes and take no memory.

    Raises:
        ValueError: if the architecture cannot be built so.
    """
    with torch.device("meta"), _NoRandomFill():
        return build_generator(config)


@lru_cache(maxsize=32)
def expected_state(config: GeneratorConfig) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return name and shape of every weight, and what a window's sides must be multiples of.

    Kept, because every constructor of a transform asks, and every replay constructs one.

    Raises:
        ValueError: if the architecture cannot be built so.
    """
    network = build_skeleton(config)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}, network.size_multiple
