"""CVAT for images: one XML of polygons, lines, boxes, ellipses and masks for many images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from albu_gan.data import raster
from albu_gan.data.cvat_xml import AREAS, CvatImage, CvatShape, read_xml, root_tag
from albu_gan.data.errors import DataError, Problems, counted
from albu_gan.data.groups import Groups
from albu_gan.data.images import detect_channels
from albu_gan.data.places import check_annotated_size, existing, find_image
from albu_gan.data.record import DefectDataset, Record

LINE_WIDTH = 1.0  # pixels, of a polyline that has no width of its own
PROBED = 100  # XML files of a folder that are looked into: VOC has one an image
DIGITS = 2  # of a coordinate, after the point, that CVAT keeps when it draws
WIDTH = "width"  # the attribute of a polyline that gives its width, in pixels


class CvatDataset(DefectDataset):
    """Images and the XML of "CVAT for images 1.1"; an image without shapes is clean.

    Polygons, boxes, ellipses and masks have the pixels that CVAT's own mask exports give them. Those exports leave
    polylines out; here a line is as wide as its attribute `width` says, or `line_width`. Where shapes overlap, the
    higher `z_order` counts, of equal ones the later. Points, cuboids, skeletons and tags have no area and are passed
    over, which `notes` tells. Classes are the task's labels, in its order, but for those of points, tags,
    skeletons and cuboids.

    Args:
        root: the folder of the XML, or the XML itself. Images lie in `images/` beside it, below that in a folder of
            their subset, or beside it.
        group_pattern: see `Groups`.
        channels: 1 or 3; None looks at some images.
        groups: see `Groups`; files as in `name`.
        line_width: of polylines without the attribute, in pixels.
        skip_bad: leave out images that are missing or have a shape that cannot be read, and list them in `skipped`.

    Raises:
        DataError: naming the file and the line.

    References:
        https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
    """

    licence = "unknown"
    has_instances = True
    source = "CVAT annotations"

    def __init__(
        self,
        root: Path,
        group_pattern: str | None = None,
        channels: int | None = None,
        *,
        groups: Path | None = None,
        line_width: float = LINE_WIDTH,
        skip_bad: bool = False,
    ) -> None:
        self.path = find_xml(root)
        self.line_width = line_width
        content = read_xml(self.path)
        parent = self.path.parent
        problems = Problems(skip_bad)
        found: dict[str, tuple[CvatImage, Path]] = {}
        for image in content.images:
            try:
                found[image.name] = (image, self._check(image, content.labels, parent, found))
            except ValueError as err:
                problems.report(str(err))
        drawn = {name: _areas(image) for name, (image, _) in found.items()}
        self.class_names = tuple(content.labels)
        if len(self.class_names) > 255:
            raise DataError(f"{self.path}: {len(self.class_names)} labels; a mask can hold 255")
        self.images = {name: image for name, (image, _) in found.items()}
        find = Groups(group_pattern, groups)
        records = []
        for name, (_, path) in found.items():
            classes = frozenset(self.class_names.index(shape.values["label"]) for shape in drawn[name])
            records.append(Record(name, path, self.path if classes else None, find.of(name), classes))
        self._keep(records, problems)
        self.notes = self._notes()
        self.channels = channels or detect_channels([record.image_path for record in self.records])

    def _check(self, image: CvatImage, labels: list[str], parent: Path, found: Mapping[str, object]) -> Path:
        """Return the path of an image whose shapes can be read.

        Raises:
            ValueError: naming file and line of what cannot be read.
        """
        folders = existing([parent / "images" / image.subset, parent / "images", parent / image.subset, parent])
        path = find_image(folders, image.name)
        if path is None:
            tried = ", ".join(str(folder) for folder in folders)
            raise ValueError(
                f"{self.path}:{image.line}: image {image.name} is not there; looked in {tried}. Copy it there, "
                "or leave such images out with --skip-bad"
            )
        if image.name in found:
            raise ValueError(f"{self.path}:{image.line}: a second image {image.name}; export one task at a time")
        for shape in _areas(image):
            if shape.values.get("label") not in labels:
                raise ValueError(
                    f"{self.path}:{shape.line}: label {shape.values.get('label')!r} is none of the task's: "
                    f"{labels}; correct it, or export again"
                )
            try:
                _check_shape(shape)
            except ValueError as err:
                raise ValueError(f"{self.path}:{shape.line}: {shape.kind} of {image.name}: {err}") from err
        return path

    def _notes(self) -> list[str]:
        """Say what was passed over, and what was guessed."""
        shapes = [shape for image in self.images.values() for shape in image.shapes]
        ignored = Counter(shape.kind for shape in shapes if shape.kind not in AREAS)
        notes = []
        if ignored:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
            notes.append(f"{kinds} ignored, which have no area: what they mark counts as clean")
        guessed = sum(shape.kind == "polyline" and WIDTH not in shape.attributes for shape in shapes)
        if guessed:
            notes.append(
                f"{counted(guessed, 'polyline')} without an attribute {WIDTH!r} drawn {self.line_width:g} pixel(s) "
                "wide; --line-width sets it"
            )
        return notes

    def instances(self, record: Record) -> Mapping[int, int]:
        return Counter(self.class_names.index(shape.values["label"]) for shape in _areas(self.images[record.name]))

    def read_mask(self, record: Record, image_hw: tuple[int, int]) -> np.ndarray:
        image = self.images[record.name]
        place = f"{self.path}:{image.line}"
        check_annotated_size(place, record.image_path, image.size_hw or (None, None), image_hw)
        mask = np.zeros(image_hw, np.uint8)
        for shape in sorted(_areas(image), key=lambda shape: int(shape.values.get("z_order", 0))):
            try:
                inside = draw_shape(shape, image_hw, self.line_width)
            except ValueError as err:
                raise DataError(f"{self.path}:{shape.line}: {shape.kind} of {image.name}: {err}") from err
            mask[inside] = self.class_names.index(shape.values["label"]) + 1
        return mask


def draw_shape(shape: CvatShape, size_hw: tuple[int, int], line_width: float = LINE_WIDTH) -> np.ndarray:
    """Return the pixels of a shape.

    Args:
        shape: polygon, polyline, box, ellipse or mask.
        size_hw: of the image.
        line_width: of a polyline without an attribute `width`, in pixels.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: if a value is missing or wrong, or a mask leaves the image.
    """
    if shape.kind == "mask":
        return decode_runs(shape, size_hw)
    if shape.kind == "polyline":
        width = float(shape.attributes.get(WIDTH, line_width))
        return raster.fill_line(_points(shape, 2), width, size_hw)
    if shape.kind == "ellipse":
        cx, cy, rx, ry = (_number(shape, key) for key in ("cx", "cy", "rx", "ry"))
        return raster.fill_whole_ellipse((cx, cy), (rx, ry), _number(shape, "rotation", 0.0), size_hw)
    points = _box(shape) if shape.kind == "box" else _points(shape, 3)
    return raster.fill_polygon(np.around(points, DIGITS), size_hw)


def decode_runs(shape: CvatShape, size_hw: tuple[int, int]) -> np.ndarray:
    """Decode a mask: lengths of runs along the rows of its box, the first of background; (H, W) bool.

    Raises:
        ValueError: if the runs do not fill the box, or it leaves the image.
    """
    left, top, width, height = (int(_number(shape, key)) for key in ("left", "top", "width", "height"))
    try:
        runs = np.array([int(word) for word in shape.values.get("rle", "").split(",")], np.int64)
    except (ValueError, OverflowError) as err:
        raise ValueError("its rle is no list of whole numbers; export it again") from err
    if min(left, top) < 0 or min(width, height) < 1 or top + height > size_hw[0] or left + width > size_hw[1]:
        raise ValueError(f"its box leaves the image of {size_hw[0]} x {size_hw[1]} pixels; export it again")
    if (runs < 0).any() or (runs > width * height).any() or runs.sum() != width * height:
        raise ValueError(f"its runs add up to {runs.sum()} pixels, its box has {width * height}; export it again")
    inside = np.zeros(size_hw, bool)
    values = np.arange(len(runs)) % 2 == 1
    inside[top : top + height, left : left + width] = np.repeat(values, runs).reshape(height, width)
    return inside


def find_xml(root: Path) -> Path:
    """Find the XML of a folder: annotations.xml, or the only one of CVAT.

    Raises:
        DataError: if there is none, or more than one.
    """
    found = cvat_files(root)
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{root}: several files of CVAT ({', '.join(p.name for p in found)}); give the path of one")
    named = root / "annotations.xml"
    raise DataError(
        f"{named if named.is_file() else root}: no annotations.xml of CVAT; export the task as 'CVAT for images 1.1'"
    )


def cvat_files(root: Path) -> list[Path]:
    """Return the annotations.xml of a folder, else its XML files of CVAT, or the path itself if it is one."""
    named = root / "annotations.xml"
    if root.is_file() or named.is_file():
        paths = [named if named.is_file() else root]
    else:
        paths = sorted(root.glob("[!.]*.xml"))[:PROBED]
    return [path for path in paths if root_tag(path) == "annotations"]


def _areas(image: CvatImage) -> list[CvatShape]:
    return [shape for shape in image.shapes if shape.kind in AREAS]


def _check_shape(shape: CvatShape) -> None:
    """Raise ValueError unless a shape has what it needs; whether a mask's runs fit is found when it is drawn."""
    int(_number(shape, "z_order", 0.0))
    if shape.kind == "mask":
        for key in ("left", "top", "width", "height"):
            _number(shape, key)
        if not shape.values.get("rle"):
            raise ValueError("it has no rle; export it again")
        return
    if shape.kind == "ellipse":
        for key in ("cx", "cy", "rx", "ry"):
            _number(shape, key)
    elif shape.kind == "box":
        _box(shape)
    else:
        _points(shape, 2 if shape.kind == "polyline" else 3)
    width = shape.attributes.get(WIDTH) if shape.kind == "polyline" else None
    if width is not None and not _is_width(width):
        raise ValueError(f"its attribute {WIDTH} is {width!r}; give a number of pixels from 1 on")


def _is_width(text: str) -> bool:
    try:
        return 1 <= float(text) < raster.LARGEST
    except ValueError:
        return False


def _number(shape: CvatShape, key: str, default: float | None = None) -> float:
    """Return a value of a shape, as a number."""
    text = shape.values.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError as err:
        raise ValueError(f"{key} is {text!r} and must be a number; correct or remove it") from err
    if not abs(value) < raster.LARGEST:
        raise ValueError(f"{key} is {text} and lies too far out; correct or remove it")
    return value


def _points(shape: CvatShape, least: int) -> np.ndarray:
    """Return (N, 2) points of "x,y;x,y"."""
    words = [pair.split(",") for pair in shape.values.get("points", "").split(";") if pair.strip()]
    return raster.as_points(words or np.empty((0, 2)), least)


def _box(shape: CvatShape) -> np.ndarray:
    """Return the (4, 2) corners of a box, turned about its centre."""
    left, top, right, bottom = (_number(shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    corners = raster.box_corners((left, top), (right - left, bottom - top))
    degrees = _number(shape, "rotation", 0.0)
    return raster.turned(corners, degrees, ((left + right) / 2, (top + bottom) / 2)) if degrees else corners
