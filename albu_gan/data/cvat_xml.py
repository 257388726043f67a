"""The XML of "CVAT for images 1.1": images, their shapes, and the line of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from albu_gan.data.errors import DataError

AREAS = ("polygon", "polyline", "box", "ellipse", "mask")
OTHERS = ("points", "cuboid", "skeleton", "tag")


@dataclass
class CvatShape:
    """One element of an image.

    Attributes:
        kind: its tag.
        line: in the file.
        values: its XML attributes.
        attributes: what the annotator filled in, by name.
    """

    kind: str
    line: int
    values: dict[str, str]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class CvatImage:
    """One image of the file; `size_hw` is None where the file does not say."""

    line: int
    name: str
    subset: str
    size_hw: tuple[int, int] | None
    shapes: list[CvatShape] = field(default_factory=list)


@dataclass
class CvatXml:
    """The file: names of the labels that may have an area, in the order of the task, and the images."""

    labels: list[str]
    images: list[CvatImage]


class _Reader:
    """Collects what expat reports."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.open: list[str] = []
        self.labels: list[str] = []
        self.label: dict[str, str] = {}
        self.images: list[CvatImage] = []
        self.attribute: str | None = None
        self.text = ""

    def start(self, tag: str, values: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if not self.open and tag != "annotations":
            raise ValueError(f"{line}: <{tag}> and no <annotations>; this is no XML of CVAT")
        if tag == "track":
            raise ValueError(f"{line}: a <track>, so this is 'CVAT for video'; export as 'CVAT for images 1.1'")
        self.text = ""
        if tag == "image":
            if not values.get("name"):
                raise ValueError(f"{line}: an <image> without a name; export again")
            size = values.get("height", ""), values.get("width", "")
            size_hw = (int(size[0]), int(size[1])) if all(side.isdecimal() for side in size) else None
            self.images.append(CvatImage(line, values["name"], values.get("subset", ""), size_hw))
        elif tag in (*AREAS, *OTHERS) and self.open[-1:] == ["image"]:
            self.images[-1].shapes.append(CvatShape(tag, line, values))
        elif tag == "label":
            self.label = {}
        elif tag == "attribute":
            self.attribute = values.get("name")
        self.open.append(tag)

    def end(self, tag: str) -> None:
        self.open.pop()
        if self.open[-1:] == ["label"]:
            self.label[tag] = self.text.strip()
        elif tag == "label" and self.label.get("type") not in OTHERS and not self.label.get("parent"):
            self.labels.append(self.label.get("name", ""))
        elif tag == "attribute" and self.attribute and self.open[-2:-1] == ["image"] and self.images[-1].shapes:
            self.images[-1].shapes[-1].attributes[self.attribute] = self.text.strip()
        self.text = ""

    def characters(self, text: str) -> None:
        self.text += text

    def doctype(self, *_: object) -> None:
        raise ValueError(f"{self.parser.CurrentLineNumber}: a document type, which CVAT does not write; export again")


def read_xml(path: Path) -> CvatXml:
    """Read an annotations.xml.

    Raises:
        DataError: naming the line.
    """
    reader = _Reader()
    try:
        with path.open("rb") as file:
            reader.parser.ParseFile(file)
    except expat.ExpatError as err:
        raise DataError(f"{path}:{err.lineno}: not XML ({expat.ErrorString(err.code)}); export it again") from err
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror})") from err
    except ValueError as err:
        raise DataError(f"{path}:{err}") from err
    return CvatXml([name for name in dict.fromkeys(reader.labels) if name], reader.images)


def root_tag(path: Path) -> str | None:
    """Return the name of a file's outermost element, or None if it is no XML."""

    class Found(Exception):
        pass

    found: list[str] = []

    def start(tag: str, _: dict[str, str]) -> None:
        found.append(tag)
        raise Found

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        with path.open("rb") as file:
            parser.Parse(file.read(1 << 16), False)
    except (Found, expat.ExpatError, OSError):
        pass
    return found[0] if found else None
