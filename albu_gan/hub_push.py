"""Publishing a weights folder on the Hugging Face Hub."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from albu_gan import hub_patience
from albu_gan.hub import checked_token
from albu_gan.hub_fetch import NOT_A_HUBS_ANSWER, summary
from albu_gan.hub_patience import Patience, attempt, hub_transport_error, patiently, retry_after
from albu_gan.weights_folder import CARD, WeightsError, WeightsFolder, read_folder, weights_files

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi
    from huggingface_hub.errors import HfHubHTTPError

SLOWEST = 100_000  # bytes a second that an upload may take before it is given up


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

    folder = read_folder(path, str(path))
    api = hub.HfApi(token=checked_token(token))
    files = {file.name: file.read_bytes() if file.name == CARD else file for file in weights_files(path)}
    seconds = hub_patience.ANSWER_SECONDS + sum(file.stat().st_size for file in weights_files(path)) / SLOWEST
    try:
        repo_id = patiently(lambda patience: _make_repository(api, repo_id, private, patience))
        if isinstance(files.get(CARD), bytes):
            files[CARD] = card_for(folder, repo_id)
        operations = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()
        ]

        def commit() -> CommitInfo:  # what was taken already is not made twice
            return api.create_commit(repo_id, operations, commit_message=commit_message, repo_type="model")

        with _first_trouble() as trouble:
            try:
                info = patiently(lambda patience: attempt(commit, patience), seconds)
            except TimeoutError as err:
                raise TimeoutError(f"{err}{''.join(f'; {line}' for line in trouble[:1])}") from err
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

    lines: list[str] = []
    handler = Collect(logging.WARNING)
    logger = logging.getLogger("huggingface_hub.utils._http")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
