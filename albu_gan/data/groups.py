"""Which images belong together: a table, a pattern in the file names, or each image by itself."""

from __future__ import annotations

import csv
import re
from pathlib import Path, PurePosixPath

from albu_gan.data.errors import DataError


def group_of(stem: str, pattern: str | None) -> str:
    """Return the group that `pattern` finds in a file's stem, or the stem itself without a pattern.

    Raises:
        DataError: if the pattern does not match, or is none.
    """
    if pattern is None:
        return stem
    try:
        match = re.search(pattern, stem)
    except re.error as err:
        raise DataError(f"the group pattern {pattern!r} is no regular expression: {err}") from err
    if match is None:
        raise DataError(f"the group pattern {pattern!r} does not match {stem!r}; every image needs a group")
    return next((part for part in match.groups() if part is not None), match.group(0))


class Groups:
    """The group of each image.

    Args:
        pattern: a regular expression searched in each stem; its first matching group (or the whole match) names the
            group.
        table: a CSV with the columns `file` and `group`. Without either, every image is a group of its own.

    Raises:
        DataError: if both are given, or the table cannot be read.
    """

    def __init__(self, pattern: str | None = None, table: Path | None = None) -> None:
        if pattern is not None and table is not None:
            raise DataError("groups come from a table or from a pattern in the file names; give one of the two")
        self.pattern, self.table = pattern, table
        self.by_file: dict[str, str] = {}
        if table is not None:
            for line, row in read_table(table, ("file", "group")):
                if self.by_file.setdefault(row["file"], row["group"]) != row["group"]:
                    raise DataError(f"{table}:{line}: {row['file']} has two groups; keep one row")

    def of(self, file: str) -> str:
        """Return the group of an image.

        Args:
            file: its name, with folders where the layout has them; the table may name it with or without folders and
                suffix.

        Raises:
            DataError: if neither table nor pattern gives a group.
        """
        path = PurePosixPath(file)
        if self.table is None:
            return group_of(path.stem, self.pattern) if self.pattern is not None else path.with_suffix("").as_posix()
        for key in (file, path.name, path.stem):
            if key in self.by_file:
                return self.by_file[key]
        raise DataError(f"{self.table}: no row for {file}; add its group")


def read_table(
    path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        columns: that must be there; others are allowed.
        optional: those of them that may be empty.

    Returns:
        Line number and values by column, of each row.

    Raises:
        DataError: naming the file and the line, if a column or a value is missing.
    """
    table = []
    limit = csv.field_size_limit(2**31 - 1)  # a mask's code can be longer than the 128 KiB that csv allows
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path}:1: no column {', '.join(missing)}; the table has the columns {','.join(columns)}"
                )
            for row in rows:
                if any(row[name] is None or not (row[name] or name in optional) for name in columns):
                    raise DataError(f"{path}:{rows.line_num}: {', '.join(columns)} must be given")
                table.append((rows.line_num, row))
    except (csv.Error, UnicodeDecodeError) as err:
        raise DataError(f"{path}: not a table of comma-separated values in UTF-8 ({err})") from err
    except OSError as err:
        raise DataError(
            f"{path}: cannot be read ({err.strerror}); give a CSV with the columns {','.join(columns)}"
        ) from err
    finally:
        csv.field_size_limit(limit)
    return table


def read_header(path: Path) -> list[str]:
    """Return the names of a CSV's columns; none if it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
