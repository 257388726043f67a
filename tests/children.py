"""Processes forked from that of the tests: to be killed, or to be two, without importing everything anew."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import torch


class Child:
    """A process in a session of its own that runs a function and ends with what it returns.

    It has one thread, the usual handlers of signals, and writes what it says to a file: what it inherits of the tests'
    process is imported modules. How an interpreter ends is not tested with it: it has no end but that of the process.
    """

    def __init__(self, work: Callable[[], object], log: Path) -> None:
        self.log = log
        self.returncode: int | None = None
        log.touch()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(work)

    def _run(self, work: Callable[[], object]) -> None:
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with self.log.open("w", buffering=1) as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout = sys.stderr = said
                torch.set_num_threads(1)
                cv2.setNumThreads(0)
                try:
                    code = int(work() or 0)  # type: ignore[call-overload]
                except SystemExit as err:
                    code = err.code if isinstance(err.code, int) else int(bool(err.code))
                except BaseException:
                    traceback.print_exc()
        finally:
            os._exit(code)

    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def poll(self) -> int | None:
        """Its status if it has ended, negative for the signal that ended it."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 240.0) -> int:
        """Wait for its end; return its status."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < deadline, f"it goes on and on\n{self.said()}"
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """End it as nothing can prepare for, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
