"""One sample: which image, which defects; all from the seed and the sample's number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from albu_gan.data import check_header, read_image
from albu_gan.generate.coco import encode_mask
from albu_gan.generate.images import read_region
from albu_gan.generate.settings import GenerateError, GenerateSettings
from albu_gan.hub import CONFIG, WeightsFolder
from albu_gan.transform import GANDefectInpaint

TRIES = 3  # in the image whose turn it is
OTHER_IMAGES = 100  # tried once each after that
ORDER, SAMPLE, OTHERS = range(3)  # streams of random numbers that must not coincide


@dataclass(frozen=True)
class Sample:
    """A painted image.

    Attributes:
        image: (H, W) or (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, class index + 1 where painted.
        record: the manifest's line, but for the files' sizes.
    """

    image: np.ndarray
    mask: np.ndarray
    record: dict[str, Any]


@dataclass(frozen=True)
class SampleMaker:
    """Makes sample `i` from `(seed, i)`, in whatever process and order.

    Attributes:
        settings: of the data set.
        folder: the weights.
        record: `settings.json`.
        images: found in `settings.images`.
        regions: one an image, or none at all.
    """

    settings: GenerateSettings
    folder: WeightsFolder
    record: dict[str, Any]
    images: Sequence[Path]
    regions: Sequence[Path]

    @cached_property
    def transform(self) -> GANDefectInpaint:
        """Paints; checks classes and sampling when it is made."""
        return GANDefectInpaint(weights=str(self.folder.path), **self.settings.transform_arguments())

    def source(self, index: int) -> int:
        """Which image is a sample's turn: all of them in an order drawn anew each time through, so none is left out."""
        turn, position = divmod(index, len(self.images))
        return int(_order(self.settings.seed, turn, len(self.images))[position])

    def make(self, index: int) -> Sample:
        """Paint sample `index`.

        Raises:
            GenerateError: if no visible defect fits any of many images, or a region is not of its image's size.
            ValueError: if an image cannot be read.
        """
        tried: list[int] = []
        for attempt, source in enumerate(self._sources(index)):
            tried.append(source)
            rng = np.random.default_rng([SAMPLE, self.settings.seed, index, attempt])
            sample = self._paint(index, attempt, source, rng)
            if sample is not None:
                return sample
        shown = self.images[tried[0]]
        few = (
            f"fewer than {self.settings.defects_range[0]} visible defects" if self.settings.defects_range[0] > 1 else ""
        )
        raise GenerateError(
            f"sample {index}: {few or 'no visible defect'} could be painted in {len(set(tried))} image(s), the first "
            f"{shown}; give larger images{' or regions' if self.regions else ''}, a lower --min-contrast or a smaller "
            "--defects-range"
        )

    def _sources(self, index: int) -> Iterator[int]:
        own = self.source(index)
        yield from [own] * TRIES
        rng = np.random.default_rng([OTHERS, self.settings.seed, index])
        others = rng.permutation(len(self.images))[: OTHER_IMAGES + 1].tolist()
        yield from [other for other in others if other != own][:OTHER_IMAGES]

    def _paint(self, index: int, attempt: int, source: int, rng: np.random.Generator) -> Sample | None:
        """Paint an image; None if there are too few defects that fit and can be seen."""
        path = self.images[source]
        check_header(path, self.settings.max_megapixels)
        try:
            image = read_image(path)
        except ValueError as err:
            raise ValueError(f"{err}, or leave out such images with --skip-bad") from err
        height, width = image.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        data = {"image": image, "mask": mask}
        if self.regions:
            data["region"] = read_region(self.regions[source], (height, width))
        plan = self.transform.plan(data, rng)
        patches = plan["patches"]
        if len(patches) < self.settings.defects_range[0]:
            return None
        names = self.folder.config.class_names
        defects = [
            {
                "class": names[patch.class_index],
                "value": patch.class_index + 1,
                **encode_mask(patch.mask, (patch.top, patch.left), (height, width)),
            }
            for patch in patches
        ]
        name = f"{index:06d}"
        record = {
            "index": index,
            "image": f"images/{name}.{self.settings.ext}",
            "mask": f"masks/{name}.png",
            "width": width,
            "height": height,
            "source": path.relative_to(self.settings.images).as_posix(),
            "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "seed": self.settings.seed,
            "attempt": attempt,
            "defects": defects,
            "weights": self.folder.name,
            "commit": self.folder.commit,
            **{f"{name}_sha256": self.record[f"{name}_sha256"] for name in self.folder.files if name != CONFIG},
            "albu_gan": self.record["albu_gan"],
        }
        return Sample(self.transform.apply(image, **plan), self.transform.apply_to_mask(mask, **plan), record)


@lru_cache(maxsize=2)
def _order(seed: int, turn: int, count: int) -> np.ndarray:
    return np.random.default_rng([ORDER, seed, turn]).permutation(count)
