"""Things that a process loads once, whoever asks for them, in whichever thread."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")
_ALL: weakref.WeakSet[OncePerProcess] = weakref.WeakSet()  # type: ignore[type-arg]


class OncePerProcess(Generic[Loaded]):
    """What was loaded, by key. A forked process goes on with what its parent had loaded."""

    def __init__(self) -> None:
        self.loaded: dict[Hashable, Loaded] = {}
        self._lock = threading.Lock()
        _ALL.add(self)

    def get(self, key: Hashable, load: Callable[[], Loaded]) -> Loaded:
        """Return what `key` names, loaded by the first thread that asks; a load that raises is tried again."""
        if key not in self.loaded:
            with self._lock:
                if key not in self.loaded:
                    self.loaded[key] = load()
        return self.loaded[key]

    def renew_lock(self) -> None:
        """Forget who holds the lock: in a forked process that thread does not exist."""
        self._lock = threading.Lock()


def _renew_locks() -> None:
    for once in list(_ALL):
        once.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
