"""What a process pays once: import, first call, first batch of a worker, memory of a worker."""

from __future__ import annotations

import gc
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import torch

from albu_gan import GANDefectInpaint
from benchmarks.loader import CONTEXTS, PIPELINES, Files, augmentation, make_loader, write_files
from benchmarks.settings import Settings
from benchmarks.timing import Summary, summary

START = """
import json, sys, time
times, began = {}, time.perf_counter()
def lap(name):
    global began
    now = time.perf_counter()
    times[name], began = now - began, now
import numpy, cv2, torch, albumentations
lap("import torch and albumentations")
from albu_gan import GANDefectInpaint
lap("import albu_gan, after them")
torch.set_num_threads(1)
image, mask = numpy.full((256, 1600), 120, numpy.uint8), numpy.zeros((256, 1600), numpy.uint8)
began = time.perf_counter()
transform = albumentations.Compose([GANDefectInpaint(weights=sys.argv[1], p=1.0)], seed=0)
lap("constructor")
transform(image=image, mask=mask)
lap("first call")
for _ in range(5):
    transform(image=image, mask=mask)
began = time.perf_counter()
transform(image=image, mask=mask)
lap("a later call")
print(json.dumps(times))
"""


def measure_memory(weights: str, settings: Settings) -> dict[str, Any] | None:
    """Private megabytes of a worker, and what painting adds to it; Linux only. Call it before this process uses torch.

    Returns:
        By way of starting the worker.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    found: dict[str, Any] = {}
    for name in CONTEXTS:
        context: Any = multiprocessing.get_context(name)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=paint_and_measure, args=(weights, settings.paint_calls, sender))
        process.start()
        sender.close()  # so that a worker that dies ends the wait
        try:
            found[name] = receiver.recv()
        except EOFError as err:
            raise ChildProcessError(f"a worker started by {name} ended before it had painted") from err
        finally:
            process.join()
    return found


def paint_and_measure(weights: str, calls: int, sender: Connection) -> None:
    """In the worker: use torch, measure, paint, measure."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        torch.nn.Conv2d(3, 16, 3)(torch.zeros(1, 3, 128, 128))
    # A full collection writes to every object inherited from the parent and so makes private copies of tens of
    # megabytes. It comes sooner or later in any worker, whatever the worker does: here it comes before measuring.
    gc.collect()
    before = private_megabytes()
    transform = A.Compose([GANDefectInpaint(weights=weights, p=1.0)], seed=0)
    image = np.full((256, 1600, 3), 120, np.uint8)
    for _ in range(calls):
        transform(image=image, mask=np.zeros((256, 1600), np.uint8))
    sender.send({"without_mb": before, "added_mb": private_megabytes() - before})


def private_megabytes() -> float:
    """Memory of this process that it shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return kilobytes / 1024


def measure_starts(weights: str, settings: Settings, folder: Path) -> dict[str, Any]:
    """Time what comes before the first painted image: in a new process, and in a new worker.

    Returns:
        Seconds of each step of a new process; seconds to a worker's first batch, with and without painting, by way of
        starting it.
    """
    steps: dict[str, list[float]] = {}
    for _ in range(settings.starts):
        for name, seconds in start_process(weights).items():
            steps.setdefault(name, []).append(seconds)
    pipeline = PIPELINES[0]
    write_files(folder, pipeline)
    first: dict[str, dict[str, list[float]]] = {name: {"without": [], "with": []} for name in CONTEXTS}
    for _ in range(settings.starts):
        for name in CONTEXTS:
            for kind, painted in (("without", None), ("with", weights)):
                dataset = Files(folder, pipeline, 8, augmentation(pipeline, painted, p=1.0))
                began = time.perf_counter()
                next(iter(make_loader(dataset, 1, name, persistent=False)))
                first[name][kind].append(time.perf_counter() - began)
    return {"process_s": _summaries(steps), "first_batch_s": {name: _summaries(kinds) for name, kinds in first.items()}}


def start_process(weights: str) -> dict[str, float]:
    """Seconds of each step of a new process, from the start of Python to a painted image."""
    done = subprocess.run([sys.executable, "-c", START, weights], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"a new process did not paint: {done.stderr.strip().splitlines()[-1]}")
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


def _summaries(values: Mapping[str, list[float]]) -> dict[str, Summary]:
    return {name: summary(seconds) for name, seconds in values.items()}
