"""Where weights come from: a bundled name, a folder or a repository on the Hugging Face Hub; and how they get there."""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from albu_gan.weights_folder import (
    CONFIG,
    MAX_BYTES,
    REQUIRED,
    WeightsError,
    WeightsFolder,
    missing_file,
    read_folder,
    weights_files,
)

BUNDLED = Path(__file__).parent / "weights"
CONNECT_SECONDS = 5.0  # for a connection, and for each answer on it
ANSWER_SECONDS = 8.0  # for a question to the Hub as a whole, name lookup and every address tried included
REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"(?!.*\.\.)\w[\w.+#=@/-]*")
TOKEN = re.compile(r"[!-~]+")
NOT_A_HUBS_ANSWER = (json.JSONDecodeError, KeyError, TypeError, AttributeError)  # a login page of the network, say

T = TypeVar("T")


def bundled_names() -> list[str]:
    """Return the names of the weights that come with the package."""
    return (
        sorted(folder.name for folder in BUNDLED.iterdir() if (folder / CONFIG).is_file()) if BUNDLED.is_dir() else []
    )


def is_hub_name(name: object) -> bool:
    """Return whether `name` can only mean a Hub repository: no bundled name, no folder, but `org/name[@revision]`."""
    if not isinstance(name, str) or name in bundled_names() or _existing(name) is not None:
        return False
    return REPO_ID.fullmatch(name.partition("@")[0]) is not None and not name.endswith("@")


def _existing(name: str) -> Path | None:
    """Return `name` as a path if something is there; None also for a string that no file system takes."""
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):  # too long, `~nobody`, a null character
        return None


