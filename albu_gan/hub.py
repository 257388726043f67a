"""Weights folders: where they come from, what they must hold, and how they are written and published.

A weights folder is `config.json`, `model.safetensors`, `masks.safetensors` and `README.md`, whether it is bundled with
the package, lies on disk or is a repository on the Hugging Face Hub. Nothing else is ever read: no pickle, no code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from albu_gan.generators import ARCHITECTURES
from albu_gan.generators.config import GeneratorConfig

FORMAT_VERSION = 1
CONFIG, MODEL, MASKS, CARD = "config.json", "model.safetensors", "masks.safetensors", "README.md"
REQUIRED = (CONFIG, MODEL, MASKS)
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
BUNDLED = Path(__file__).parent / "weights"
MAX_CONFIG_BYTES = 1 << 20
MAX_TENSOR_BYTES = 2 << 30  # of one safetensors file
MAX_HEADER_BYTES = 16 << 20
MAX_CARD_BYTES = 16 << 20
MAX_BYTES = {CONFIG: MAX_CONFIG_BYTES, MODEL: MAX_TENSOR_BYTES, MASKS: MAX_TENSOR_BYTES, CARD: MAX_CARD_BYTES}
CONNECT_SECONDS = 5.0  # for a connection, and for each answer on it
ANSWER_SECONDS = 8.0  # for a question to the Hub as a whole, name lookup and every address tried included
REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"(?!.*\.\.)\w[\w.+#=@/-]*")
TOKEN = re.compile(r"[!-~]+")
NOT_A_HUBS_ANSWER = (json.JSONDecodeError, KeyError, TypeError, AttributeError)  # a login page of the network, say

T = TypeVar("T")


class WeightsError(ValueError):
    """Weights that cannot be found or used; the message names the place and says what to do."""


@dataclass(frozen=True)
class WeightsConfig:
    """The contents of `config.json`.

    Attributes:
        generator: what the network is built from.
        class_names: in the order of the network's class masks.
        window_sizes: pixels the network was trained at, ascending.
        training: provenance, free-form JSON: data, split, commit, steps, licence.
        metrics: measured figures, free-form JSON.
    """

    generator: GeneratorConfig
    class_names: tuple[str, ...]
    window_sizes: tuple[int, ...]
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, `format_version` first."""
        return {
            "format_version": FORMAT_VERSION,
            "generator": self.generator.to_dict(),
            "class_names": list(self.class_names),
            "window_sizes": list(self.window_sizes),
            "normalization": {"mean": 0.5, "std": 0.5},
            "training": self.training,
            "metrics": self.metrics,
        }

    @classmethod
    def from_dict(cls, values: Any) -> WeightsConfig:
        """Check and take over what `config.json` holds.

        Raises:
            ValueError: saying which entry is wrong.
        """
        if not isinstance(values, dict):
            raise ValueError("must hold a JSON object")
        version = values.get("format_version")
        if not isinstance(version, int) or isinstance(version, bool):
            raise ValueError("has no integer 'format_version'; this is not an albu-gan weights folder")
        if version > FORMAT_VERSION:
            raise ValueError(f"has format_version {version}, this albu-gan reads up to {FORMAT_VERSION}")
        if version < 1:
            raise ValueError(f"has format_version {version}; versions start at 1")
        names, sizes = values.get("class_names"), values.get("window_sizes")
        if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f"'class_names' must be a list of names, got {names!r}")
        if len(set(names)) != len(names):
            raise ValueError(f"'class_names' repeats a name: {names!r}")
        if (
            not isinstance(sizes, list)
            or not sizes
            or not all(isinstance(s, int) and not isinstance(s, bool) and 16 <= s <= 2048 for s in sizes)
            or sizes != sorted(set(sizes))
        ):
            raise ValueError(f"'window_sizes' must be ascending integers from 16 to 2048, got {sizes!r}")
        if values.get("normalization") != {"mean": 0.5, "std": 0.5}:
            raise ValueError(f"'normalization' must be mean 0.5, std 0.5, got {values.get('normalization')!r}")
        try:
            generator = GeneratorConfig.from_dict(values.get("generator", {}))
        except TypeError as err:
            raise ValueError(f"'generator' is not understood: {err}") from err
        if generator.architecture not in list(ARCHITECTURES):  # a list, as the value may not be hashable
            known = ", ".join(sorted(ARCHITECTURES))
            raise ValueError(f"has the unknown architecture {generator.architecture!r} (known: {known})")
        if generator.num_classes != len(names):
            raise ValueError(f"names {len(names)} classes but its generator has num_classes {generator.num_classes}")
        for key in ("training", "metrics"):
            if not isinstance(values.get(key, {}), dict):
                raise ValueError(f"{key!r} must be an object")
        return cls(generator, tuple(names), tuple(sizes), values.get("training", {}), values.get("metrics", {}))


@dataclass(frozen=True)
class WeightsFolder:
    """A checked weights folder on disk.

    Attributes:
        path: the folder.
        config: its `config.json`.
        name: what names it again: a bundled name, a path, or `org/name@commit`.
        commit: of the Hub repository, None for a folder.
    """

    path: Path
    config: WeightsConfig
    name: str
    commit: str | None = None


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


