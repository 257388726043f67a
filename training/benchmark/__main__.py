"""`python -m training.benchmark`: does painting help a segmentation network?"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import warnings
from pathlib import Path

import torch

from albu_gan.data import DataError, DefectDataset, add_data_arguments, dataset_from_arguments
from albu_gan.hub import WeightsError
from training.benchmark.claims import claim
from training.benchmark.folds import Fold, make_folds
from training.benchmark.network import Segmenter
from training.benchmark.painters import PainterSource, check_source, find_dcgan, painter_for
from training.benchmark.pictures import write_pictures
from training.benchmark.report import RESAMPLES, write_report
from training.benchmark.runs import Machine, Run, carry_out, check_same, read_runs
from training.benchmark.settings import ARMS, GAN_ARMS, PRESETS, BenchmarkConfig, with_overrides
from training.benchmark.train import DivergedError


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


def build_report_parser() -> argparse.ArgumentParser:
    """Flags of `report`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark report", description="Make tables and plots from the JSON of the runs."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder with one JSON a run")
    parser.add_argument("--page", type=Path, required=True, help="Markdown page with the marks of the tables")
    parser.add_argument("--plots", type=Path, help="folder for the plots; default: images beside the page")
    parser.add_argument(
        "--settings", type=Path, help="folder with a folder of gan runs for each setting, and 'default'"
    )
    parser.add_argument(
        "--speed",
        type=Path,
        help="folder of runs that had the machine to themselves, for the table of speed",
    )
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="of the bootstrap")
    return parser


def build_pictures_parser() -> argparse.ArgumentParser:
    """Flags of `pictures`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark pictures",
        description="Show what each arm does to crops, and the predictions of the arms side by side.",
    )
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder with the runs")
    parser.add_argument("--pictures", type=Path, help="folder for the PNGs; default: --out")
    return parser


def build_parser() -> argparse.ArgumentParser:
    """Flags of the benchmark itself, and one for each field of `BenchmarkConfig`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark",
        description=__doc__,
        epilog="python -m training.benchmark painters|report|pictures --help: the other commands",
    )
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for one JSON a run; what is done is skipped")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["none", "copy-paste", "gan"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--weights", help="one painter for all folds: bundled name, folder or Hub repository")
    parser.add_argument("--dcgan", type=Path, help="RUN/dcgan for decoder-only, or a folder with one for each fold")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that make crops")
    parser.add_argument("--threads", type=int, default=1, help="of each process, for torch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_fold_arguments(parser)
    group = parser.add_argument_group("settings, each over the preset's")
    for field in dataclasses.fields(BenchmarkConfig):
        flag, kind = "--" + field.name.replace("_", "-"), type(field.default)
        if isinstance(field.default, tuple):
            group.add_argument(flag, type=type(field.default[0]), nargs="+", default=None)
        else:
            group.add_argument(flag, type=kind, default=None)
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
            elif words[:1] == ["report"]:
                arguments = build_report_parser().parse_args(words[1:])
                write_report(
                    *(getattr(arguments, name) for name in ("out", "page", "plots", "resamples", "settings", "speed"))
                )
            elif words[:1] == ["pictures"]:
                arguments = build_pictures_parser().parse_args(words[1:])
                write_pictures(dataset_from_arguments(arguments), arguments.out, arguments.pictures or arguments.out)
            else:
                run_grid(build_parser().parse_args(words))
    except (DataError, WeightsError, DivergedError, ValueError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def run_grid(arguments: argparse.Namespace) -> None:
    """Check everything that can be wrong, then carry out the runs that are missing."""
    overrides = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(BenchmarkConfig)}
    config = with_overrides(PRESETS[arguments.preset], overrides)
    if arguments.threads < 1 or arguments.workers < 0:
        raise ValueError(f"--threads must be at least 1 and --workers 0, got {arguments.threads}, {arguments.workers}")
    torch.set_num_threads(arguments.threads)
    dataset = dataset_from_arguments(arguments)
    Segmenter(config, dataset.channels, len(dataset.class_names))  # an encoder that smp does not know stops here
    source = painter_source(arguments)
    folds = [fold for fraction in arguments.fractions for fold in chosen_folds(arguments, dataset, fraction)]
    painted = not GAN_ARMS.isdisjoint(arguments.arms)
    for fold in folds if painted else ():
        check_source(fold, dataset, source)
    for fold in folds if "decoder-only" in arguments.arms else ():
        find_dcgan(arguments.dcgan, fold, dataset)
    arguments.out.mkdir(parents=True, exist_ok=True)
    done = read_runs(arguments.out)
    arms = list(dict.fromkeys(arguments.arms))
    grid = [Run(arm, fold, seed) for fold in folds for seed in dict.fromkeys(arguments.seeds) for arm in arms]
    for run in grid:
        if run.name in done:
            check_same(run, done[run.name], dataset, config, arguments.out / f"{run.name}.json")
    machine = Machine(torch.device(arguments.device), arguments.workers)
    for number, run in enumerate(grid, start=1):
        path = arguments.out / f"{run.name}.json"
        painter = painter_for(run.fold, dataset, source) if run.arm in GAN_ARMS and not path.is_file() else None
        with claim(path) as ours:
            if not ours or path.is_file():
                print(f"{number}/{len(grid)} {run.name}: {'done' if path.is_file() else 'in work elsewhere'}")
                continue
            dcgan = find_dcgan(arguments.dcgan, run.fold, dataset) if run.arm == "decoder-only" else None
            result = carry_out(run, dataset, config, painter, dcgan, machine, arguments.out)
        figures = {key: value for key, value in result["summary"].items() if isinstance(value, float)}
        shown = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
        print(f"{number}/{len(grid)} {run.name}: {shown}; {result['seconds']['all']:.0f} s", flush=True)


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