def find_weights(
    name: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> WeightsFolder:
    """Find a weights folder by bundled name, path or Hub repository, and check every file's header.

    Args:
        name: a bundled name, a folder, `org/name` or `org/name@revision`.
        revision: branch, tag or commit of a Hub repository; None takes the one in `name`, or `main`.
        token: for private repositories; None takes the one that `hf auth login` stored.
        cache_dir: of the Hub; None takes huggingface_hub's.
        local_files_only: never ask the Hub, use its cache.

    Raises:
        WeightsError: if nothing is found, or what is found is not a sound weights folder.
    """
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        raise WeightsError(f"weights must be a bundled name, a folder or a Hub repository, got {name!r}")
    name = os.fspath(name)
    if name in bundled_names():
        return read_folder(BUNDLED / name, name)
    path = _existing(name)
    if path is not None and path.is_dir():
        return read_folder(path, name)
    repo_id, _, inline = name.partition("@")
    if is_hub_name(name):
        if inline and revision and inline != revision:
            raise WeightsError(f"{name!r} names revision {inline!r} but revision={revision!r} was given; give one")
        return _from_hub(repo_id, inline or revision, token, cache_dir, local_files_only)
    if path is not None:
        raise WeightsError(f"{name}: is a file; give the weights folder that holds {', '.join(REQUIRED)}")
    if os.sep in name or "/" in name or "\\" in name or name.startswith((".", "~")):
        raise WeightsError(f"{name}: no such folder. A Hub repository is written org/name or org/name@revision")
    raise WeightsError(
        f"{name!r} is no bundled name ({', '.join(bundled_names())}), no folder, and no Hub repository (org/name)"
    )


def _from_hub(
    repo_id: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> WeightsFolder:
    """Resolve a repository to a commit once and fetch that commit's files; without a Hub, fall back on the cache."""
    from huggingface_hub import constants, errors
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, without an __all__

    shown = f"{repo_id}@{revision}" if revision else repo_id
    try:
        validate_repo_id(repo_id)
    except ValueError as err:
        raise WeightsError(f"{shown}: no such folder, and no name of a Hub repository: {err}") from err
    if revision is not None and (not isinstance(revision, str) or not REVISION.fullmatch(revision)):
        raise WeightsError(f"{repo_id}: revision must be a branch, a tag or a commit, got {revision!r}")
    token = _checked_token(token)
    cache = Path(constants.HF_HUB_CACHE if cache_dir is None else cache_dir).expanduser()

    def cached(reason: str) -> WeightsFolder:
        config = _cached_file(repo_id, CONFIG, revision, cache)
        if config is None:
            raise WeightsError(
                f"{shown}: no such folder; {reason}, and it is not in the cache {cache}. "
                "Connect once to download it, or give a folder or a bundled name"
            )
        folder = config.parent
        try:
            return read_folder(folder, f"{repo_id}@{folder.name}", folder.name)
        except WeightsError as err:
            raise WeightsError(f"{shown}: {reason}, and its copy in the cache cannot be used: {err}") from err

    if local_files_only or constants.HF_HUB_OFFLINE:
        return cached("the Hub must not be asked (local_files_only=True or HF_HUB_OFFLINE)")
    if revision and COMMIT.fullmatch(revision):
        with suppress(WeightsError):  # not in the cache, or not whole: ask the Hub
            return cached("")
    try:
        folder = _download(repo_id, revision, token, cache)
    except errors.GatedRepoError as err:
        raise WeightsError(
            f"{shown}: access is gated; ask for it at {constants.ENDPOINT}/{repo_id}, then pass token= or log in "
            "(hf auth login)"
        ) from err
    except errors.RepositoryNotFoundError as err:
        raise WeightsError(
            f"{shown}: no such folder, and no such repository on the Hub, or it is private; check the name, "
            "or pass token= or log in (hf auth login)"
        ) from err
    except errors.RevisionNotFoundError as err:
        raise WeightsError(
            f"{shown}: the repository has no revision {revision!r}; give one of the branches, tags or commits at "
            f"{constants.ENDPOINT}/{repo_id}/tree/main"
        ) from err
    except errors.LocalTokenNotFoundError as err:
        raise WeightsError(
            f"{shown}: token=True but none is stored; log in (hf auth login) or pass token='hf_...'"
        ) from err
    except errors.HfHubHTTPError as err:
        if err.response.status_code == 401:
            raise WeightsError(
                f"{shown}: the Hub refused the token; pass another, or log in again (hf auth login)"
            ) from err
        return cached(f"the Hub answered with error {err.response.status_code}")
    except (OSError, RuntimeError, hub_transport_error()) as err:  # hf_xet raises RuntimeError
        return cached(f"the Hub could not be read ({_summary(err)})")
    return read_folder(folder, f"{repo_id}@{folder.name}", folder.name)


def _download(repo_id: str, revision: str | None, token: str | bool | None, cache: Path) -> Path:
    """Fetch the files of one commit into huggingface_hub's cache; returns the snapshot folder, named by the commit.

    The revision is resolved before any file is fetched, and recorded in the cache after all are: neither a branch that
    moves nor an interrupted download can mix two revisions. What the repository lists is checked first, so that a
    pickle or a file too large is never downloaded.
    """
    import huggingface_hub as hub

    api = hub.HfApi(token=token)

    def look_up() -> tuple[str, dict[str, int]]:
        try:
            commit = api.model_info(repo_id, revision=revision, timeout=CONNECT_SECONDS).sha
            if commit is None or not COMMIT.fullmatch(commit):
                raise TypeError(f"no commit, but {commit!r}")
            tree = api.list_repo_tree(repo_id, revision=commit)
            return commit, {entry.path: entry.size for entry in tree if isinstance(entry, hub.RepoFile)}
        except (ValueError, *NOT_A_HUBS_ANSWER) as err:
            raise ConnectionError(f"its answer is not a Hub's: {_summary(err)}") from err

    commit, sizes = _ask(look_up)
    for file in REQUIRED:
        if file not in sizes:
            raise WeightsError(missing_file(f"{repo_id}@{commit}/{file}", sizes))
    folder = cache
    for file, most in MAX_BYTES.items():
        size = sizes.get(file)
        if size is None:
            continue
        if size > most:
            raise WeightsError(f"{repo_id}@{commit}/{file}: {size} bytes is more than albu-gan loads ({most})")
        path = _cached_file(repo_id, file, commit, cache)
        if path is None or path.stat().st_size != size:
            url = hub.hf_hub_url(repo_id, file, revision=commit)
            _ask(lambda url=url: _check_served(url, token))  # type: ignore[misc]
            path = Path(
                hub.hf_hub_download(
                    repo_id,
                    file,
                    revision=commit,
                    token=token,
                    cache_dir=cache,
                    etag_timeout=CONNECT_SECONDS,
                    force_download=path is not None,
                )
            )
            if path.parent.name != commit:
                raise ConnectionError(f"it sent {file} of another commit than {commit}")
        folder = path.parent
    if revision != commit:
        _record_revision(folder, revision or "main", commit)
    return folder


def _ask(question: Callable[[], T]) -> T:
    """Return `question()`, or raise TimeoutError after `ANSWER_SECONDS`.

    A timeout given to the HTTP client bounds neither the lookup of a name nor the number of addresses tried, and some
    questions are repeated by huggingface_hub: behind a firewall that drops packets, both take minutes.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(question())
        except BaseException as err:
            answer.set_exception(err)

    threading.Thread(target=run, name="albu-gan-hub", daemon=True).start()
    try:
        return answer.result(timeout=ANSWER_SECONDS)
    except FutureTimeoutError:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS:g} s") from None


def _check_served(url: str, token: str | bool | None) -> None:
    """Fetch a file's first byte: once asked for a whole file, huggingface_hub waits for a dead server for minutes."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    headers = {**build_hf_headers(token=token), "Range": "bytes=0-0"}
    with get_session().stream("GET", url, headers=headers, timeout=CONNECT_SECONDS) as response:
        if response.status_code != 416:  # an empty file has no first byte
            hf_raise_for_status(response)
        for _ in response.iter_raw():
            break


def _cached_file(repo_id: str, file: str, revision: str | None, cache: Path) -> Path | None:
    """Return a file of a revision in huggingface_hub's cache, None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, file, cache_dir=cache, revision=revision)
    path = Path(found) if isinstance(found, str) else None
    if path is not None and revision and COMMIT.fullmatch(revision) and path.parent.name != revision:
        return None  # the cache holds a branch of that name, from a server that was no Hub
    return path


def _record_revision(snapshot: Path, revision: str, commit: str) -> None:
    """Note in the cache which commit a branch or tag led to, for times without a Hub. A cache may be read-only."""
    ref = snapshot.parent.parent / "refs" / revision
    partial = ref.with_name(f"{ref.name}.{uuid.uuid4().hex[:8]}.tmp")
    with suppress(OSError):
        ref.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(commit, encoding="utf-8")
        partial.replace(ref)


def _checked_token(token: str | bool | None) -> str | bool | None:
    """Strip what a shell or an editor left around a token; an empty one is none."""
    if not isinstance(token, str):
        return token
    token = token.strip()
    if token and not TOKEN.fullmatch(token):
        raise WeightsError("token= holds characters that no Hub token has; copy it again from the Hub's settings")
    return token or None


def _summary(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def hub_transport_error() -> type[Exception]:
    """Return the base of the errors that huggingface_hub's HTTP client raises for a failed connection.

    The client is httpx or httpx2, depending on huggingface_hub's version, and both may be installed.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")


def push_folder(
    path: Path, repo_id: str, *, private: bool | None, token: str | bool | None, commit_message: str
) -> str:
    """Upload a weights folder as a model repository in one commit, so that no one can fetch half of it.

    Returns:
        The commit.

    Raises:
        WeightsError: if the folder is not sound, or the Hub cannot be reached or does not take it.
    """
    import huggingface_hub as hub
    from huggingface_hub import errors

    read_folder(path, str(path))
    files = weights_files(path)
    api = hub.HfApi(token=_checked_token(token))
    try:
        repo_id = _ask(lambda: api.create_repo(repo_id, private=private, exist_ok=True, repo_type="model")).repo_id
        operations = [hub.CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in files]
        info = api.create_commit(repo_id, operations, commit_message=commit_message, repo_type="model")
    except errors.LocalTokenNotFoundError as err:
        raise WeightsError(f"{repo_id}: token=True but none is stored; log in (hf auth login)") from err
    except errors.HfHubHTTPError as err:
        status = err.response.status_code
        if status in (401, 403, 404):
            remedy = "pass token= of one who may write there, or log in (hf auth login)"
        else:
            remedy = "try again later"
        raise WeightsError(f"{repo_id}: the Hub did not take the upload (error {status}); {remedy}") from err
    except (OSError, RuntimeError, *NOT_A_HUBS_ANSWER, hub_transport_error()) as err:
        raise WeightsError(f"{repo_id}: not published: {_summary(err)}. Check the connection and try again") from err
    except ValueError as err:  # of a name or of the card's metadata
        raise WeightsError(f"{repo_id}: not published: {' '.join(str(err).split())}. Correct it and try again") from err
    return str(info.oid)
