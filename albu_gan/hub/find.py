"""Where weights come from: a bundled name, a folder or a repository on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from albu_gan.hub.errors import WeightsError
from albu_gan.hub.fetch import COMMIT, download, is_damaged, summary
from albu_gan.hub.folder import CONFIG, MAX_BYTES, WeightsFolder, read_folder
from albu_gan.hub.patience import hub_transport_error, retry_after

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

DEFAULT_WEIGHTS = "surfaces-v1"
BUNDLED = Path(__file__).parent.parent / "weights"
REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
REVISION = re.compile(r"(?!.*\.\.)\w[\w.+#=@/-]*")
TOKEN = re.compile(r"[!-~]+")


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
        raise WeightsError(f"{name}: is a file; give the weights folder that it lies in")
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
    token = checked_token(token)
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
            for file in MAX_BYTES:
                if is_damaged(folder / file):
                    raise WeightsError(f"{folder / file}: has another hash than when it was downloaded")
            return read_folder(folder, f"{repo_id}@{folder.name}", folder.name)
        except WeightsError as err:
            raise WeightsError(f"{shown}: {reason}, and its copy in the cache cannot be used: {err}") from err

    if local_files_only or constants.HF_HUB_OFFLINE:
        return cached("the Hub must not be asked (local_files_only=True or HF_HUB_OFFLINE)")
    if revision and COMMIT.fullmatch(revision):
        with suppress(WeightsError):  # not in the cache, or not whole: ask the Hub
            return cached("")
    try:
        folder = download(repo_id, revision, token, cache)
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
        return cached(f"the Hub answered with error {err.response.status_code}{_what_to_do(err)}")
    except (OSError, RuntimeError, hub_transport_error()) as err:  # hf_xet raises RuntimeError
        return cached(f"the Hub could not be read ({summary(err)})")
    return read_folder(folder, f"{repo_id}@{folder.name}", folder.name)


def _what_to_do(err: HfHubHTTPError) -> str:
    """What the status of a refused answer means for the user."""
    status, wait = err.response.status_code, retry_after(err)
    when = f"in {wait:.0f} s" if wait else "in a few minutes"
    if status == 429:
        return f" (too many requests): try again {when}; one who is logged in (hf auth login) may ask more often"
    if status >= 500:
        return f" (it is overloaded or broken): try again {when}"
    if status == 403:
        return ": the token, or the network you are in, does not allow this; pass another token="
    return ""


def _cached_file(repo_id: str, file: str, revision: str | None, cache: Path) -> Path | None:
    """Return a file of a revision in huggingface_hub's cache, None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, file, cache_dir=cache, revision=revision)
    path = Path(found) if isinstance(found, str) else None
    if path is not None and revision and COMMIT.fullmatch(revision) and path.parent.name != revision:
        return None  # the cache holds a branch of that name, from a server that was no Hub
    return path


def checked_token(token: str | bool | None) -> str | bool | None:
    """Strip what a shell or an editor left around a token; an empty one is none."""
    if not isinstance(token, str):
        return token
    token = token.strip()
    if token and not TOKEN.fullmatch(token):
        raise WeightsError("token= holds characters that no Hub token has; copy it again from the Hub's settings")
    return token or None
