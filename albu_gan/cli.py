"""`albu-gan demo | bank | look | inpaint | generate | info | app`."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from albu_gan.app.launch import add_arguments as add_app_arguments
from albu_gan.bank import add_bank
from albu_gan.data import MAX_MEGAPIXELS, check_header
from albu_gan.data import read_image as read_image_file
from albu_gan.defects import DefectInpainter
from albu_gan.generate.command import add_backend, add_generate, add_variation
from albu_gan.hub import DEFAULT_WEIGHTS, MODEL, WeightsFolder, bundled_names, find_weights, window_text
from albu_gan.look import add_look
from albu_gan.pictures import demo_sheet, read_image, write_picture, write_png
from albu_gan.transform import GANDefectInpaint


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        with _ending_when_terminated():
            arguments.run(arguments)
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough: `albu-gan info NAME | head -3`
        _drop_output()
        return 1
    except OSError as err:
        _drop_output()
        print(f"albu-gan: error: {explain(err)}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, ImportError) as err:
        print(f"albu-gan: error: {err}", file=sys.stderr)
        return 1
    except MemoryError:
        print("albu-gan: error: out of memory; give smaller images", file=sys.stderr)
        return 1
    except Terminated:
        print("albu-gan: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("albu-gan: interrupted", file=sys.stderr)
        return 130
    return 0


class Terminated(KeyboardInterrupt):
    """SIGTERM came, from `kill`, a container or a batch system: end as with Ctrl+C, with nothing left behind."""


@contextmanager
def _ending_when_terminated() -> Iterator[None]:
    """Raise `Terminated` inside the block when SIGTERM comes, unless someone else takes care of that signal."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def explain(err: OSError) -> str:
    """Say what the operating system did not do, and the remedy where there is one."""
    if err.strerror is None:
        return str(err)
    remedy = ""
    if err.errno == errno.ENOSPC:
        remedy = "; free some space, or write elsewhere"
    elif err.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "; write to a place that is yours"
    elif err.errno in (errno.ENOTDIR, errno.EEXIST):
        remedy = "; a file is where a folder is needed, give another --out"
    return f"{'output' if err.filename is None else err.filename}: {err.strerror}{remedy}"


