"""The training loop: fetch, step, log, sheet, validate, checkpoint."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from albu_gan.generators import DefectGenerator
from training.gan.config import TrainConfig
from training.gan.discriminator import build_discriminator
from training.gan.health import Health
from training.gan.losses import LOSSES
from training.gan.sheets import write_sheet
from training.gan.step import GANStep, TrainingError
from training.windows import WindowBatches

LEVEL = 0.05  # of the lowest KID: differences below it say nothing
CHECKPOINT, BEST, STATS = "checkpoints/last.pt", "checkpoints/best.pt", "stats.jsonl"
PROGRESS = ("step", "images_seen", "seconds", "waited", "best", "complaints")
BUSY_GOAL = 0.8  # share of the time that should go to the networks


class StopRequest:
    """Turns the first interrupt into a request to stop after the step; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self.previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._request)

    def _request(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def ignore_interrupt(worker: int) -> None:
    """Let the process that trains decide what an interrupt means."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class GANTrainer:
    """Trains a generator on batches of windows; `run` returns the averaged generator, the best if there is a validator.

    Args:
        config: of the run.
        generator: with fresh or trained weights.
        out: folder of the run; checkpoints, sheets, TensorBoard events and `stats.jsonl` go there.
        fixed: batches that are painted again and again with the same latents, so that progress can be seen.
        validate: takes the averaged generator and returns figures, "kid" among them; None takes the last generator.
        accelerator: None makes one from the config.
    """

    def __init__(
        self,
        config: TrainConfig,
        generator: DefectGenerator,
        out: Path,
        fixed: Sequence[dict[str, np.ndarray]] = (),
        validate: Callable[[DefectGenerator], dict[str, Any]] | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.config, self.out, self.fixed, self.validate = config, out, fixed, validate
        self.accelerator = accelerator or make_accelerator(config)
        torch.manual_seed(config.seed + 1)
        network = build_discriminator(
            config.resolved_discriminator,
            generator.config.in_channels,
            generator.config.num_classes,
            config.discriminator_channels,
            config.pooling,
            config.contrast_input,
        )
        self.train_step = GANStep(config, generator, network, generator.config.num_classes, self.accelerator)
        self.health = Health(LOSSES[config.loss].solved, config.diversity_cap if config.diversity_weight > 0 else None)
        self.step = 0
        self.images_seen = 0
        self.seconds = 0.0  # of training, over all resumed parts
        self.waited = 0.0  # of these, for data
        self.best: dict[str, Any] | None = None  # figures of the generator that is kept, `images`, `lowest_kid` of all
        self.complaints: list[str] = []  # of `health`, in words

    @property
    def average(self) -> DefectGenerator:
        """The averaged generator."""
        return self.train_step.average

    def resume(self) -> None:
        """Load the last checkpoint of the run; figures logged after it are forgotten, since they will come again.

        Raises:
            TrainingError: if there is none, or it is of other networks.
        """
        path = self.out / CHECKPOINT
        if not path.is_file():
            raise TrainingError(f"{path}: no checkpoint to resume from; start without --resume")
        state = torch.load(path, map_location="cpu", weights_only=True)
        try:
            self.train_step.load_state_dict(state["networks"])
            for name in PROGRESS:
                setattr(self, name, state[name])
        except (RuntimeError, KeyError, ValueError) as err:
            raise TrainingError(
                f"{path}: made by networks of other settings; resume with the flags of config.json in {self.out}"
            ) from err
        stats = self.out / STATS
        if stats.is_file() and self.accelerator.is_main_process:
            lines = [line for line in stats.read_text().splitlines(keepends=True) if line.endswith("}\n")]
            kept = [line for line in lines if json.loads(line)["step"] <= self.step]
            partial = stats.with_name(f".{STATS}.partial")
            partial.write_text("".join(kept))
            partial.replace(stats)

    def save(self) -> None:
        """Write a checkpoint that holds everything a resumed run needs."""
        if self.accelerator.is_main_process:
            state = {name: getattr(self, name) for name in PROGRESS}
            write_checkpoint(self.out / CHECKPOINT, {"networks": self.train_step.state_dict(), **state})

    def run(self, batches: WindowBatches, workers: int = 1, best: bool = True) -> DefectGenerator:
        """Train until `total_kimg`.

        Args:
            batches: to train on.
            workers: processes that make them.
            best: whether to return the averaged generator that validation kept, and not the last.

        Raises:
            KeyboardInterrupt: when interrupted; the step is finished and a checkpoint saved first.
            TrainingError: if a loss is not finite or a file cannot be written; the last checkpoint stays as it is.
        """
        config, accelerator = self.config, self.accelerator
        total = round(config.total_kimg * 1000)
        loader = DataLoader(
            Subset(batches, range(self.step, len(batches))),
            batch_size=None,
            num_workers=workers,
            worker_init_fn=ignore_interrupt,
            prefetch_factor=4 if workers else None,
        )
        main = accelerator.is_main_process
        writer = SummaryWriter(str(self.out), purge_step=self.images_seen) if main else None
        bar = tqdm(total=total, initial=self.images_seen, unit="img", desc="train", disable=not main)
        iterator = iter(loader)
        last_save = time.monotonic()
        stop = StopRequest()
        stopped = False
        try:
            if self.step == 0:
                self._write_sheet()
            while self.images_seen < total and not stopped:
                asked = time.monotonic()
                batch = next(iterator)
                self.waited += time.monotonic() - asked
                moved = {key: value.to(accelerator.device) for key, value in batch.items()}
                figures = self.train_step(moved, self.step, self.images_seen)
                before = self.images_seen
                self.images_seen += len(batch["real"]) * accelerator.num_processes
                self.step += 1
                self.seconds += time.monotonic() - asked
                bar.update(self.images_seen - before)
                done = self.images_seen >= total
                if writer is not None and figures:
                    self._log(figures, writer, bar)
                if self._crossed(before, config.sheet_kimg) or done:
                    self._write_sheet()
                if config.validation_kimg and (self._crossed(before, config.validation_kimg) or done):
                    self._validate(writer)
                stopped = self._any_process(stop.requested)
                if time.monotonic() - last_save > config.checkpoint_seconds:
                    self.save()
                    last_save = time.monotonic()
            self.save()
        finally:
            stop.close()
            bar.close()
            if writer is not None:
                writer.close()
        if stopped:
            raise KeyboardInterrupt
        if main:
            tqdm.write(self.busy_words())
        return self._best_generator() if best else self.average

    def busy_words(self) -> str:
        """Say what share of the time went to the networks, and what to do if it is low."""
        busy = 1 - self.waited / max(self.seconds, 1e-9)
        advice = "" if busy >= BUSY_GOAL else "; raise --workers, or put the images on a faster disk"
        return f"{busy:.0%} of the training's time was spent in the networks, {1 - busy:.0%} waiting for data{advice}"

    def _crossed(self, before: int, kimg: float) -> bool:
        interval = max(1, round(kimg * 1000))
        return self.images_seen // interval > before // interval

    def _any_process(self, flag: bool) -> bool:
        """Whether the flag is up in any process, so that all stop after the same step."""
        if self.accelerator.num_processes == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor(float(flag), device=self.accelerator.device), "sum") > 0)

    def _validate(self, writer: SummaryWriter | None) -> None:
        """Measure the averaged generator, and keep it if none before was better by more than chance.

        A few groups tell small differences in KID apart no more than a coin does; of generators that are level the last
        has learned longest, and at the lowest rate.
        """
        if self.validate is None or writer is None:
            return
        figures = self.validate(self.average)
        flat = {f"validation_{key}": figures[key] for key in ("kid", "diversity", "contrast_reached", "coverage")}
        self._record(flat, writer)
        covered = figures["coverage"], figures["coverage_real"]
        self._say(self.health.validation(figures["diversity"], *covered, self.images_seen))
        best = self.best or figures
        lowest = min(figures["kid"], best.get("lowest_kid", best["kid"]))
        if self.best is None or figures["kid"] <= lowest + LEVEL * abs(lowest):
            self.best = {**figures, "images": self.images_seen}
            write_checkpoint(self.out / BEST, self.average.state_dict())
        self.best["lowest_kid"] = lowest

    def _best_generator(self) -> DefectGenerator:
        if self.best is not None and self.accelerator.is_main_process:
            path = self.out / BEST
            self.average.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return self.average

    def _log(self, figures: dict[str, float], writer: SummaryWriter, bar: Any) -> None:
        """Append to `stats.jsonl` and TensorBoard, show the key figures beside the bar, and complain if need be."""
        figures["data_wait"] = self.waited / max(self.seconds, 1e-9)
        self._record(figures, writer)
        spread = f" spread {figures['latent_spread']:.3f}" if "latent_spread" in figures else ""
        bar.set_postfix_str(f"D {figures['loss_d']:.2f} acc {figures['d_accuracy']:.2f}{spread}")
        self._say(self.health.step(figures, self.images_seen))

    def _record(self, figures: dict[str, float], writer: SummaryWriter) -> None:
        for key, value in figures.items():
            writer.add_scalar(key, value, self.images_seen)
        with (self.out / STATS).open("a") as file:
            file.write(json.dumps({"step": self.step, "images": self.images_seen, **figures}) + "\n")

    def _say(self, complaints: list[str]) -> None:
        for text in complaints:
            self.complaints.append(f"at {self.images_seen / 1000:.1f} kimg: {text}")
            tqdm.write(self.complaints[-1])

    def _write_sheet(self) -> None:
        if self.accelerator.is_main_process and self.fixed:
            write_sheet(self.out / "sheets" / f"{self.images_seen:08d}.png", self.average, self.fixed)


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name, make sure that it is on the disk, and rename it.

    Raises:
        TrainingError: if it cannot be written, for want of space say; the one before stays.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as err:
        partial.unlink(missing_ok=True)
        raise TrainingError(
            f"{path}: the checkpoint cannot be written ({err.strerror}); the one before is whole. Free "
            f"{buffer.getbuffer().nbytes / 1e6:.0f} MB, and --resume"
        ) from err


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Return the Accelerator of this process, in the config's precision."""
    return Accelerator(mixed_precision=resolve_precision(config.precision))


def resolve_precision(precision: str) -> str:
    """Return "bf16" or "no"; "auto" takes bf16 where it is faster.

    On a CPU that is one with AMX tiles: with AVX-512's bf16 instructions alone a step took 1.3 times as long.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # torch 2.5 and newer say it
    return "bf16" if has_tiles() else "no"
