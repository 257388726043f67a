"""Magnetic-tile defects (Huang, Qiu and Yuan 2018): `MT_Class/Imgs/*.jpg` with a PNG mask of the same stem."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albu_gan.data.errors import DataError
from albu_gan.data.groups import read_table
from albu_gan.data.images import decode_image
from albu_gan.data.record import DefectDataset, Record


class MagneticTileDataset(DefectDataset):
    """Gray images of magnetic tiles; five classes of defect and clean tiles (`MT_Free`).

    The files `exp1..exp6` are one tile at rising exposure, and tiles recur under far-apart numbers, so groups must come
    from a table: `groups.csv` with columns `class,file,exposure,group` in the data folder.

    Args:
        root: the folder.
        groups: the table; None takes `groups.csv` of the folder.
        channels: 1 or 3.

    Raises:
        DataError: if the folder does not have this layout, or an image is missing from the table of groups.
    """

    class_names = ("blowhole", "break", "crack", "fray", "uneven")
    licence = "no formal licence; the authors welcome use and ask to be cited"
    dataset_id = "magnetic-tile-surface-defects"
    source = "Huang, Qiu, Yuan: Surface defect saliency of magnetic tile, 2018"

    def __init__(self, root: Path, groups: Path | None = None, channels: int = 1) -> None:
        self.channels = channels
        table_path = groups or root / "groups.csv"
        if not table_path.is_file():
            raise DataError(
                f"{table_path}: no table of groups. Exposures of one tile must not be split; "
                "give a CSV with the columns class,file,exposure,group"
            )
        table = read_groups(table_path)
        self.records = []
        for name in (*self.class_names, "free"):
            folder = root / f"MT_{name.capitalize()}" / "Imgs"
            if not folder.is_dir():
                raise DataError(f"{folder}: no such folder; the magnetic-tile layout is MT_Class/Imgs/*.jpg|png")
            for path in sorted(folder.glob("*.jpg")):
                if (name, path.stem) not in table:
                    raise DataError(f"{table_path}: no row for {name} {path.name}; add its group")
                classes = frozenset() if name == "free" else frozenset({self.class_names.index(name)})
                label = path.with_suffix(".png") if classes else None
                self.records.append(Record(f"{name}/{path.stem}", path, label, table[name, path.stem], classes))
        if not self.records:
            raise DataError(f"{root}: no images; the magnetic-tile layout is MT_Class/Imgs/*.jpg")

    def clean_records(self, records: list[Record]) -> list[Record]:
        """Return the clean tiles, without those "free" images whose tile other images call defective."""
        dirty = {record.group for record in self.records if record.classes}
        return [record for record in records if not record.classes and record.group not in dirty]

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        if record.label_path is None:
            return np.zeros(image_hw, np.uint8)
        try:
            mask = decode_image(record.label_path, 1)[:, :, 0]
        except DataError as err:
            raise DataError(
                f"{record.label_path}: the mask cannot be read; remove the image or repair the mask"
            ) from err
        if mask.shape != image_hw:
            raise DataError(
                f"{record.label_path}: the mask is {mask.shape[0]} x {mask.shape[1]}, its image {image_hw[0]} x "
                f"{image_hw[1]}; use the image that was annotated"
            )
        return np.asarray(np.where(mask > 127, np.uint8(min(record.classes) + 1), np.uint8(0)))


def read_groups(path: Path) -> dict[tuple[str, str], str]:
    """Read the table of groups: (class, stem of the file) to group.

    Raises:
        DataError: naming the file and the line, if a column or a value is missing.
    """
    rows = read_table(path, ("class", "file", "group"))
    return {(row["class"].lower(), Path(row["file"]).stem): row["group"] for _, row in rows}
