"""What a synthetic data set is made of and how: all that its bytes depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albu_gan.data import MAX_MEGAPIXELS
from albu_gan.hub import DEFAULT_WEIGHTS, WeightsFolder

MAX_COUNT = 10_000_000  # samples; their numbers are held in memory
EXTENSIONS = ("png", "jpg", "bmp", "tif")


class GenerateError(ValueError):
    """A data set that cannot be made; the message says what was expected, what came and what to do."""


@dataclass(frozen=True)
class GenerateSettings:
    """What is asked for.

    Attributes:
        images: folder of the images to paint into, searched with its subfolders.
        out: folder of the data set.
        count: samples.
        weights: bundled name, folder or Hub repository.
        seed: sample `i` depends on the seed and on `i` alone.
        classes: names to paint; None for all.
        defects_range: how many defects an image, both ends included, at least 1.
        class_sampling: "balanced", "dataset" or `{name: weight}`.
        mask_source: "bank", "procedural" or "both".
        variation: how far defects differ from the real ones they are made from; see `GANDefectInpaint`.
        min_contrast: a fainter defect is drawn again, in levels of 255.
        regions: folder of masks named like the images, nonzero where defects may go; None for everywhere.
        ext: format of the images that are written: "png", "bmp" and "tif" keep every pixel, "jpg" does not.
        max_megapixels: an image larger than this is an error, in millions of pixels.
        skip_bad: leave out images that cannot be read; without it they are errors.
        device: torch device of the network.
        backend: "torch" or "onnx".
    """

    images: Path
    out: Path
    count: int
    weights: str = DEFAULT_WEIGHTS
    seed: int = 0
    classes: tuple[str, ...] | None = None
    defects_range: tuple[int, int] = (1, 2)
    class_sampling: str | dict[str, float] = "balanced"
    mask_source: str = "bank"
    variation: float = 0.5
    min_contrast: float = 8.0
    regions: Path | None = None
    ext: str = "png"
    max_megapixels: float = MAX_MEGAPIXELS
    skip_bad: bool = False
    device: str = "cpu"
    backend: str = "torch"

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COUNT:
            raise GenerateError(
                f"-n must be from 1 to {MAX_COUNT}, got {self.count}; for more, make several folders with other seeds"
            )
        if self.seed < 0:
            raise GenerateError(f"--seed must be 0 or more, got {self.seed}")
        if self.ext not in EXTENSIONS:
            raise GenerateError(f"--ext must be one of {', '.join(EXTENSIONS)}, got {self.ext!r}")
        if not 1 <= self.defects_range[0] <= self.defects_range[1]:
            raise GenerateError(
                f"--defects-range must be MIN MAX with 1 <= MIN <= MAX, got {self.defects_range}: every sample is "
                "painted, and clean images need no copies"
            )
        if not self.max_megapixels > 0:
            raise GenerateError(f"--max-megapixels must be positive, got {self.max_megapixels}")

    def transform_arguments(self) -> dict[str, Any]:
        """Arguments of `GANDefectInpaint` besides the weights."""
        return {
            "defects_range": self.defects_range,
            "classes": None if self.classes is None else list(self.classes),
            "class_sampling": self.class_sampling,
            "mask_source": self.mask_source,
            "variation": self.variation,
            "min_contrast": self.min_contrast,
            "region_key": None if self.regions is None else "region",
            "device": self.device,
            "backend": self.backend,
            "p": 1.0,
        }

    def to_record(self, folder: WeightsFolder, images: list[Path], regions: list[Path]) -> dict[str, Any]:
        """Return what a resumed run must agree on, as plain JSON.

        Args:
            folder: the weights.
            images: found in `self.images`.
            regions: one an image, or none.
        """
        from albu_gan import __version__

        return {
            "albu_gan": __version__,
            "n": self.count,
            "seed": self.seed,
            "weights": folder.name,
            "commit": folder.commit,
            **{f"{name}_sha256": sha256(folder.path / name) for name in folder.files},
            "classes": None if self.classes is None else list(self.classes),
            "defects_range": list(self.defects_range),
            "class_sampling": self.class_sampling,
            "mask_source": self.mask_source,
            "variation": self.variation,
            "min_contrast": self.min_contrast,
            "ext": self.ext,
            "device": self.device,
            "backend": self.backend,
            "images": len(images),
            "images_listing_sha256": _listing(self.images, images),
            "regions_listing_sha256": None if self.regions is None else _listing(self.regions, regions),
        }


def sha256(path: Path) -> str:
    """Return the hexadecimal hash of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _listing(root: Path, paths: Iterable[Path]) -> str:
    """Hash names and sizes of files: cheap, and another machine's path to the same folder changes nothing."""
    lines = (f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
