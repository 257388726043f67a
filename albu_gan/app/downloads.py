"""The files that are downloaded: images, masks, and the program that paints the same again."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albu_gan.app.own import OwnExemplar
from albu_gan.app.scene import Painted, Scene, Step
from albu_gan.app.snippet import Call, OwnFiles, SampledCall, python_snippet
from albu_gan.defects import DefectInpainter
from albu_gan.hub import bundled_names
from albu_gan.pictures import write_png


@dataclass(frozen=True)
class Files:
    """What is downloaded: paths, and the snippet's text.

    Attributes:
        image: the painted image.
        mask: class index + 1.
        clean: the image as loaded.
        steps: the number of the step that painted a pixel; None where the classes say it already.
        snippet: the program.
        archive: all of these, and what else the program reads.
        text: of the program.
    """

    image: Path
    mask: Path
    clean: Path
    steps: Path | None
    snippet: Path
    archive: Path
    text: str


def write_files(scene: Scene, painted: Painted, painter: DefectInpainter, folder: Path) -> Files:
    """Write image, mask, clean image and snippet; the map of steps where a class was painted in more than one.

    Defects of the person's own, which the snippet reads too, are in the archive alone.

    Args:
        scene: what was painted.
        painted: what came of it.
        painter: that painted it.
        folder: of this image alone; files of an earlier painting are replaced.
    """
    steps = scene.steps()
    paths = {kind: folder / f"{scene.stem}-{kind}.png" for kind in ("painted", "mask", "clean", "steps")}
    for kind, pixels in (("painted", painted.image), ("mask", painted.mask)):
        write_png(paths[kind], pixels)
    if not paths["clean"].exists():  # the folder is this image's, and this file never changes
        write_png(paths["clean"], scene.clean)
    classes = [step.class_index for step in steps]
    by_step = len(set(classes)) < len(classes)
    if by_step:
        write_png(paths["steps"], _step_map(steps, scene.size_hw))
    owns = list({id(s.setting.own): s.setting.own for s in steps if s.setting.own is not None}.values())
    own_files = [_write_own(own, folder, f"{scene.stem}-exemplar-{number}") for number, own in enumerate(owns, 1)]
    text = python_snippet(
        [
            _call(step, index + 1 if by_step else step.class_index + 1, painter, owns)
            for index, step in enumerate(steps)
        ],
        weights_name(painter),
        paths["clean"].name,
        paths["steps" if by_step else "mask"].name,
        scene.clean.ndim == 2,
        f"{scene.stem}-again.png",
        own_files,
    )
    snippet, archive = folder / f"{scene.stem}-paint.py", folder / f"{scene.stem}.zip"
    snippet.write_text(text, encoding="utf-8")
    files = Files(
        paths["painted"], paths["mask"], paths["clean"], paths["steps"] if by_step else None, snippet, archive, text
    )
    named = [files.image, files.mask, files.clean, *([files.steps] if files.steps else []), snippet]
    with zipfile.ZipFile(archive, "w") as content:  # stored: PNG does not become smaller
        for path in [*named, *(folder / name for own in own_files for name in (own.image, own.mask))]:
            content.write(path, path.name)
    return files


def weights_name(painter: DefectInpainter) -> str:
    """Return what finds the painter's weights again, from any folder."""
    folder = painter.folder
    is_path = folder.commit is None and folder.name not in bundled_names()
    return str(folder.path.resolve()) if is_path else folder.name


def _call(step: Step, value: int, painter: DefectInpainter, owns: Sequence[OwnExemplar]) -> Call | SampledCall:
    """Say how a step is painted, with the arguments that have a meaning for it."""
    s, p = step.setting, step.part
    own = None if s.own is None else owns.index(s.own)
    if p is not None:
        return SampledCall(p.donor, (p.top, p.left), p.draw, p.seed, p.variation, s.strength, p.shrink, own)
    if s.own is not None:
        return Call(value, s.own.class_name, s.seed, s.strength, s.variation, own=own)
    name = painter.class_names[step.class_index]
    if painter.paints_exemplars:
        return Call(value, name, s.seed, s.strength, s.variation, s.exemplar)
    return Call(value, name, s.seed, s.strength)


def _write_own(own: OwnExemplar, folder: Path, stem: str) -> OwnFiles:
    image, mask = folder / f"{stem}.png", folder / f"{stem}-mask.png"
    write_png(image, own.image)
    write_png(mask, own.mask)
    return OwnFiles(image.name, mask.name, own.class_name, own.image.ndim == 2)


def _step_map(steps: Sequence[Step], size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: 1 where the first step paints, 2 for the second, and so on."""
    numbers = np.zeros(size_hw, np.uint8)
    for index, step in enumerate(steps):
        numbers[step.mask] = index + 1
    return numbers
