"""`albu-gan generate`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from albu_gan.arguments import MASK_SOURCES
from albu_gan.data import MAX_MEGAPIXELS
from albu_gan.generate.run import generate
from albu_gan.generate.settings import EXTENSIONS, GenerateError, GenerateSettings
from albu_gan.generate.share import Share
from albu_gan.painting.backends import BACKENDS


def add_generate(commands: Any) -> None:
    """Add the command to those of `albu-gan`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="make a data set: N synthetic images with masks, COCO annotations and a manifest",
        description="Sample i depends on the seed and on i alone: the result is the same whatever --workers. An "
        "interrupted command goes on where it stopped when it is run again. Under `accelerate launch` or torchrun each "
        "process makes its share (RANK and WORLD_SIZE).",
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of clean images, subfolders included")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("-n", type=int, required=True, help="number of samples")
    parser.add_argument("--weights", default=GenerateSettings.weights, help="bundled name, folder or Hub repository")
    parser.add_argument("--workers", type=int, default=1, help="processes that paint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", nargs="+", help="names of the classes to paint; default: all")
    parser.add_argument("--defects-range", type=int, nargs=2, default=(1, 2), metavar=("MIN", "MAX"))
    parser.add_argument(
        "--class-sampling",
        nargs="+",
        default=["balanced"],
        help="balanced, dataset (as often as in the bank), or CLASS=WEIGHT for each class",
    )
    parser.add_argument("--mask-source", choices=MASK_SOURCES, default="bank")
    add_variation(parser)
    parser.add_argument("--min-contrast", type=float, default=8.0, help="levels of 255; a fainter defect is drawn anew")
    parser.add_argument("--regions", type=Path, help="folder of PNG masks named like the images: where defects may go")
    parser.add_argument("--ext", choices=EXTENSIONS, default="png", help="of the images; jpg changes every pixel")
    parser.add_argument("--max-megapixels", type=float, default=MAX_MEGAPIXELS, help="a larger image is an error")
    parser.add_argument("--skip-bad", action="store_true", help="read all images first; leave out, and list, bad ones")
    parser.add_argument("--device", default="cpu")
    add_backend(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a data set that has other settings")
    parser.set_defaults(run=run_generate)


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says what paints."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="torch",
        help="what paints: torch, or ONNX Runtime, which is faster on a CPU",
    )


def add_variation(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says how far defects are varied."""
    parser.add_argument(
        "--variation",
        type=float,
        default=0.5,
        help="0: real defects, relit; 1: warped, of other contrast, partly invented (of weights without a generator)",
    )


def run_generate(arguments: argparse.Namespace) -> None:
    """Make the data set of the flags and print its folder last."""
    settings = GenerateSettings(
        images=arguments.images,
        out=arguments.out,
        count=arguments.n,
        weights=arguments.weights,
        seed=arguments.seed,
        classes=None if arguments.classes is None else tuple(arguments.classes),
        defects_range=tuple(arguments.defects_range),
        class_sampling=_class_sampling(arguments.class_sampling),
        mask_source=arguments.mask_source,
        variation=arguments.variation,
        min_contrast=arguments.min_contrast,
        regions=arguments.regions,
        ext=arguments.ext,
        max_megapixels=arguments.max_megapixels,
        skip_bad=arguments.skip_bad,
        device=arguments.device,
        backend=arguments.backend,
    )
    share = Share.from_environment()
    first_here = os.environ.get("LOCAL_RANK", "0") == "0"
    try:
        complete = generate(
            settings, workers=arguments.workers, overwrite=arguments.overwrite, share=share, progress=first_here
        )
    except KeyboardInterrupt:
        print("what is finished is kept: the same command goes on where it stopped", file=sys.stderr)
        raise
    except MemoryError as err:
        raise GenerateError("out of memory; take fewer --workers, or cut the images into tiles") from err
    if not complete:
        print(
            f"share {share.rank + 1} of {share.world_size} is done; the last one to end writes the manifest and the "
            "annotations. If the shares lie in several folders, copy them into one and run the command there once "
            "more, without launching several",
            file=sys.stderr,
        )
    print(arguments.out.resolve())


def _class_sampling(words: list[str]) -> str | dict[str, float]:
    """Read `balanced`, `dataset` or `CLASS=WEIGHT ...`."""
    if words in (["balanced"], ["dataset"]):
        return words[0]
    weights = {}
    for word in words:
        name, _, weight = word.rpartition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            name = ""
        if not name:
            raise GenerateError(f"--class-sampling must be balanced, dataset or CLASS=WEIGHT ..., got {word!r}")
    return weights