def _drop_output() -> None:
    """Forget what could not be printed: Python would try, and fail, once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(prog="albu-gan", description="Paint convincing defects into images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="paint defects into the sample images and write a contact sheet")
    demo.add_argument("--weights", action="append", help="bundled name, folder or Hub repository; default: surfaces-v1")
    demo.add_argument("--images", type=Path, nargs="+", help="your own images instead of the samples")
    demo.add_argument("--out", type=Path, default=Path("albu-gan-demo.jpg"))
    demo.add_argument("--seed", type=int, default=0)
    add_max_megapixels(demo)
    demo.set_defaults(run=run_demo)

    inpaint = commands.add_parser("inpaint", help="paint defects into images; writes each image and its mask")
    inpaint.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    inpaint.add_argument("--out", type=Path, required=True, help="folder for images/STEM.png and masks/STEM.png")
    inpaint.add_argument("--weights", default=DEFAULT_WEIGHTS)
    inpaint.add_argument("--classes", nargs="+", help="names of the classes to paint; default: all")
    inpaint.add_argument("--defects", type=int, nargs=2, default=(1, 2), metavar=("MIN", "MAX"))
    inpaint.add_argument("--seed", type=int, default=0)
    add_max_megapixels(inpaint)
    add_variation(inpaint)
    add_backend(inpaint)
    inpaint.add_argument("--overwrite", action="store_true")
    inpaint.set_defaults(run=run_inpaint)

    add_bank(commands)
    add_look(commands)
    add_generate(commands)

    info = commands.add_parser("info", help="say what weights paint and where they come from")
    info.add_argument(
        "weights", nargs="?", help="bundled name, folder or Hub repository; default: list the bundled ones"
    )
    info.set_defaults(run=run_info)

    add_app_arguments(commands.add_parser("app", help="open a page in the browser: draw masks, paint, download"))
    return parser


def add_max_megapixels(parser: argparse.ArgumentParser) -> None:
    """Add the flag that bounds the images that are read."""
    parser.add_argument("--max-megapixels", type=float, default=MAX_MEGAPIXELS, help="a larger image is an error")


def check_seed(seed: int) -> None:
    """Raise unless a seed can be one."""
    if seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {seed}")


def run_demo(arguments: argparse.Namespace) -> None:
    """Write the contact sheet and print its path."""
    check_seed(arguments.seed)
    names = arguments.weights or [DEFAULT_WEIGHTS]
    images = [read_image(path, arguments.max_megapixels) for path in arguments.images or ()] or None
    painters = [DefectInpainter.from_pretrained(name) for name in names]
    write_picture(arguments.out, demo_sheet(painters, images, arguments.seed))
    print(arguments.out.resolve())


def run_inpaint(arguments: argparse.Namespace) -> None:
    """Paint every image; the mask holds class index + 1."""
    check_seed(arguments.seed)
    transform = GANDefectInpaint(
        weights=arguments.weights,
        classes=arguments.classes,
        defects_range=tuple(arguments.defects),
        variation=arguments.variation,
        backend=arguments.backend,
        p=1.0,
    )
    for path in arguments.images:
        check_header(path, arguments.max_megapixels)
    stems = [path.stem for path in arguments.images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(f"several images are called {twice[0]!r}; their outputs would overwrite each other")
    targets = [(arguments.out / "images" / f"{s}.png", arguments.out / "masks" / f"{s}.png") for s in stems]
    existing = [path for pair in targets for path in pair if path.exists()]
    if existing and not arguments.overwrite:
        raise ValueError(f"{existing[0]} exists; choose another --out, or pass --overwrite")
    for index, (path, (image_out, mask_out)) in enumerate(
        zip(tqdm(arguments.images, unit="image"), targets, strict=True)
    ):
        image = read_image_file(path)
        transform.set_random_seed(arguments.seed + index)
        result = transform(image=image, mask=np.zeros(image.shape[:2], np.uint8))
        write_png(mask_out, result["mask"])
        write_png(image_out, result["image"])
    print(arguments.out.resolve())


def run_info(arguments: argparse.Namespace) -> None:
    """Print what `config.json` says."""
    if arguments.weights is None:
        for name in bundled_names():
            print(f"{name}: {', '.join(find_weights(name).config.class_names)}")
        return
    print(describe(find_weights(arguments.weights)))


PAINTS = {
    "generator": "the generator, in shapes of the bank",
    "exemplars": "the real defects of the bank, relit and varied; no network",
    "nothing": "nothing: the bank holds shapes alone, and there is no generator",
}


def describe(folder: WeightsFolder) -> str:
    """Return a few lines about weights."""
    config, training = folder.config, folder.config.training
    bank = DefectInpainter(folder).bank if config.bank else None
    drawn = range(len(config.class_names)) if folder.paints == "exemplars" else ()  # a generator draws no compounds
    counts = [0] * len(config.class_names) if bank is None else bank.counts(drawn)
    lines = [
        f"name: {folder.name}",
        f"folder: {folder.path}",
        f"classes: {', '.join(f'{n} ({c} shapes)' for n, c in zip(config.class_names, counts, strict=True))}",
        f"paints: {PAINTS[folder.paints]}",
        f"data: {training.get('source', 'not recorded')}",
        f"licence of the data: {training.get('licence', 'not recorded')}",
        f"held-out groups: {_listed(training.get('held_out_groups'))}",
    ]
    if config.generator is not None:
        lines[4:4] = [
            f"images: {'gray' if config.generator.in_channels == 1 else 'RGB'}",
            f"windows: {window_text(config)}",
            f"architecture: {config.generator.architecture}, {(folder.path / MODEL).stat().st_size / 1e6:.1f} MB",
            f"training: {training.get('steps', '?')} steps, {training.get('minutes', '?')} minutes",
        ]
    if bank is not None and bank.compounds and drawn:
        lines.append(
            f"compounds: {len(bank.compounds)}, touching labels of several classes that are painted as one; each is "
            "counted for every class that it holds"
        )
    if bank is not None and bank.has_appearances:
        lines += [
            f"{name}: relit by {formula.ratio:.0%} ratio, {formula.difference:.0%} difference, "
            f"{formula.pixels:.0%} pixels"
            for name, formula, count in zip(config.class_names, bank.formulas, counts, strict=True)
            if count
        ]
    measured = config.metrics.get("classes")
    for name, values in measured.items() if isinstance(measured, dict) else ():
        lines.append(
            f"{name}: contrast reached in {_figure(values, 'contrast_reached', '.0%')} of draws, "
            f"diversity {_figure(values, 'diversity', '.2f')}, KID {_figure(values, 'kid_painted', '.3f')} "
            f"(copy-paste {_figure(values, 'kid_copy_paste', '.3f')})"
        )
    return "\n".join(line if line.isprintable() else ascii(line) for line in lines)  # a terminal obeys the others


def _listed(names: object) -> str:
    """Join names from a config, which may hold anything there."""
    return ", ".join(str(name) for name in names) if isinstance(names, list) and names else "not recorded"


def _figure(values: object, key: str, form: str) -> str:
    """Format a figure from a config, which may hold anything there."""
    value = values.get(key) if isinstance(values, dict) else None
    return format(value, form) if isinstance(value, (int, float)) else "not recorded"


if __name__ == "__main__":
    sys.exit(main())
