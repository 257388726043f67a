"""Where the time of a call goes: the stages of one and the same call, by clocks around the functions that do them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from albu_gan import DefectInpainter, GANDefectInpaint
from albu_gan.defects import DefectSampler
from albu_gan.painting.painter import NetworkPainter
from benchmarks.cases import image_cases, painting, seeded
from benchmarks.settings import Settings
from benchmarks.timing import WARM_UP, Summary, steady_memory, summary

SAMPLING, WINDOW, NETWORK, PASTE, REST = "sampling", "window", "network", "paste", "rest"
STAGES = (SAMPLING, WINDOW, NETWORK, PASTE, REST)
#: Class, function, stage. `paint` cuts windows and calls the network, whose time is taken out again.
CLOCKS: tuple[tuple[type, str, str], ...] = (
    (DefectSampler, "draw", SAMPLING),
    (DefectSampler, "draw_again", SAMPLING),
    (DefectSampler, "draw_latent_again", SAMPLING),
    (DefectInpainter, "paint", WINDOW),
    (NetworkPainter, "residuals", NETWORK),
    (DefectSampler, "_visible", PASTE),
    (GANDefectInpaint, "apply", PASTE),
    (GANDefectInpaint, "apply_to_mask", PASTE),
)


@contextmanager
def clocks() -> Iterator[dict[str, float]]:
    """Inside the block, add up the seconds of every stage; clear the dictionary between calls."""
    taken: dict[str, float] = defaultdict(float)

    def clocked(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken[stage] += time.perf_counter() - began

        return run

    before = [(owner, name, getattr(owner, name)) for owner, name, _ in CLOCKS]
    try:
        for owner, name, stage in CLOCKS:
            setattr(owner, name, clocked(getattr(owner, name), stage))
        yield taken
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def measure_stages(weights: str, settings: Settings) -> dict[str, dict[str, Summary]]:
    """Time the stages of calls with the default arguments, the images taking turns.

    Returns:
        Milliseconds by image and stage. `rest` is Albumentations and what checks arguments and masks.
    """
    cases = image_cases()
    found: dict[str, dict[str, list[float]]] = {case.name: {stage: [] for stage in (*STAGES, "all")} for case in cases}
    with clocks() as taken, steady_memory():
        transform = painting(weights)  # here, because it keeps the functions that it finds when it is built
        for number in range(settings.rounds + WARM_UP):
            for case in cases:
                seeded([transform], number)
                taken.clear()
                began = time.perf_counter()
                transform(image=case.image, mask=case.mask)
                total = time.perf_counter() - began
                if number < WARM_UP:
                    continue
                parts = {stage: taken[stage] for stage in STAGES[:-1]}
                parts[WINDOW] -= parts[NETWORK]
                parts[REST] = total - sum(parts.values())
                parts["all"] = total
                for stage, seconds in parts.items():
                    found[case.name][stage].append(seconds)
    return {
        name: {stage: summary(values, 1000.0) for stage, values in stages.items()} for name, stages in found.items()
    }
