"""MVTec AD, MVTec AD 2, and VisA as anomalib lays it out: a folder a defect, and a mask an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from albu_gan.data.errors import DataError, Problems, counted
from albu_gan.data.groups import Groups
from albu_gan.data.images import IMAGE_SUFFIXES, detect_channels
from albu_gan.data.record import DefectDataset, Record

CLEAN = "good"
#: Folders of images, and where the masks of each lie.
PARTS = (
    ("train", "ground_truth"),
    ("validation", "ground_truth"),
    ("test", "ground_truth"),
    ("test_public", "test_public/ground_truth"),
)
UNLABELLED = ("test_private", "test_private_mixed")  # of MVTec AD 2: their labels are kept on its server


class MvtecDataset(DefectDataset):
    """One object of MVTec AD, MVTec AD 2, or VisA in anomalib's layout.

    `train/good`, `validation/good` and `test/good` are clean. Every other folder of `test` or `test_public` is a class,
    named as the folder; the mask of `test/DEFECT/NAME.png` is `ground_truth/DEFECT/NAME_mask.png` or `NAME.png`, of any
    image suffix. A pixel is in where its mask is not 0.

    Args:
        root: the folder of the object.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`; files as `test/DEFECT/NAME.png`.
        skip_bad: leave out images with a defect and without a mask, and list them in `skipped`.

    Raises:
        DataError: naming the file.

    References:
        Bergmann et al., "MVTec AD", 2019; Heckler-Kram et al., "The MVTec AD 2 Dataset", 2025; Zou et al., "SPot-the-
        Difference" (VisA), 2022; the layout is the one that https://github.com/open-edge-platform/anomalib reads.
    """

    licence = "unknown; MVTec AD and MVTec AD 2 are CC BY-NC-SA 4.0, VisA is CC BY 4.0"
    source = "images and masks in the layout of MVTec AD"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        objects = objects_in(root)
        if objects:
            raise DataError(f"{root}: holds {len(objects)} objects; give the folder of one: {', '.join(objects)}")
        found = [(part, truth, folder) for part, truth in PARTS for folder in _folders(root / part)]
        self.class_names = tuple(sorted({folder.name for _, _, folder in found} - {CLEAN}))
        if not self.class_names:
            raise DataError(
                f"{root}: no folder of defects; the layout is train/good, test/DEFECT and "
                "ground_truth/DEFECT/NAME_mask.png (MVTec AD 2: test_public/bad)"
            )
        if len(self.class_names) > 255:
            raise DataError(f"{root}: {len(self.class_names)} folders of defects; a mask can hold 255")
        find = Groups(group_pattern, groups)
        problems = Problems(skip_bad)
        records = []
        for _part, truth, folder in found:
            masks = {path.stem: path for path in _images(root / truth / folder.name)}
            classes = frozenset() if folder.name == CLEAN else frozenset({self.class_names.index(folder.name)})
            used = set()
            for path in _images(folder):
                mask = masks.get(f"{path.stem}_mask", masks.get(path.stem)) if classes else None
                if classes and mask is None:
                    problems.report(
                        f"{path}: no mask {root / truth / folder.name / path.stem}_mask.png; a folder other than "
                        f"{CLEAN!r} holds defects, and each image needs its mask"
                    )
                    continue
                used.add(mask)
                name = path.relative_to(root).as_posix()
                records.append(Record(name.removesuffix(path.suffix), path, mask, find.of(name), classes))
            for mask in sorted(set(masks.values()) - used) if classes else ():
                problems.report(f"{mask}: no image of its name in {folder}; put it there, or remove the mask")
        repeated = [name for name, count in Counter(record.name for record in records).items() if count > 1]
        if repeated:
            raise DataError(f"{root / repeated[0]}: two images of this name with different suffixes; rename one")
        self._keep(records, problems)
        left = {part: sum(1 for _ in _images(root / part)) for part in UNLABELLED}
        self.notes = [
            f"{counted(count, 'image')} of {part} without labels left out" for part, count in left.items() if count
        ]
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        if record.label_path is None:
            return np.zeros(image_hw, np.uint8)
        try:
            with Image.open(record.label_path) as image:
                pages = getattr(image, "n_frames", 1)
                values = np.asarray(image)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
            raise DataError(f"{record.label_path}: the mask cannot be read ({err}); repair it") from err
        if pages > 1:
            raise DataError(f"{record.label_path}: the mask has {pages} pages; save each as a file of its own")
        if values.ndim == 3:
            values = values[:, :, :3].max(axis=2) if values.shape[2] > 2 else values[:, :, 0]
        if values.shape != image_hw:
            raise DataError(
                f"{record.label_path}: the mask is {values.shape[0]} x {values.shape[1]}, its image {image_hw[0]} x "
                f"{image_hw[1]}; use the image that was annotated"
            )
        return np.asarray(np.where(values != 0, np.uint8(min(record.classes) + 1), np.uint8(0)))


def is_object(root: Path) -> bool:
    """Whether a folder has the layout of one object."""
    clean = (root / "train" / CLEAN).is_dir() or (root / "test" / CLEAN).is_dir()
    truth = (root / "ground_truth").is_dir() or (root / "test_public" / "ground_truth").is_dir()
    return clean and truth


def objects_in(root: Path) -> list[str]:
    """Return the names of a folder's sub-folders that are objects, if it is none itself."""
    if not root.is_dir() or is_object(root):
        return []
    return sorted(folder.name for folder in root.iterdir() if folder.is_dir() and is_object(folder))


def _folders(part: Path) -> Iterator[Path]:
    """Yield the folders of images of a part, sorted."""
    for folder in sorted(part.iterdir()) if part.is_dir() else ():
        if folder.is_dir() and folder.name != "ground_truth" and not folder.name.startswith("."):
            yield folder


def _images(folder: Path) -> Iterator[Path]:
    """Yield the images of a folder, sorted; not what macOS leaves beside each."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._"):
            yield path
