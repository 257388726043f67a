"""`python -m training.study`: train generators, losses and terms with one small budget, and write their tables."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from albu_gan.data import DataError, add_data_arguments, dataset_from_arguments
from albu_gan.hub import WeightsError
from albu_gan.painting import window_shapes
from training.datasets import split_by_group
from training.evaluation.features import DefectFeatures, train_features
from training.gan.config import TrainConfig
from training.study.report import TABLES, budget_folder, write_report
from training.study.runs import DECODER, Measure, describe_run, run_setting, write_result
from training.study.settings import BASE, COMMON, SETTINGS
from training.study.sheets import compare, decoder_sheet, latent_sheet
from training.study.speed import measure_speed
from training.windows import WindowBatches, cut_defects, load_backgrounds

DOCS, PICTURES = Path("docs/models"), Path("docs/images")


def build_parser() -> argparse.ArgumentParser:
    """Flags of the three commands."""
    parser = argparse.ArgumentParser(prog="python -m training.study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train and measure; what is done is skipped")
    add_data_arguments(run)
    run.add_argument("--out", type=Path, required=True, help="folder for the runs")
    run.add_argument("--results", type=Path, default=DOCS, help="folder for a folder a budget, of one JSON a setting")
    run.add_argument("--only", nargs="+", choices=sorted(SETTINGS), help="some of the settings")
    run.add_argument("--kimg", type=float, default=25.0, help="length of each training; default %(default)g")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--feature-steps", type=int, default=400, help="of the network whose features KID uses")
    speed = commands.add_parser("speed", help="time every generator in one process, in turns")
    speed.add_argument("--results", type=Path, default=DOCS)
    speed.add_argument("--rounds", type=int, default=7)
    sheets = commands.add_parser("sheets", help="paint the sample images by every run: one picture a table")
    sheets.add_argument("--out", type=Path, required=True, help="folder of the runs")
    sheets.add_argument("--pictures", type=Path, default=PICTURES)
    latents = commands.add_parser("latents", help="paint latent walks and latent arithmetic")
    latents.add_argument("--weights", default="magnetic-tile-v1")
    latents.add_argument("--pictures", type=Path, default=PICTURES)
    report = commands.add_parser("report", help="write the tables of the page from the JSON")
    report.add_argument("--results", type=Path, default=DOCS)
    report.add_argument("--page", type=Path, default=Path("docs/models.md"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        if arguments.command == "run":
            run(arguments)
        elif arguments.command == "speed":
            measure_speed(arguments.results / "speed.json", arguments.rounds)
        elif arguments.command == "sheets":
            write_sheets(arguments.out, arguments.pictures)
        elif arguments.command == "latents":
            latent_sheet(arguments.weights, arguments.pictures / "latents.jpg")
        else:
            write_report(arguments.results, arguments.page)
    except (DataError, WeightsError, ValueError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as err:
        print(f"error: a training failed with status {err.returncode}; see above", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Train and measure every setting that has no JSON yet."""
    results = budget_folder(arguments.results, arguments.kimg)
    missing = [name for name in arguments.only or SETTINGS if not (results / f"{name}.json").is_file()]
    if not missing:
        print("every setting is done")
        return
    dataset = dataset_from_arguments(arguments)
    default = TrainConfig()
    fractions = (default.train_fraction, default.split_seed, default.validation_fraction)
    split = split_by_group(dataset.records, dataset.class_names, *fractions)
    path = arguments.out / "features.safetensors"
    if path.is_file():
        features = DefectFeatures.load(path, dataset.channels)
    else:
        records = split.select(dataset.records, "train")
        shapes = window_shapes(COMMON["window_sizes"], COMMON["long_windows"])
        windows = (cut_defects(dataset, records, shapes), load_backgrounds(dataset, records))
        steps = arguments.feature_steps
        batches = WindowBatches(*windows, 8, 0.0, 0, steps)
        features = train_features(batches, dataset.channels, len(dataset.class_names), steps, 0)
        features.save(path)
    measure = Measure(dataset, split, features)
    data = ["--data", str(arguments.data), "--format", arguments.format]
    for flag in ("groups", "group_pattern", "channels"):
        if getattr(arguments, flag) is not None:
            data += [f"--{flag.replace('_', '-')}", str(getattr(arguments, flag))]
    for name in missing:
        folder = run_setting(name, data, arguments.out, arguments.kimg, arguments.seed)
        result = describe_run(name, folder, measure(folder), arguments.kimg, arguments.seed)
        write_result(results, result)
        print(name, {key: round(value, 3) for key, value in result["means"].items()}, flush=True)


def write_sheets(out: Path, pictures: Path) -> None:
    """Write one picture a table, of the settings whose runs are finished."""
    for which in TABLES:
        names = [name for name, setting in SETTINGS.items() if name == BASE or setting.table == which]
        runs = [(name, out / name / "weights") for name in names if (out / name / "weights").is_dir()]
        if runs:
            compare(runs, pictures / f"models-{which}.jpg")
            print(pictures / f"models-{which}.jpg")
    for name, setting in SETTINGS.items():
        if setting.decoder_only and (out / name / DECODER).is_dir():
            decoder_sheet(out / name / DECODER, pictures / f"models-{name}.jpg")
            print(pictures / f"models-{name}.jpg")


if __name__ == "__main__":
    sys.exit(main())
