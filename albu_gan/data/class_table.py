"""The names of the classes, and the colours that masks have for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from albu_gan.data.errors import DataError

Colour = tuple[int, int, int]  # red, green, blue
BLACK: Colour = (0, 0, 0)
CLEAN, VOID = 0, 255  # values of a mask: no defect; neither one nor the other
BACKGROUND_NAMES = ("background", "_background_")
VOID_NAMES = ("ignored", "ignore", "__ignore__", "void")
COLOUR_LINE = re.compile(
    r"(?P<name>.*?\S)[\s:=,]+(?:#(?P<hex>[0-9a-fA-F]{6})|(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3}))"
)
EXAMPLE = "'crack 255 0 0' or 'crack #ff0000'"


@dataclass(frozen=True)
class ClassTable:
    """What the values or the colours of a mask mean.

    Attributes:
        path: the file, for messages.
        names: of the values 1, 2, ...
        colours: value of each colour, `CLEAN` and `VOID` among them; None where masks hold values.
    """

    path: Path
    names: tuple[str, ...]
    colours: dict[Colour, int] | None = None


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read the names of `classes.txt`; see `read_classes`."""
    return read_classes(path).names


def read_classes(path: Path) -> ClassTable:
    """Read `classes.txt`: one class a line, the first is value 1; or each with the colour that masks have for it.

    A line is `crack`, `crack 255 0 0` or `crack #ff0000`. With colours, black is clean, unless a line `background`
    gives another one; a line `ignored` gives one that is neither clean nor a class.

    Raises:
        DataError: if it is missing or empty; or naming the line that is empty, lacks a colour, or repeats something.
    """
    lines = [line.strip() for line in _read_lines(path, "line 1 names value 1")]
    found = [COLOUR_LINE.fullmatch(line) for line in lines]
    if not any(found):
        return ClassTable(path, _checked_names(path, lines))
    entries = []
    for number, (line, match) in enumerate(zip(lines, found, strict=True), 1):
        if match is None:
            raise DataError(f"{path}:{number}: {line!r} has no colour, others have; write {EXAMPLE} on every line")
        digits = match["hex"]
        numbers = (match["r"], match["g"], match["b"])
        colour = tuple(bytes.fromhex(digits)) if digits else tuple(int(text) for text in numbers)
        entries.append((number, match["name"], colour))
    return _with_colours(path, entries)


def read_labelmap(path: Path) -> ClassTable:
    """Read `labelmap.txt` of CVAT: `label:R,G,B:parts:actions`, comments after `#`.

    Raises:
        DataError: if it is missing or empty; or naming the line.
    """
    entries = []
    for number, line in enumerate(_read_lines(path, "as label:R,G,B::"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        numbers = re.fullmatch(r"\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*", rest.partition(":")[0])
        if not name or numbers is None:
            raise DataError(f"{path}:{number}: {line.strip()!r} is not label:R,G,B:parts:actions; give its colour")
        entries.append((number, name, tuple(int(text) for text in numbers.groups())))
    return _with_colours(path, entries)


def read_class_table(root: Path, name: str = "classes.txt") -> ClassTable:
    """Read `classes.txt` of a folder, with the colours of `labelmap.txt` where it has none of its own.

    Args:
        root: the folder.
        name: of the file.

    Raises:
        DataError: as `read_classes` and `read_labelmap`.
    """
    classes, labelmap = root / name, root / "labelmap.txt"
    if not labelmap.is_file():
        return read_classes(classes)
    table = read_labelmap(labelmap)
    if not classes.is_file():
        return table
    named = read_classes(classes)
    if named.colours is not None:
        return named
    missing = sorted(set(named.names) - set(table.names))
    if missing:
        raise DataError(f"{labelmap}: no colour for {', '.join(missing)} of {classes.name}; add a line for each")
    assert table.colours is not None
    values = {value: colour for colour, value in table.colours.items()}
    ordered = {values[table.names.index(name) + 1]: number for number, name in enumerate(named.names, 1)}
    others = {colour: value for colour, value in table.colours.items() if value in (CLEAN, VOID)}
    return ClassTable(labelmap, named.names, {**others, **ordered})


def _read_lines(path: Path, form: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or err
        raise DataError(f"{path}: cannot be read ({reason}); write one class a line, {form}") from err


def _checked_names(path: Path, names: list[str], numbers: list[int] | None = None) -> tuple[str, ...]:
    if not 0 < len(names) < VOID:
        raise DataError(f"{path}: {len(names)} classes; write one class a line, 1 to {VOID - 1} of them")
    for index, name in enumerate(names):
        if not name or name in names[:index]:
            line = index + 1 if numbers is None else numbers[index]
            raise DataError(
                f"{path}:{line}: {'an empty line' if not name else f'{name!r} again'}; name each class once"
            )
    return tuple(names)


def _with_colours(path: Path, entries: list[tuple[int, str, tuple[int, ...]]]) -> ClassTable:
    """Return the table of lines of number, name and colour."""
    colours: dict[Colour, int] = {}
    names: list[str] = []
    numbers: list[int] = []
    for number, name, (red, green, blue) in entries:
        colour = (red, green, blue)
        if max(colour) > 255:
            raise DataError(f"{path}:{number}: a colour is three numbers from 0 to 255, got {colour}")
        if colour in colours:
            raise DataError(f"{path}:{number}: {name!r} has the colour {colour} of another line; give each its own")
        if name.lower() in BACKGROUND_NAMES:
            colours[colour] = CLEAN
        elif name.lower() in VOID_NAMES:
            colours[colour] = VOID
        else:
            names.append(name)
            numbers.append(number)
            colours[colour] = len(names)
    checked = _checked_names(path, names, numbers)
    if CLEAN not in colours.values():
        if BLACK in colours:
            raise DataError(f"{path}: black is a class, so give the clean surface its colour: 'background 255 255 255'")
        colours[BLACK] = CLEAN
    return ClassTable(path, checked, colours)
