"""`python -m training.gan`: train a painter on your own defects."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from albu_gan.data import DataError, DefectDataset, add_data_arguments, dataset_from_arguments
from albu_gan.generators import DefectGenerator, build_generator, default_config
from albu_gan.hub import WeightsError, find_weights
from albu_gan.painting import WindowShape, window_shapes
from training.atomic import write_json
from training.datasets import Split, split_by_group
from training.datasets.split_file import read_split
from training.gan.config import CHOICES, PRESETS, TrainConfig, with_overrides
from training.gan.export import export_weights
from training.gan.initial import generator_from_weights
from training.gan.loop import CHECKPOINT, GANTrainer, make_accelerator
from training.gan.step import TrainingError
from training.gan.validation import build_validator
from training.windows import Backgrounds, DefectWindow, WindowBatches, cut_defects, load_backgrounds

CONFIG = "config.json"
SHEET_WINDOWS = 10  # of each size
#: What a resumed run may change without becoming another run.
FREE_ON_RESUME = {"total_kimg", "sheet_kimg", "checkpoint_seconds"}


def build_parser() -> argparse.ArgumentParser:
    """Flags for the data and the run, and one for each field of `TrainConfig`."""
    parser = argparse.ArgumentParser(prog="python -m training.gan", description=__doc__)
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument(
        "--export",
        choices=("best", "last"),
        default="best",
        help="generator to export: the best by KID on the validation groups, or the last; a finished run that is "
        "resumed is exported anew",
    )
    parser.add_argument("--init", metavar="WEIGHTS", help="start from trained weights: bundled name, folder or Hub")
    parser.add_argument("--split", type=Path, help="JSON of `python -m training.datasets split`; default: made anew")
    parser.add_argument("--features", type=Path, help="features.safetensors of a run on the same training groups")
    parser.add_argument("--weights-licence", default="other", help="licence of the weights, as the Hub names it")
    parser.add_argument("--limit", action="append", help="a limit that the model card should state; may be repeated")
    parser.add_argument("--name", help="of the weights, for the model card; default: the name of --out")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    group = parser.add_argument_group("settings, each over the preset's")
    for field in dataclasses.fields(TrainConfig):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, tuple):
            group.add_argument(flag, type=int, nargs="+", default=None)
        elif isinstance(field.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            choices = (*CHOICES["generator"], "dcgan") if field.name == "generator" else CHOICES.get(field.name)
            group.add_argument(flag, type=type(field.default), choices=choices, default=None)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    overrides = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(TrainConfig)}
    saved = arguments.out / CHECKPOINT
    try:
        config = with_overrides(PRESETS[arguments.preset], overrides)
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            train(arguments, config)
    except (DataError, TrainingError, WeightsError, ValueError) as err:
        return _failed(str(err))
    except KeyboardInterrupt:
        remedy = f"go on with --resume --out {arguments.out}" if saved.exists() else "nothing was trained yet"
        print(f"interrupted; {remedy}", file=sys.stderr)
        return 130
    except OSError as err:
        return _failed(f"{err.filename or arguments.out}: {err.strerror}; free or repair it, and go on with --resume")
    except (MemoryError, RuntimeError) as err:
        if not _is_out_of_memory(err):
            raise
        again = " and --resume" if saved.exists() else ""
        return _failed(
            f"out of memory with --batch-size {config.batch_size} and windows of {config.window_sizes[-1]}; give a "
            f"smaller --batch-size{again} ({str(err).splitlines()[0] if str(err) else 'no details'})"
        )
    return 0


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def _is_out_of_memory(err: BaseException) -> bool:
    text = str(err).lower()
    return isinstance(err, (MemoryError, torch.OutOfMemoryError)) or any(
        sign in text for sign in ("not enough memory", "out of memory", "allocate memory")
    )


def train(arguments: argparse.Namespace, config: TrainConfig) -> None:
    """Read the data, train, export."""
    accelerator = make_accelerator(config)
    if accelerator.num_processes == 1 and os.environ.get("MASTER_ADDR") and "WORLD_SIZE" not in os.environ:
        warnings.warn(
            "launched for several processes, but there is one process only: on CPUs `accelerate launch` starts one a "
            "call; call it once a process with WORLD_SIZE and RANK set, or use torchrun --nproc-per-node",
            stacklevel=2,
        )
    dataset = dataset_from_arguments(arguments)
    if arguments.split is not None:
        split = read_split(arguments.split, dataset.records)
    else:
        split = split_by_group(
            dataset.records, dataset.class_names, config.train_fraction, config.split_seed, config.validation_fraction
        )
    _check_run(arguments, config, split)
    generator = make_generator(arguments.init, dataset, config)
    shapes = window_shapes(config.window_sizes, config.long_windows, generator.size_multiple)
    sides = _sides(dataset, split, shapes)
    defects, backgrounds = sides["train"]
    if accelerator.is_main_process:
        arguments.out.mkdir(parents=True, exist_ok=True)
        described = {"data": str(arguments.data), "format": arguments.format, "init": arguments.init}
        settings = {**config.to_dict(), **described, "split": dataclasses.asdict(split)}
        write_json(arguments.out / CONFIG, settings)
    trainer = _make_trainer(arguments, config, dataset, sides, generator, accelerator)
    if arguments.resume:
        trainer.resume()
    batches = WindowBatches(
        defects,
        backgrounds,
        config.batch_size,
        config.paired_fraction,
        config.seed,
        length=max(1, round(config.total_kimg * 1000)),
        rank=accelerator.process_index,
    )
    generator = trainer.run(batches, arguments.workers, best=arguments.export == "best")
    if accelerator.is_main_process:
        provenance = {
            "name": arguments.name or arguments.out.resolve().name,
            "weights_licence": arguments.weights_licence,
            "limits": arguments.limit or [],
            "images_seen": trainer.images_seen,
            "steps": trainer.step,
            "minutes": round(trainer.seconds / 60, 1),
            "busy": round(1 - trainer.waited / max(trainer.seconds, 1e-9), 3),
            "processes": accelerator.num_processes,
            **({"init": arguments.init} if arguments.init else {}),
            **({"best": trainer.best} if trainer.best and arguments.export == "best" else {}),
            **({"complaints": trainer.complaints} if trainer.complaints else {}),
        }
        export_weights(arguments.out / "weights", generator, dataset, split, config, provenance)
        print(arguments.out / "weights")


def make_generator(init: str | None, dataset: DefectDataset, config: TrainConfig) -> DefectGenerator:
    """Build the generator: that of the weights to start from, or a fresh one of the config's architecture."""
    torch.manual_seed(config.seed)
    if init is not None:
        return generator_from_weights(find_weights(init), dataset.class_names, dataset.channels)
    widths: dict[str, Any] = {"channels": config.generator_channels} if config.generator_channels else {}
    return build_generator(
        default_config(
            config.generator,
            in_channels=dataset.channels,
            num_classes=len(dataset.class_names),
            latent_dim=config.latent_dim,
            fine_channels=config.fine_channels,
            **widths,
        )
    )


