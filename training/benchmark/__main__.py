"""`python -m training.benchmark`: does painting help a segmentation network?"""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from pathlib import Path

from albu_gan.weights_folder import WeightsError
from training.benchmark.folds import Fold, make_folds
from training.benchmark.painters import PainterSource, painter_for
from training.datasets import DataError, DefectDataset, add_data_arguments, dataset_from_arguments


def add_fold_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which groups are on which side, and where the painters are."""
    group = parser.add_argument_group("folds")
    group.add_argument("--folds", type=int, default=3, help="how many")
    group.add_argument("--only-folds", type=int, nargs="+", help="some of them, from 0: a part of the grid")
    group.add_argument("--fractions", type=float, nargs="+", default=[0.25], help="of the training groups of a fold")
    group.add_argument("--fold-seed", type=int, default=0)
    group.add_argument("--validation-fraction", type=float, default=0.15, help="of all groups of each class")
    group = parser.add_argument_group("painters, one trained for each fold and fraction")
    group.add_argument("--painters", type=Path, help="folder that keeps them; default: painters in --out")
    group.add_argument("--painter-preset", default="cpu", help="of python -m training.gan")
    group.add_argument("--painter-kimg", type=float, help="length of the training; default: the preset's")
    group.add_argument("--painter-flags", default="", help='more flags of python -m training.gan, in one "string"')


def build_painters_parser() -> argparse.ArgumentParser:
    """Flags of `painters`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark painters", description="Train the painters that are missing, and no more."
    )
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the benchmark")
    add_fold_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            if words[:1] == ["painters"]:
                train_painters(build_painters_parser().parse_args(words[1:]))
    except (DataError, WeightsError, ValueError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def train_painters(arguments: argparse.Namespace) -> None:
    """Train what is missing, fold by fold."""
    dataset = dataset_from_arguments(arguments)
    source = painter_source(arguments)
    for fraction in arguments.fractions:
        for fold in chosen_folds(arguments, dataset, fraction):
            print(painter_for(fold, dataset, source).path, flush=True)


def chosen_folds(arguments: argparse.Namespace, dataset: DefectDataset, fraction: float) -> list[Fold]:
    """Return the folds asked for at one fraction.

    Raises:
        DataError: if there are too few groups, or no such fold.
    """
    folds = make_folds(
        dataset.records,
        dataset.class_names,
        arguments.folds,
        fraction,
        arguments.fold_seed,
        arguments.validation_fraction,
    )
    numbers = range(len(folds)) if arguments.only_folds is None else arguments.only_folds
    unknown = [number for number in numbers if not 0 <= number < len(folds)]
    if unknown:
        raise DataError(f"--only-folds {unknown[0]}: the folds are 0 to {len(folds) - 1}")
    return [folds[number] for number in numbers]


def painter_source(arguments: argparse.Namespace) -> PainterSource:
    """Return where painters come from, with the flags that open the same data."""
    data = ["--data", str(arguments.data), "--format", arguments.format]
    for flag in ("groups", "group_pattern", "channels", "source", "licence"):
        if getattr(arguments, flag) is not None:
            data += [f"--{flag.replace('_', '-')}", str(getattr(arguments, flag))]
    data += ["--skip-bad"] if arguments.skip_bad else []
    return PainterSource(
        arguments.painters or arguments.out / "painters",
        tuple(data),
        arguments.painter_preset,
        arguments.painter_kimg,
        tuple(shlex.split(arguments.painter_flags)),
        getattr(arguments, "weights", None),
    )


if __name__ == "__main__":
    sys.exit(main())