def read_folder(path: Path, name: str, commit: str | None = None) -> WeightsFolder:
    """Check that a folder holds sound weights; opens headers only, so it is cheap whatever the files claim.

    Raises:
        WeightsError: naming the first file that is missing, truncated, oversized or not understood.
    """
    for file in REQUIRED:
        if not (path / file).is_file():
            raise WeightsError(_missing(str(path / file), {entry.name for entry in path.iterdir()}))
    config_path = path / CONFIG
    if config_path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsError(
            f"{config_path}: {config_path.stat().st_size} bytes is too large for a config; download or export it again"
        )
    try:
        values = json.loads(config_path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise WeightsError(f"{config_path}: is not valid JSON ({err}); download or export it again") from err
    except OSError as err:
        raise WeightsError(f"{config_path}: cannot be read ({err.strerror}); check its permissions") from err
    try:
        config = WeightsConfig.from_dict(values)
    except ValueError as err:
        remedy = "upgrade albu-gan, or download or export the folder again"
        raise WeightsError(f"{config_path}: {err}; {remedy}") from err
    for file in (MODEL, MASKS):
        check_safetensors(path / file)
    return WeightsFolder(path, config, name, commit)


def _missing(place: str, names: Collection[str]) -> str:
    """Say that the file at `place` is missing beside `names`, and what to do."""
    pickles = sorted(name for name in names if Path(name).suffix in PICKLES)
    hint = f" ({pickles[0]} is a pickle, which albu-gan never opens)" if pickles else ""
    return (
        f"{place}: missing{hint}. A weights folder holds {', '.join(REQUIRED)}; "
        "export it again with python -m training.gan, or download it again"
    )


def check_safetensors(path: Path) -> None:
    """Check a safetensors file's header against its size without reading a tensor.

    Raises:
        WeightsError: if it is no safetensors file, is truncated or has bytes too many, or is larger than allowed.
    """
    size = path.stat().st_size
    if size > MAX_TENSOR_BYTES:
        raise WeightsError(f"{path}: {size} bytes is more than albu-gan loads ({MAX_TENSOR_BYTES}); is this its file?")
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise WeightsError(f"{path}: not a safetensors file, or truncated; download or export it again")
            header = file.read(length)
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); check its permissions") from err
    try:
        entries = json.loads(header)
        ends = [value["data_offsets"][1] for key, value in entries.items() if key != "__metadata__"]
        if not all(isinstance(end, int) for end in ends):
            raise TypeError("data_offsets must be integers")
        end = max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as err:
        raise WeightsError(f"{path}: its safetensors header is damaged; download or export it again") from err
    if 8 + length + end != size:
        state = "truncated" if 8 + length + end > size else "oversized"
        raise WeightsError(f"{path}: {state}, {size} bytes instead of {8 + length + end}; download or export it again")


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
            raise WeightsError(_missing(f"{repo_id}@{commit}/{file}", sizes))
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


def write_folder(
    path: Path,
    config: WeightsConfig,
    model: dict[str, np.ndarray],
    masks: dict[str, np.ndarray],
    card: str,
    pictures: dict[str, bytes] | None = None,
) -> None:
    """Write a weights folder whole: into a temporary folder beside it, then renamed. An existing folder is replaced.

    Args:
        path: the folder.
        config: for `config.json`.
        model: the network's state.
        masks: the mask bank's tensors.
        card: Markdown of `README.md`.
        pictures: name to PNG bytes, for the card.

    Raises:
        FileExistsError: if `path` exists and is not a weights folder.
    """
    from safetensors.numpy import save_file

    with _replacing(path) as partial:
        for file, tensors in ((MODEL, model), (MASKS, masks)):
            # safetensors writes an array's memory as it lies: one in channels_last order would come back scrambled.
            save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, partial / file)
            (partial / file).chmod(0o644)
        (partial / CONFIG).write_text(json.dumps(config.to_dict(), indent=1), encoding="utf-8")
        (partial / CARD).write_text(card, encoding="utf-8")
        for name, data in (pictures or {}).items():
            (partial / name).write_bytes(data)


def copy_folder(source: Path, path: Path) -> None:
    """Copy a weights folder whole, as `write_folder` writes one: its files and the card's pictures, nothing else.

    Raises:
        FileExistsError: if `path` exists and is not a weights folder.
    """
    if path.expanduser().resolve() == source.resolve():
        return
    with _replacing(path) as partial:
        for file in _files(source):
            shutil.copyfile(file, partial / file.name)


def _files(path: Path) -> list[Path]:
    """What of a folder belongs to the weights."""
    return sorted(
        file for file in path.iterdir() if file.is_file() and (file.name in MAX_BYTES or file.suffix == ".png")
    )


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary folder that takes `path`'s place when the block ends well, and vanishes when it does not."""
    path = path.expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path}: exists and is a file; choose another folder")
    if path.exists() and not ((path / CONFIG).is_file() and (path / MASKS).is_file()) and any(path.iterdir()):
        raise FileExistsError(f"{path}: exists and is not a weights folder; choose another")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, old = (path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{state}") for state in ("partial", "old"))
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rename(old)
        try:
            partial.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


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
    api = hub.HfApi(token=_checked_token(token))
    try:
        repo_id = _ask(lambda: api.create_repo(repo_id, private=private, exist_ok=True, repo_type="model")).repo_id
        operations = [hub.CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in _files(path)]
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
