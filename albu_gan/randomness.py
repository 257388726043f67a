"""Random numbers that differ between DataLoader workers and epochs, whatever albumentations is installed."""

from __future__ import annotations

import os
import random
import sys
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import albumentations as A
import numpy as np

#: AlbumentationsX replaced the sampling hooks of Albumentations 2.0.8 by `sample_parameters`.
HAS_SAMPLING_CONTEXT = hasattr(A.DualTransform, "sample_parameters")


class PlannedTransform(A.DualTransform):
    """A transform that decides everything once a call, in `plan`, from its own generators alone."""

    @abstractmethod
    def plan(self, data: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """Decide what a call does.

        Args:
            data: the targets by key.
            rng: the only source of randomness.

        Returns:
            Parameters for every `apply*`.
        """

    if HAS_SAMPLING_CONTEXT:

        def sample_parameters(self, params: Any, data: Any, targets: Any, sampling: Any) -> Any:
            """Decide and paint everything once (AlbumentationsX, which also follows workers and pickles no draws)."""
            from albumentations.core.transform_params import SampledParams  # type: ignore[import-not-found]

            return SampledParams(params=self.plan(data, sampling.random_generator))

    else:

        def __getstate__(self) -> dict[str, Any]:
            # The last call's patches would make every pickle megabytes large.
            return {**self.__dict__, "params": {}}

        def set_random_seed(self, seed: int | None) -> None:
            """Seed both generators; a seed set in a DataLoader worker is not replaced by the worker's."""
            super().set_random_seed(seed)
            self._seeded_in = os.getpid()

        def set_random_state(self, random_generator: np.random.Generator, py_random: random.Random) -> None:
            """Take over both generators; those set in a DataLoader worker are not replaced by the worker's."""
            super().set_random_state(random_generator, py_random)
            self._seeded_in = os.getpid()

        def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> Any:
            """Apply the transform to named targets."""
            self._follow_worker()
            return super().__call__(*args, force_apply=force_apply, **kwargs)

        def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
            """Decide and paint everything once; `apply*` only paste."""
            return self.plan(data, self.random_generator)

    def _follow_worker(self) -> None:
        """Reseed in a DataLoader worker that its user did not seed: Albumentations 2.0.8 repeats its streams there."""
        if self._seeded_in == os.getpid():
            return
        loader = sys.modules.get("torch.utils.data")
        info = loader.get_worker_info() if loader is not None else None
        if info is None and self.seed is not None:
            self._seeded_in = os.getpid()
            return
        own = [int(v) for v in self.random_generator.integers(2**32, size=4)]
        entropy = [*own, info.seed % 2**64 if info is not None else random.SystemRandom().getrandbits(64)]
        generator = np.random.default_rng(entropy)
        self.py_random = random.Random(int(generator.integers(2**63)))
        self.random_generator = generator
        self._seeded_in = os.getpid()  # last, or another thread would draw from the generators that came along
