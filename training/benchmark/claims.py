"""Several processes on one grid: who works on what."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".lock"


@contextlib.contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Claim the making of a file or folder for this process while the block runs.

    The claim is a file beside it that names host and process. One whose process has died on this host is taken over;
    that of another host is left alone.

    Args:
        path: of what is to be made; its folder exists.

    Yields:
        Whether it is ours to make; False where another process works on it.
    """
    lock = path.with_name(path.name + SUFFIX)
    ours = _create(lock) or (_is_stale(lock) and _take_over(lock))
    try:
        yield ours
    finally:
        if ours:
            lock.unlink(missing_ok=True)


def _owner() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def _create(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(_owner())
    return True


def _is_stale(lock: Path) -> bool:
    """Whether the owner was a process of this host that is no more."""
    try:
        host, pid = lock.read_text().split()
        if host != socket.gethostname():
            return False
        os.kill(int(pid), 0)
    except (ValueError, FileNotFoundError):  # just being written, or just removed
        return False
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _take_over(lock: Path) -> bool:
    """Replace a stale claim; of several that try, the one whose rename takes the old file away wins."""
    aside = lock.with_name(f"{lock.name}.{os.getpid()}")
    try:
        lock.rename(aside)
    except FileNotFoundError:
        return False
    if not _is_stale(aside):  # another process has taken it over between the look and the rename
        with contextlib.suppress(FileExistsError):
            os.link(aside, lock)
        aside.unlink(missing_ok=True)
        return False
    aside.unlink(missing_ok=True)
    return _create(lock)
