"""Waiting for the Hub, but not for long: what is slow is given up in seconds, what is busy is asked again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

CONNECT_SECONDS = 4.0  # for a connection, and for each answer on it
ANSWER_SECONDS = 7.0  # without any part of a file arriving, name lookup and every address tried included
ATTEMPTS = 4  # at a question that the Hub is too busy for, or at a file whose connection breaks off
FIRST_PAUSE = 0.5  # seconds before the second attempt, doubled before each further one
BUSY = frozenset({408, 429, 500, 502, 503, 504})
GIVEN_UP = "albu-gan-hub"  # name of the threads that wait

T = TypeVar("T")


class Patience:
    """How long a call goes on waiting; renewed by what arrives, so that a slow line may take its time."""

    def __init__(self) -> None:
        self._seconds = ANSWER_SECONDS
        self._given_up = threading.Event()
        self.renew()

    @property
    def seconds_left(self) -> float:
        """Seconds until the call is given up."""
        return self._ends - time.monotonic()

    @property
    def seconds_quiet(self) -> float:
        """Seconds since something arrived."""
        return time.monotonic() - self._renewed

    @property
    def seconds_until_worrying(self) -> float:
        """Seconds until a person should hear that nothing arrives."""
        return self._seconds - self.seconds_quiet

    def renew(self, extra: float = 0.0) -> None:
        """Something arrived; `extra` seconds more than usual may pass before the next thing does."""
        self._renewed = time.monotonic()
        self._ends = self._renewed + self._seconds + extra

    def give_up(self) -> None:
        """Tell the thread that works to stop as soon as it can."""
        self._given_up.set()

    def check(self) -> None:
        """Raise if nobody waits any more."""
        if self._given_up.is_set():
            raise TimeoutError("given up")

    def pause(self, seconds: float) -> None:
        """Wait between two attempts."""
        self._given_up.wait(seconds)
        self.check()


def patiently(work: Callable[[Patience], T], worry: Callable[[Patience], None] | None = None) -> T:
    """Return `work(patience)`, or raise TimeoutError once its patience ends.

    Args:
        work: what may take long.
        worry: called once, if nothing has arrived for as long as patience usually lasts, but it is to last longer.

    A timeout given to the HTTP client bounds neither the lookup of a name nor the number of addresses tried, and some
    questions are repeated by huggingface_hub: behind a firewall that drops packets, both take minutes. So the work is
    done in a thread, which is left behind if need be.
    """
    answer: Future[T] = Future()
    patience = Patience()

    def run() -> None:
        try:
            answer.set_result(work(patience))
        except BaseException as err:
            answer.set_exception(err)

    threading.Thread(target=run, name=GIVEN_UP, daemon=True).start()
    try:
        while True:
            left = patience.seconds_left if worry is None else patience.seconds_until_worrying
            try:
                return answer.result(timeout=max(left, 0.001))
            except FutureTimeoutError:
                if answer.done():
                    raise
                if patience.seconds_left <= 0:
                    raise TimeoutError(f"no answer within {patience.seconds_quiet:.0f} s") from None
                if worry is not None and patience.seconds_until_worrying <= 0:
                    worry(patience)
                    worry = None
    finally:
        patience.give_up()


def attempt(question: Callable[[], T], patience: Patience) -> T:
    """Return `question()`, asked again after a pause while the Hub is busy or the connection breaks off.

    A refused connection is not tried again: who is offline waits for nothing. Where the Hub says how long to wait
    (Retry-After), and that is longer than the patience, its answer is raised at once.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            return question()
        except Exception as err:
            pause = _pause(err, number)
            if pause is None or number == ATTEMPTS or pause >= patience.seconds_left:
                raise
            patience.pause(pause)
    raise AssertionError("unreachable")


def _pause(err: Exception, number: int) -> float | None:
    """Seconds to wait before the next attempt, None if there should be none."""
    from huggingface_hub.errors import HfHubHTTPError

    usual: float = FIRST_PAUSE * 2 ** (number - 1)
    if isinstance(err, HfHubHTTPError):
        if err.response.status_code not in BUSY:
            return None
        return max(usual, retry_after(err) or 0.0)
    broken = ("ReadError", "ReadTimeout", "RemoteProtocolError")  # of httpx or httpx2, see `hub_transport_error`
    return usual if type(err).__name__ in broken else None


def retry_after(err: Exception) -> float | None:
    """Seconds that a busy Hub asks to wait, None if it does not say."""
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(err, HfHubHTTPError):
        return None
    try:
        return max(0.0, float(err.response.headers["Retry-After"]))
    except (KeyError, ValueError):  # it may be a date
        return None


def hub_transport_error() -> type[Exception]:
    """Return the base of the errors that huggingface_hub's HTTP client raises for a failed connection.

    The client is httpx or httpx2, depending on huggingface_hub's version, and both may be installed.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