def _check_run(arguments: argparse.Namespace, config: TrainConfig, split: Split) -> None:
    """Refuse to start over a run, or to resume one with other settings or another split."""
    path = arguments.out / CONFIG
    if not arguments.resume:
        if (arguments.out / CHECKPOINT).exists():
            raise TrainingError(f"{arguments.out} holds a run already; go on with --resume, or choose another --out")
        return
    if not (arguments.out / CHECKPOINT).is_file() or not path.is_file():
        raise TrainingError(f"{arguments.out / CHECKPOINT}: no checkpoint to resume from; start without --resume")
    recorded = json.loads(path.read_text(encoding="utf-8"))
    wanted = {**config.to_dict(), "init": arguments.init, "split": json.loads(json.dumps(dataclasses.asdict(split)))}
    changed = sorted(k for k, v in wanted.items() if k not in FREE_ON_RESUME and recorded.get(k) != v)
    if changed:
        was = ", ".join(f"{k} was {recorded.get(k)!r}" for k in changed if k != "split")
        raise TrainingError(
            f"{path}: the run was started with other settings ({', '.join(changed)}{': ' + was if was else ''}); "
            "resume with the same flags and data, or choose another --out"
        )


def _sides(
    dataset: DefectDataset, split: Split, shapes: tuple[WindowShape, ...]
) -> dict[str, tuple[list[DefectWindow], Backgrounds]]:
    """Windows and clean images of each side that the training looks at; without validation groups there is one."""
    sides = {}
    for side in ("train", "validation"):
        records = split.select(dataset.records, side)
        if records:
            defects = cut_defects(dataset, records, shapes)
            if side == "train":
                sides[side] = (defects, load_backgrounds(dataset, records))
            elif defects:
                try:
                    backgrounds = load_backgrounds(dataset, records)
                except DataError:  # the defects of these groups cover too much to be filled in
                    backgrounds = sides["train"][1]
                sides[side] = (defects, backgrounds)
    if not sides["train"][0]:
        raise DataError("no defect to learn from: no record of the training groups has a labelled pixel")
    for index, name in enumerate(dataset.class_names):
        if not any(window.class_index == index for window in sides["train"][0]):
            warnings.warn(
                f"class {name!r} has no defect of six pixels or more in the training groups; it will not be learned",
                stacklevel=2,
            )
    return sides


def _make_trainer(
    arguments: argparse.Namespace,
    config: TrainConfig,
    dataset: DefectDataset,
    sides: dict[str, tuple[list[DefectWindow], Backgrounds]],
    generator: DefectGenerator,
    accelerator: Accelerator,
) -> GANTrainer:
    validate = None
    if config.validation_kimg and accelerator.is_main_process:
        if "validation" in sides:
            validate = build_validator(
                config,
                *sides["train"],
                *sides["validation"],
                dataset.class_names,
                dataset.channels,
                arguments.out,
                arguments.features,
                accelerator.device,
            )
        else:
            warnings.warn("no validation groups: the last generator is exported, not the best one", stacklevel=2)
    fixed = fixed_samples(*sides.get("validation", sides["train"])) if accelerator.is_main_process else []
    return GANTrainer(config, generator, arguments.out, fixed, validate, accelerator)


def fixed_samples(defects: list[DefectWindow], backgrounds: Backgrounds) -> list[dict[str, np.ndarray]]:
    """Windows for the sample sheets: some of every shape, classes as evenly as they come."""
    batches = WindowBatches(defects, backgrounds, SHEET_WINDOWS, 0.0, seed=1, length=1000)
    each = max(2, -(-2 * SHEET_WINDOWS // len(batches.shapes)))
    by_shape: dict[WindowShape, dict[str, np.ndarray]] = {}
    for step in range(len(batches)):
        batch = batches[step]
        by_shape.setdefault(batch["real"].shape[1:3], {key: value[:each] for key, value in batch.items()})
        if len(by_shape) == len(batches.shapes):
            break
    return [by_shape[shape] for shape in batches.shapes if shape in by_shape]


if __name__ == "__main__":
    sys.exit(main())
