"""Making a data set: the samples of this process's share, by one process or by several workers, and the rest once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

import cv2
import torch
from tqdm import tqdm

from albu_gan.data import check_header
from albu_gan.generate.folder import OutputFolder, reporting_full_disks
from albu_gan.generate.images import find_regions, list_images, readable
from albu_gan.generate.sample import SampleMaker
from albu_gan.generate.settings import GenerateError, GenerateSettings
from albu_gan.generate.share import Share
from albu_gan.hub import find_weights

AHEAD = 4  # samples a worker that wait in line


def generate(
    settings: GenerateSettings,
    *,
    workers: int = 1,
    overwrite: bool = False,
    share: Share | None = None,
    progress: bool = True,
) -> bool:
    """Make a synthetic data set, or go on with it; the bytes are the same whatever the workers and interruptions.

    Args:
        settings: what to make.
        workers: processes that paint, with one thread each; with 1, this one does it.
        overwrite: whether a data set of other settings in the same folder is replaced.
        share: of the samples; None for all. All shares write to one folder, or their folders are joined afterwards.
        progress: whether to show a bar.

    Returns:
        Whether the data set is complete; if not, other shares are still to come.

    Raises:
        GenerateError: if anything about the settings or the folder makes it impossible; what is finished is kept.
        ValueError: if an image cannot be read; what is finished is kept.
        WeightsError: if the weights cannot be used.
    """
    if workers < 1:
        raise GenerateError(f"--workers must be at least 1, got {workers}")
    share = share or Share()
    maker = _make_maker(settings, progress)
    out = OutputFolder(settings.out)
    class_names = maker.folder.config.class_names
    mine = share.of(settings.count)
    for source in sorted({maker.source(index) for index in mine}):
        check_header(maker.images[source], settings.max_megapixels)
    out.begin(maker.record, class_names, overwrite, share)
    with reporting_full_disks(settings.out):
        done = {index for index, record in out.finished().items() if index in mine and out.is_intact(record)}
        pending = [index for index in mine if index not in done]
        with tqdm(total=len(mine), initial=len(done), unit="image", disable=not progress) as bar:
            for _ in _paint(maker, out, pending, workers):
                bar.update()
        return _finish(out, class_names, settings.count)


def _make_maker(settings: GenerateSettings, progress: bool) -> SampleMaker:
    """Look at everything that is cheap to look at before anything is written."""
    out, images_root = settings.out.resolve(), settings.images.resolve()
    if out == images_root or out in images_root.parents:
        raise GenerateError(
            f"{settings.out}: --images {settings.images} lies in it; synthetic images must not mix with those they are "
            "made of: choose another --out"
        )
    folder = find_weights(settings.weights)
    images = list_images(settings.images, settings.out)
    if settings.skip_bad:
        images, problems = readable(images, settings.max_megapixels, progress)
        for problem in problems:
            sys.stderr.write(f"skipped {problem}\n")
    regions = find_regions(settings.regions, settings.images, images) if settings.regions is not None else []
    maker = SampleMaker(settings, folder, settings.to_record(folder, images, regions), images, regions)
    try:
        torch.zeros(1, device=settings.device)
    except (RuntimeError, AssertionError) as err:  # torch asserts that it was built with CUDA
        reason = str(err).strip().splitlines()[0]
        raise GenerateError(f"--device {settings.device!r} cannot be used ({reason}); take cpu") from err
    maker.transform  # noqa: B018 - made here for its checks of the arguments, before a worker is
    return maker


def _finish(out: OutputFolder, class_names: Sequence[str], count: int) -> bool:
    """Assemble the data set if all samples are there; returns whether it is complete."""
    if out.is_assembled(count):
        return True
    if len([index for index in out.finished() if index < count]) < count:
        return False
    try:
        out.assemble(class_names, count)
    except FileNotFoundError:
        if not out.is_assembled(count):  # no other process was quicker: it is a fault
            raise
    return True


def _paint(maker: SampleMaker, out: OutputFolder, pending: Sequence[int], workers: int) -> Iterator[int]:
    """Make the samples and yield the number of each that is written."""
    if workers == 1 or len(pending) < 2:
        with one_thread():
            for index in pending:
                out.write(maker.make(index))
                yield index
        return
    spawn = multiprocessing.get_context("spawn")  # a fork after torch was used can hang
    count = min(workers, len(pending))
    pool = ProcessPoolExecutor(count, mp_context=spawn, initializer=_begin_worker, initargs=(maker, out))
    try:
        remaining = iter(pending)
        with _ignoring_interrupts():
            running: set[Future[int]] = {pool.submit(_make_and_write, i) for i in islice(remaining, AHEAD * count)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()
            running |= {pool.submit(_make_and_write, i) for i in islice(remaining, len(ended))}
    except BrokenProcessPool as err:
        raise GenerateError(
            "a worker ended unexpectedly: it was killed, or ran out of memory; what is finished is kept: run the same "
            "command again, with fewer --workers"
        ) from err
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute as a worker does: the number of threads can change the last bit of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Let workers start deaf to Ctrl-C, which reaches all processes: the parent lets the samples in work end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_maker: SampleMaker  # of this worker
_out: OutputFolder


def _begin_worker(maker: SampleMaker, out: OutputFolder) -> None:
    global _maker, _out
    _maker, _out = maker, out
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not inherited
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End with the parent, even if it was killed: a worker that waits for tasks would wait forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_and_write(index: int) -> int:
    _out.write(_maker.make(index))
    return index
