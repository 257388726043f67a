"""`python -m training.gan`: train a painter on your own defects."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from training.card import write_text
from training.datasets import FORMATS, DataError, DefectDataset, Split, open_dataset, split_by_group
from training.gan.config import PRESETS, TrainConfig, with_overrides
from training.gan.export import export_weights
from training.gan.loop import CHECKPOINT, GANTrainer, TrainingError
from training.windows import WindowBatches, cut_defects, load_backgrounds


def build_parser() -> argparse.ArgumentParser:
    """Flags for the data and the run, and one for each field of `TrainConfig`."""
    parser = argparse.ArgumentParser(prog="python -m training.gan", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--format", choices=FORMATS, required=True, help="layout of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--group-pattern", help="labelme: regular expression for the group in a file's name")
    parser.add_argument("--source", help="labelme: where the data comes from, for the model card")
    parser.add_argument("--licence", help="labelme: of the data, for the model card")
    parser.add_argument("--weights-licence", default="other", help="licence of the weights, as the Hub names it")
    parser.add_argument("--limit", action="append", help="a limit that the model card should state; may be repeated")
    parser.add_argument("--name", help="of the weights, for the model card; default: the name of --out")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    for field in dataclasses.fields(TrainConfig):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, tuple):
            parser.add_argument(flag, type=int, nargs="+", default=None)
        else:
            parser.add_argument(flag, type=type(field.default), default=None)
    return parser


def with_provenance(dataset: DefectDataset, source: str | None, licence: str | None) -> DefectDataset:
    """Take over what the user says about where the data comes from."""
    dataset.source = source or dataset.source
    dataset.licence = licence or dataset.licence
    return dataset


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    overrides = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(TrainConfig)}
    try:
        config = with_overrides(PRESETS[arguments.preset], overrides)
        train(arguments, config)
    except (DataError, TrainingError, ValueError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        saved = (arguments.out / CHECKPOINT).exists()
        remedy = f"go on with --resume --out {arguments.out}" if saved else "nothing was trained yet; start again"
        print(f"interrupted; {remedy}", file=sys.stderr)
        return 130
    return 0


def train(arguments: argparse.Namespace, config: TrainConfig) -> None:
    """Read the data, train, export."""
    dataset = open_dataset(arguments.format, arguments.data, arguments.group_pattern)
    with_provenance(dataset, arguments.source, arguments.licence)
    split = split_by_group(dataset.records, dataset.class_names, config.train_fraction, config.split_seed)
    trainer = GANTrainer(
        config, dataset.class_names, dataset.channels, arguments.out, fixed_samples(dataset, split, config)
    )
    if arguments.resume:
        trainer.resume()
    elif (arguments.out / CHECKPOINT).exists():
        raise TrainingError(f"{arguments.out} holds a run already; go on with --resume, or choose another --out")
    if trainer.accelerator.is_main_process:
        arguments.out.mkdir(parents=True, exist_ok=True)
        described = {"data": str(arguments.data), "format": arguments.format, "split": dataclasses.asdict(split)}
        write_text(arguments.out / "config.json", json.dumps({**config.to_dict(), **described}, indent=1))
    training_records = split.select(dataset.records, "train")
    defects = cut_defects(dataset, training_records, config.window_sizes)
    batches = WindowBatches(
        defects,
        load_backgrounds(dataset, training_records),
        config.batch_size,
        config.window_sizes,
        config.paired_fraction,
        config.seed,
        length=int(config.total_kimg * 1000),
        rank=trainer.accelerator.process_index,
    )
    generator = trainer.run(batches, arguments.workers)
    if trainer.accelerator.is_main_process:
        weights = arguments.out / "weights"
        provenance = {
            "name": arguments.name or arguments.out.resolve().name,
            "weights_licence": arguments.weights_licence,
            "limits": arguments.limit or [],
            "images_seen": trainer.images_seen,
            "steps": trainer.step,
            "minutes": round(trainer.seconds / 60, 1),
        }
        export_weights(weights, generator, dataset, split, config, provenance)
        print(weights)


def fixed_samples(dataset: DefectDataset, split: Split, config: TrainConfig) -> list[dict[str, np.ndarray]]:
    """Held-out windows for the sample sheets: some of every size."""
    records = split.select(dataset.records, "held_out")
    defects = cut_defects(dataset, records, config.window_sizes)
    batches = WindowBatches(
        defects, load_backgrounds(dataset, records), 10, config.window_sizes, 0.0, seed=1, length=1000
    )
    by_size: dict[int, dict[str, np.ndarray]] = {}
    for step in range(len(batches)):
        batch = batches[step]
        by_size.setdefault(batch["real"].shape[1], {key: value[:10] for key, value in batch.items()})
        if len(by_size) == len(batches.sizes):
            break
    return [by_size[size] for size in sorted(by_size)]


if __name__ == "__main__":
    sys.exit(main())
