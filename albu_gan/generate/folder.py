"""The folder of a synthetic data set: nothing in it is ever half written, and what is finished is known.

    images/000000.png   masks/000000.png   records/000000.json   (removed when all are in the manifest)
    settings.json       classes.txt        annotations.json      manifest.jsonl

A sample counts as finished once its record is there, which is written after its image and its mask.
"""

from __future__ import annotations

import errno
import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from albu_gan.generate.coco import write_annotations
from albu_gan.generate.sample import Sample
from albu_gan.generate.settings import EXTENSIONS, GenerateError
from albu_gan.generate.share import Share

SETTINGS, CLASSES, ANNOTATIONS, MANIFEST = "settings.json", "classes.txt", "annotations.json", "manifest.jsonl"
OURS = re.compile(rf"\.?\d{{6,}}\.({'|'.join((*EXTENSIONS, 'json'))})(\.partial)?")
JPEG_QUALITY = 95
CLEARING_SECONDS = 600.0  # that the other processes of a launch wait for the first to clear the folder


class OutputFolder:
    """A data set on disk.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, wanted: dict[str, Any], class_names: Sequence[str], overwrite: bool, share: Share) -> None:
        """Claim an empty folder, or make sure that an existing data set is the one that is wanted.

        Args:
            wanted: what `settings.json` must hold.
            class_names: for `classes.txt`.
            overwrite: whether a data set made with other settings is removed.
            share: of this process; the first one removes.

        Raises:
            GenerateError: if the folder holds anything else.
        """
        with reporting_full_disks(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            found = self._settings()
            if found is None:
                strange = sorted(p.name for p in self.path.iterdir() if not _is_partial(p.name))
                if strange:
                    raise GenerateError(
                        f"{self.path}: holds {strange[0]!r}, which is of no data set of albu-gan generate; nothing is "
                        "overwritten: choose an empty folder"
                    )
            elif _differences(found, wanted):
                begun = share.world_size > 1 or bool(self.finished())
                if begun and not overwrite:
                    raise GenerateError(
                        f"{self.path}: holds a data set made with other settings ({_differences(found, wanted)}); "
                        "nothing is overwritten: repeat its settings to go on with it, choose another --out, or "
                        "replace it with --overwrite"
                    )
                if share.rank == 0:
                    self._clear()
                else:
                    self._wait_for(wanted)
            if self._settings() != wanted:
                self._replace(SETTINGS, json.dumps(wanted, indent=1, ensure_ascii=False) + "\n")
            for name in ("images", "masks", "records"):
                (self.path / name).mkdir(exist_ok=True)
            if not (self.path / CLASSES).is_file():
                self._replace(CLASSES, "".join(f"{name}\n" for name in class_names))

    def _settings(self) -> dict[str, Any] | None:
        path = self.path / SETTINGS
        if not path.exists():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as err:
            raise GenerateError(f"{path}: is not what albu-gan generate wrote ({err}); choose another --out") from err
        if not isinstance(values, dict) or "albu_gan" not in values:
            raise GenerateError(f"{path}: is not of albu-gan generate; nothing is overwritten: choose an empty folder")
        return values

    def _clear(self) -> None:
        """Remove what this module writes, and nothing else; the settings stay until they are replaced."""
        for name in ("records", "images", "masks"):
            folder = self.path / name
            for path in folder.iterdir() if folder.is_dir() else ():
                if OURS.fullmatch(path.name):
                    path.unlink()
        for name in (MANIFEST, ANNOTATIONS, CLASSES):
            (self.path / name).unlink(missing_ok=True)

    def _wait_for(self, wanted: dict[str, Any]) -> None:
        deadline = time.monotonic() + CLEARING_SECONDS
        while self._settings() != wanted:
            if time.monotonic() > deadline:
                raise GenerateError(
                    f"{self.path}: the process with RANK=0 did not replace the old data set within "
                    f"{CLEARING_SECONDS:g} s; run the command again"
                )
            time.sleep(0.2)

    def write(self, sample: Sample) -> None:
        """Write a sample's image, mask and, last, its record."""
        record = sample.record
        image = sample.image if sample.image.ndim == 2 else cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
        files = {"image": _encode(record["image"], image), "mask": _encode(record["mask"], sample.mask)}
        sizes = {f"{key}_bytes": len(data) for key, data in files.items()}
        files["record"] = (json.dumps({**record, **sizes}, ensure_ascii=False) + "\n").encode("utf-8")
        names = {**record, "record": f"records/{record['index']:06d}.json"}
        for key, data in files.items():
            path = self.path / names[key]
            partial = path.with_name(f".{path.name}.partial")
            try:
                partial.write_bytes(data)
                partial.replace(path)
            except BaseException:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise

    def finished(self) -> dict[int, dict[str, Any]]:
        """Return the records of all samples that are finished, by their number."""
        found = {record["index"]: record for record in self._manifest()}
        folder = self.path / "records"
        for path in folder.glob("[0-9]*.json") if folder.is_dir() else ():
            record = _read_record(path)
            if record is not None:
                found[record["index"]] = record
        return found

    def is_intact(self, record: dict[str, Any]) -> bool:
        """Whether image and mask of a finished sample are there, with all their bytes."""
        try:
            return all((self.path / record[key]).stat().st_size == record[f"{key}_bytes"] for key in ("image", "mask"))
        except OSError:
            return False

    def _manifest(self) -> Iterator[dict[str, Any]]:
        path = self.path / MANIFEST
        try:
            with path.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines)
        except FileNotFoundError:
            return
        except ValueError as err:
            raise GenerateError(f"{path}: is damaged ({err}); replace the data set with --overwrite") from err

    def is_assembled(self, count: int) -> bool:
        """Whether the manifest and the annotations list `count` samples, and no record waits to be listed."""
        waiting = (self.path / "records").is_dir() and any((self.path / "records").iterdir())
        if not waiting:
            with suppress(OSError):
                (self.path / "records").rmdir()
        listed = sum(1 for _ in self._manifest())
        return listed == count and not waiting and (self.path / ANNOTATIONS).is_file()

    def assemble(self, class_names: Sequence[str], count: int) -> None:
        """Write annotations and manifest from the records of all samples, then remove the records.

        Whichever process ends last does this. Should two do it at once, both write the same.

        Raises:
            FileNotFoundError: if another process was quicker.
        """
        unique = uuid.uuid4().hex[:8]
        manifest, annotations = (self.path / f".{name}.{unique}.partial" for name in (MANIFEST, ANNOTATIONS))

        def records() -> Iterator[dict[str, Any]]:
            with manifest.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines)

        try:
            with manifest.open("w", encoding="utf-8") as file:
                for record in self._in_order(count):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
            with annotations.open("w", encoding="utf-8") as file:
                write_annotations(file, class_names, records, "defects painted by albu-gan")
            annotations.replace(self.path / ANNOTATIONS)
            manifest.replace(self.path / MANIFEST)
        finally:
            for path in (manifest, annotations):
                path.unlink(missing_ok=True)
        for index in range(count):
            (self.path / "records" / f"{index:06d}.json").unlink(missing_ok=True)
        for folder in (".", "images", "masks", "records"):  # of processes that were killed
            for path in (self.path / folder).glob(".*.partial"):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            (self.path / "records").rmdir()

    def _in_order(self, count: int) -> Iterator[dict[str, Any]]:
        """Each sample's record, from its own file or from the manifest that a longer data set goes on from."""
        listed = self._manifest()
        for index in range(count):
            path = self.path / "records" / f"{index:06d}.json"
            earlier = next(listed, None)
            record = _read_record(path) if path.is_file() else earlier
            if record is None or record["index"] != index:
                raise FileNotFoundError(errno.ENOENT, "no record", str(path))
            yield record

    def _replace(self, name: str, text: str) -> None:
        path = self.path / name
        partial = path.with_name(f".{name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


@contextmanager
def reporting_full_disks(out: Path) -> Iterator[None]:
    """Turn what the system says when a folder cannot be written to into one error that says what to do."""
    try:
        yield
    except OSError as err:
        place = err.filename or out
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "free some space and run the same command again, it goes on where it stopped"
            raise GenerateError(f"{out}: the disk is full ({err.strerror}); {remedy}") from err
        if err.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise GenerateError(f"{place}: cannot be written ({err.strerror}); choose another --out") from err
        if err.errno in (errno.EEXIST, errno.ENOTDIR):
            raise GenerateError(f"{place}: is in the way, a folder is needed there; choose another --out") from err
        raise GenerateError(
            f"{place}: {err.strerror or err}; what is finished is kept: run the same command again"
        ) from err


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Say which settings differ; a longer data set of otherwise equal settings begins with the shorter one."""
    keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    if keys == ["n"] and isinstance(found.get("n"), int) and found["n"] < wanted["n"]:
        return ""
    return ", ".join(f"{key} was {found.get(key)!r}, now {wanted.get(key)!r}" for key in keys)


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(".partial")


def _read_record(path: Path) -> dict[str, Any] | None:
    """Read a record; None for one that a power cut left empty."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("index"), int) else None


def _encode(name: str, image: np.ndarray) -> bytes:
    suffix = Path(name).suffix
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    ok, data = cv2.imencode(suffix, image, options)
    if not ok:
        raise GenerateError(f"{name}: OpenCV could not encode the picture")
    return data.tobytes()
