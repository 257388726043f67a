"""Publishing a weights folder on the Hugging Face Hub."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from albu_gan.hub import patience as hub_patience
from albu_gan.hub.errors import WeightsError
from albu_gan.hub.fetch import NOT_A_HUBS_ANSWER, summary
from albu_gan.hub.find import checked_token
from albu_gan.hub.folder import CARD, WeightsFolder, read_folder, weights_files
from albu_gan.hub.patience import Patience, attempt, hub_transport_error, patiently, retry_after

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError


SLOWEST = 100_000  # bytes a second of a line that is waited for
UNSEEN = 8_000_000  # bytes that the system and a proxy may hold, so that they are read but not yet at the Hub

logger = logging.getLogger(__name__)


class UploadFile(io.BufferedReader):
    """A file on its way to the Hub, which tells how much of it is read for the first time.

    huggingface_hub sends an open file over plain HTTP, whether or not its second transport (hf_xet) is installed: what
    hf_xet does meanwhile cannot be seen, and it goes on trying for minutes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.on_progress: Callable[[int], None] | None = None
        self._furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on; a repetition from the start is no progress."""
        data = super().read(size)
        if self.on_progress is not None:
            position = self.tell()
            self.on_progress(max(position - self._furthest, 0))
            self._furthest = max(position, self._furthest)
        return data


def push_folder(
    path: Path, repo_id: str, *, private: bool | None, token: str | bool | None, commit_message: str
) -> str:
    """Upload a weights folder as a model repository in one commit, so that no one can fetch half of it.

    The card's snippet names the repository in what is uploaded, so that it can be copied and run.

    Returns:
        The commit.

    Raises:
        WeightsError: if the folder is not sound, or the Hub cannot be reached or does not take it.
    """
    import huggingface_hub as hub
    from huggingface_hub import errors

    folder, paths = read_folder(path, str(path)), weights_files(path)
    api = hub.HfApi(token=checked_token(token))
    try:
        repo_id = patiently(lambda patience: _make_repository(api, repo_id, private, patience))
        info = _publish(api, folder, paths, repo_id, commit_message)
    except errors.LocalTokenNotFoundError as err:
        raise WeightsError(f"{repo_id}: token=True but none is stored; log in (hf auth login)") from err
    except errors.HfHubHTTPError as err:
        raise WeightsError(f"{repo_id}: the Hub did not take the upload {_why(err)}") from err
    except (OSError, RuntimeError, *NOT_A_HUBS_ANSWER, hub_transport_error()) as err:
        raise WeightsError(
            f"{repo_id}: not published: {summary(err)}. Check the connection and try again; what has arrived already "
            "is not sent twice"
        ) from err
    except ValueError as err:  # of a name or of the card's metadata
        raise WeightsError(f"{repo_id}: not published: {' '.join(str(err).split())}. Correct it and try again") from err
    return str(info.oid)


def _make_repository(api: HfApi, repo_id: str, private: bool | None, patience: Patience) -> str:
    """Make the repository if there is none; returns its full name."""
    url = attempt(lambda: api.create_repo(repo_id, private=private, exist_ok=True, repo_type="model"), patience)
    if private:
        info = attempt(lambda: api.model_info(url.repo_id, timeout=hub_patience.CONNECT_SECONDS), patience)
        if not info.private:
            raise ValueError(
                f"private=True, but {url.repo_id} is there already and public; make it private in its settings on the "
                "Hub, or choose another name"
            )
    return url.repo_id


def _publish(api: HfApi, folder: WeightsFolder, paths: Sequence[Path], repo_id: str, commit_message: str) -> CommitInfo:
    """Upload and commit the files of a folder; each step is given up when nothing of it gets on."""
    from huggingface_hub import CommitOperationAdd

    def worry(patience: Patience) -> None:
        reason = "".join(f" ({line})" for line in trouble[:1])
        logger.warning(
            "%s: nothing has moved for %.0f s%s. A slow line may need it: this waits another %.0f s. Or press Ctrl+C "
            "and try again later: nothing is published before all is there, and what has arrived is not sent twice",
            repo_id,
            patience.seconds_quiet,
            reason,
            patience.seconds_left,
        )

    with ExitStack() as opened, _first_trouble() as trouble:
        operations = []
        for path in paths:
            content = card_for(folder, repo_id) if path.name == CARD else opened.enter_context(UploadFile(path))
            operations.append(CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=content))
        try:
            patiently(lambda patience: _upload(api, repo_id, operations, patience), worry)
            return patiently(lambda patience: _commit(api, repo_id, operations, commit_message, patience), worry)
        except TimeoutError as err:
            raise TimeoutError(f"{err}{''.join(f'; {line}' for line in trouble[:1])}") from err


def _upload(api: HfApi, repo_id: str, operations: Sequence[CommitOperationAdd], patience: Patience) -> None:
    """Send the large files, of which nobody sees anything before the commit.

    One by one: huggingface_hub sends several in threads of its own, which Python waits for when it ends. One that waits
    for a Hub that has fallen silent would keep the process for ever.
    """
    _renewing(operations, patience)
    for operation in operations:
        attempt(partial(api.preupload_lfs_files, repo_id, [operation], repo_type="model", free_memory=False), patience)


def _commit(
    api: HfApi, repo_id: str, operations: Sequence[CommitOperationAdd], message: str, patience: Patience
) -> CommitInfo:
    """Make what was sent, and the small files, a commit."""
    _renewing(operations, patience)
    return attempt(lambda: api.create_commit(repo_id, operations, commit_message=message, repo_type="model"), patience)


def _renewing(operations: Sequence[CommitOperationAdd], patience: Patience) -> None:
    """Let what is read of the files from now on renew a patience, by as long as a slow line needs to send it."""
    sent = 0

    def progress(count: int) -> None:
        nonlocal sent
        sent += count
        patience.check()
        if count:
            patience.renew(extra=min(sent, UNSEEN) / SLOWEST)

    for operation in operations:
        if isinstance(operation.path_or_fileobj, UploadFile):
            operation.path_or_fileobj.on_progress = progress


def card_for(folder: WeightsFolder, repo_id: str) -> bytes:
    """The card as it is published: its snippet loads the repository instead of a name that only the trainer has."""
    text = (folder.path / CARD).read_text(encoding="utf-8")
    name = folder.config.training.get("name")
    if isinstance(name, str) and name:
        text = text.replace(f'weights="{name}"', f'weights="{repo_id}"')
    return text.encode("utf-8")


def _why(err: HfHubHTTPError) -> str:
    """What a refused upload means for the user."""
    status, wait = err.response.status_code, retry_after(err)
    said = f": {' '.join(err.server_message.split())}" if err.server_message else ""
    remedy = f"try again {f'in {wait:.0f} s' if wait else 'later'}"
    if status in (401, 403, 404):
        remedy = "pass token= of one who may write there, or log in (hf auth login)"
    return f"(error {status}{said}); {remedy}"


@contextmanager
def _first_trouble() -> Iterator[list[str]]:
    """Collect what huggingface_hub says when it repeats a question: an upload given up should tell why."""

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage().splitlines()[0])

    def of_interest(record: logging.LogRecord) -> bool:
        return "Xet" not in record.getMessage()  # that an open file goes over plain HTTP is meant to be so

    lines: list[str] = []
    handler = Collect(logging.WARNING)
    repeating = logging.getLogger("huggingface_hub.utils._http")
    choosing = logging.getLogger("huggingface_hub._commit_api")
    repeating.addHandler(handler)
    choosing.addFilter(of_interest)
    try:
        yield lines
    finally:
        repeating.removeHandler(handler)
        choosing.removeFilter(of_interest)
