"""`python -m training.gan.dcgan`: train the decoder-only GAN; `extend-bank` adds its shapes to a weights folder."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from albu_gan.data import DataError, add_data_arguments, dataset_from_arguments
from training.atomic import write_json
from training.datasets import split_by_group
from training.datasets.split_file import read_split
from training.gan.config import with_overrides
from training.gan.dcgan.config import PRESETS, DCGANConfig
from training.gan.dcgan.data import PairBatches, ShapeBatches, cut_shapes
from training.gan.dcgan.extend import extend_bank
from training.gan.dcgan.folder import recorded_sizes, write_dcgan
from training.gan.dcgan.loop import CHECKPOINT, DCGANTrainer
from training.gan.dcgan.sample import SamplingError
from training.gan.dcgan.sheet import collect
from training.gan.step import TrainingError
from training.provenance import current_commit, hardware
from training.windows import cut_defects

EXTEND = "extend-bank"


def build_parser() -> argparse.ArgumentParser:
    """Flags for the data and the run, and one for each field of `DCGANConfig`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.gan.dcgan",
        description="Train a decoder that makes images with their masks, or shapes alone (--masks-only).",
        epilog=f"python -m training.gan.dcgan {EXTEND} --help: add learned shapes to the mask bank of a weights folder",
    )
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--split", type=Path, help="JSON of `python -m training.datasets split`; default: made anew")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    for field in dataclasses.fields(DCGANConfig):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true", default=None)
        else:
            parser.add_argument(flag, type=type(field.default), default=None)
    return parser


def build_extend_parser() -> argparse.ArgumentParser:
    """Flags of `extend-bank`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m training.gan.dcgan {EXTEND}",
        description="Write a copy of a weights folder whose mask bank has learned shapes beside the real ones.",
    )
    parser.add_argument("--weights", required=True, help="bundled name, folder or Hub repository")
    parser.add_argument("--dcgan", type=Path, required=True, help="RUN/dcgan of a run with --masks-only")
    parser.add_argument("--out", type=Path, required=True, help="the new weights folder")
    parser.add_argument("-n", "--per-class", type=int, required=True, help="shapes each class gets more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--borders", action="store_true", help="also shapes cut off by the border of their image")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    extending = words[:1] == [EXTEND]
    arguments = build_extend_parser().parse_args(words[1:]) if extending else build_parser().parse_args(words)
    try:
        if extending:
            extend_bank(
                arguments.weights,
                arguments.dcgan,
                arguments.out,
                arguments.per_class,
                arguments.seed,
                arguments.borders,
            )
            print(arguments.out)
        else:
            overrides = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(DCGANConfig)}
            train(arguments, with_overrides(PRESETS[arguments.preset], overrides))
    except (DataError, TrainingError, SamplingError, FileExistsError, ValueError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        saved = not extending and (arguments.out / CHECKPOINT).exists()
        remedy = f"go on with --resume --out {arguments.out}" if saved else "nothing was made yet; start again"
        print(f"interrupted; {remedy}", file=sys.stderr)
        return 130
    return 0


def train(arguments: argparse.Namespace, config: DCGANConfig) -> None:
    """Read the data, train, export."""
    out, seed = arguments.out, config.seed
    dataset = dataset_from_arguments(arguments)
    names = dataset.class_names
    if arguments.split is not None:
        split = read_split(arguments.split, dataset.records)
    else:
        fractions = (config.train_fraction, config.split_seed, config.validation_fraction)
        split = split_by_group(dataset.records, names, *fractions)
    trainer = DCGANTrainer(config, len(names), dataset.channels, out)
    if arguments.resume:
        trainer.resume()
    elif (out / CHECKPOINT).exists():
        raise TrainingError(f"{out} holds a run already; go on with --resume, or choose another --out")
    records = split.select(dataset.records, "train")
    length = -(-int(config.total_kimg * 1000) // config.batch_size)
    sizes: dict[str, list[list[int]]] = {}
    if config.masks_only:
        shapes = cut_shapes(dataset, records)
        sizes = recorded_sizes([shape for _, shape in shapes], names)
        batches = ShapeBatches(shapes, names, config.image_size, config.batch_size, seed, length)
        fixed = collect(ShapeBatches(shapes, names, config.image_size, 16, seed + 1, length), len(names))
    else:
        windows = cut_defects(dataset, records, ((config.image_size, config.image_size),))
        batches = PairBatches(windows, names, config.batch_size, seed, length)
        fixed = collect(PairBatches(windows, names, 16, seed + 1, length), len(names))
    out.mkdir(parents=True, exist_ok=True)
    described = {"data": str(arguments.data), "format": arguments.format, "split": dataclasses.asdict(split)}
    write_json(out / "config.json", {**config.to_dict(), **described})
    generator = trainer.run(batches, fixed, arguments.workers)
    provenance = {
        "data": type(dataset).__name__,
        "source": dataset.source,
        "licence": dataset.licence,
        "train_groups": list(split.train),
        "validation_groups": list(split.validation),
        "held_out_groups": list(split.held_out),
        "images_seen": trainer.images_seen,
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "config": config.to_dict(),
        "commit": current_commit(),
        "torch": torch.__version__,
        "hardware": hardware(),
    }
    write_dcgan(out / "dcgan", generator, names, sizes, provenance)
    print(out / "dcgan")


if __name__ == "__main__":
    sys.exit(main())
