"""Data that cannot be read: an error, or one more line in a list."""

from __future__ import annotations

from pathlib import Path


class DataError(ValueError):
    """A data set that cannot be read; the message names the file and says what to do."""


class Problems:
    """What is wrong with single images of a data set.

    Args:
        skip: collect the problems; otherwise the first one is raised.
    """

    def __init__(self, skip: bool) -> None:
        self.skip = skip
        self.messages: list[str] = []

    def report(self, message: str) -> None:
        """Note a problem with one image.

        Raises:
            DataError: with this message, unless bad images are skipped.
        """
        if not self.skip:
            raise DataError(message)
        self.messages.append(message)


def counted(number: int, noun: str) -> str:
    """Return a number and a noun: "1 image", "2 images", "2 patches"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith(('ch', 's')) else 's'}"


def text_error(path: Path, err: Exception) -> DataError:
    """Return the error that says why a text file could not be read."""
    if isinstance(err, UnicodeDecodeError):
        return DataError(f"{path}: not text in UTF-8 ({err.reason}); export it again, or save it as UTF-8")
    return DataError(f"{path}: cannot be read ({getattr(err, 'strerror', None) or err})")
