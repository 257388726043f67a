"""Times of functions that take turns, and what is said about them."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

WARM_UP = 2  # rounds that are not counted

Summary = dict[str, float]
"""Quartiles, and of how many rounds."""


@contextmanager
def steady_memory() -> Iterator[None]:
    """Collect garbage now and keep the collector still inside the block."""
    gc.collect()
    gc.freeze()  # what is there already is not looked through in every collection between rounds
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def interleaved(
    functions: Mapping[str, Callable[[], Any]], rounds: int, prepare: Callable[[int], None] | None = None
) -> dict[str, list[float]]:
    """Time every function once a round, in an order drawn anew, so that a machine that slows down slows all of them.

    Args:
        functions: by name.
        rounds: that count; `WARM_UP` more come before.
        prepare: called with the round's number before it, untimed; for random seeds.

    Returns:
        Seconds of each round, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    order = list(functions)
    shuffle = random.Random(0).shuffle
    with steady_memory():
        for number in range(rounds + WARM_UP):
            if prepare is not None:
                prepare(number)
            gc.collect()
            shuffle(order)
            for name in order:
                began = time.perf_counter()
                functions[name]()
                taken = time.perf_counter() - began
                if number >= WARM_UP:
                    seconds[name].append(taken)
    return seconds


def summary(values: Sequence[float], factor: float = 1.0) -> Summary:
    """Return median, quartiles and number of values, each times a factor."""
    first, middle, third = np.percentile(np.asarray(values) * factor, [25, 50, 75])
    return {"median": float(middle), "q1": float(first), "q3": float(third), "rounds": len(values)}


def milliseconds(seconds: Mapping[str, Sequence[float]]) -> dict[str, Summary]:
    """Summarise seconds by name, in milliseconds."""
    return {name: summary(values, 1000.0) for name, values in seconds.items()}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """Summarise the ratios within each round."""
    return summary([a / b for a, b in zip(ours, theirs, strict=True)])


def ratios(seconds: Mapping[str, Sequence[float]], ours: str) -> dict[str, Summary]:
    """Ratios of one function to each of the others, within each round."""
    return {name: ratio(seconds[ours], values) for name, values in seconds.items() if name != ours}


def less(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Differences within each round."""
    return [a - b for a, b in zip(ours, theirs, strict=True)]
