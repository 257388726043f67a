"""One commit of a Hub repository into huggingface_hub's cache: whole and checked against its hashes, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from albu_gan.hub import patience as hub_patience
from albu_gan.hub.errors import WeightsError
from albu_gan.hub.folder import CONFIG, MAX_BYTES, missing_file, read_config, required_files
from albu_gan.hub.patience import Patience, attempt, patiently

COMMIT = re.compile(r"[0-9a-f]{40}")
CONTENT_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
NOT_A_HUBS_ANSWER = (json.JSONDecodeError, KeyError, TypeError, AttributeError)  # a login page of the network, say
CHUNK = 1 << 16  # bytes; a line that brings fewer while patience lasts is given up


@dataclass(frozen=True)
class Listed:
    """A file as a commit lists it.

    Attributes:
        size: in bytes.
        content_hash: git's SHA-1 of a small file, the SHA-256 of one in large file storage.
    """

    size: int
    content_hash: str


def download(repo_id: str, revision: str | None, token: str | bool | None, cache: Path) -> Path:
    """Fetch the files of one commit; returns the snapshot folder, named by the commit.

    The revision is resolved once, together with sizes and hashes, before any file is fetched, and recorded in the cache
    after all are: neither a branch that moves nor an interrupted download can mix two revisions. What is listed is
    checked first, so that a pickle or a file too large is never downloaded. A file is stored under the hash that its
    content has: bytes that are not those of the commit never get into the cache.

    Raises:
        WeightsError: if the repository holds no weights.
        HfHubHTTPError, OSError, or the HTTP client's: if the Hub refuses, or cannot be reached.
    """
    return patiently(lambda patience: _download(repo_id, revision, token, cache, patience))


def _download(repo_id: str, revision: str | None, token: str | bool | None, cache: Path, patience: Patience) -> Path:
    import huggingface_hub as hub
    from huggingface_hub.file_download import repo_folder_name

    commit, files = attempt(lambda: _look_up(repo_id, revision, token), patience)
    if CONFIG not in files:
        raise WeightsError(missing_file(f"{repo_id}@{commit}/{CONFIG}", files))
    for file, most in MAX_BYTES.items():
        if file in files and files[file].size > most:
            raise WeightsError(
                f"{repo_id}@{commit}/{file}: {files[file].size} bytes is more than albu-gan loads ({most})"
            )
    store = cache / repo_folder_name(repo_id=repo_id, repo_type="model")
    snapshot = store / "snapshots" / commit
    for file in MAX_BYTES:
        if file in files and not has_content(snapshot / file, files[file].content_hash):
            blob = store / "blobs" / files[file].content_hash
            if not has_content(blob, files[file].content_hash):
                url = hub.hf_hub_url(repo_id, file, revision=commit)
                _fetch(url, token, files[file], blob, commit, patience)
            _point(snapshot / file, blob)
        if file == CONFIG:  # which comes first: what it names must be there before any of it is fetched
            for named in required_files(read_config(snapshot / CONFIG)):
                if named not in files:
                    raise WeightsError(missing_file(f"{repo_id}@{commit}/{named}", files))
    if revision != commit:
        _record_revision(store / "refs" / (revision or "main"), commit)
    return snapshot


def _look_up(repo_id: str, revision: str | None, token: str | bool | None) -> tuple[str, Mapping[str, Listed]]:
    """Ask which commit a revision is, and what it holds: one question, so that the answers belong together."""
    import huggingface_hub as hub

    api = hub.HfApi(token=token)
    try:
        info = api.model_info(repo_id, revision=revision, timeout=hub_patience.CONNECT_SECONDS, files_metadata=True)
        if info.sha is None or not COMMIT.fullmatch(info.sha):
            raise TypeError(f"no commit, but {info.sha!r}")
        files = {}
        for entry in info.siblings or []:
            content_hash = entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
            if entry.rfilename in MAX_BYTES and not (
                isinstance(content_hash, str) and CONTENT_HASH.fullmatch(content_hash) and isinstance(entry.size, int)
            ):
                raise TypeError(f"no size and hash of {entry.rfilename}")
            files[entry.rfilename] = Listed(entry.size or 0, str(content_hash))
        return info.sha, files
    except (ValueError, *NOT_A_HUBS_ANSWER) as err:
        raise ConnectionError(f"its answer is not a Hub's: {summary(err)}") from err


def _fetch(url: str, token: str | bool | None, listed: Listed, blob: Path, commit: str, patience: Patience) -> None:
    """Fetch a file to its place among the blobs; a connection that breaks off is taken up where it broke."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, without an __all__

    blob.parent.mkdir(parents=True, exist_ok=True)
    partial = blob.with_name(f"{blob.name}.{uuid.uuid4().hex[:8]}.incomplete")
    name = url.rpartition("/")[2]
    try:
        with (
            partial.open("w+b") as file,
            tqdm(total=listed.size, unit="B", unit_scale=True, desc=name, leave=False) as bar,  # type: ignore[no-untyped-call]
        ):
            attempt(lambda: _receive(url, token, listed, file, commit, patience, bar), patience)
        if not has_content(partial, listed.content_hash):
            raise ConnectionError(
                f"what arrived as {name} has not the hash that the repository lists for it ({listed.content_hash}); "
                "try again, and if it stays so, ask who runs the proxy or mirror"
            )
        patience.check()
        partial.replace(blob)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    patience.renew()


def _receive(
    url: str, token: str | bool | None, listed: Listed, file: BinaryIO, commit: str, patience: Patience, bar: Any
) -> None:
    """Append to a file what it still lacks."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, without an __all__
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    received = file.seek(0, os.SEEK_END)
    renewed = received
    headers = {**build_hf_headers(token=token), "Accept-Encoding": "identity"}
    if received:
        headers["Range"] = f"bytes={received}-"
    with get_session().stream("GET", url, headers=headers, timeout=hub_patience.CONNECT_SECONDS) as response:
        hf_raise_for_status(response)
        first = response.history[0] if response.history else response  # the Hub itself, before it sends elsewhere
        if first.headers.get("X-Repo-Commit", commit) != commit:
            raise ConnectionError(f"it sent a file of another commit than {commit}")
        if received and response.status_code != 206:
            received = renewed = file.seek(0)
            file.truncate()
        bar.update(received - bar.n)
        for part in response.iter_bytes():
            patience.check()
            received += file.write(part)
            bar.update(len(part))
            if received > listed.size:
                raise ConnectionError(f"it sends more than the {listed.size} bytes that the repository lists")
            if received - renewed >= CHUNK:
                renewed = received
                patience.renew()
    if received < listed.size:
        raise ConnectionError(f"it sent {received} bytes of the {listed.size} that the repository lists")


def has_content(path: Path, content_hash: str) -> bool:
    """Whether a file is there and has a hash: git's SHA-1 if that has 40 digits, else SHA-256."""
    try:
        size = path.stat().st_size
        digest = hashlib.sha256() if len(content_hash) == 64 else hashlib.sha1(b"blob %d\0" % size)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return False
    return digest.hexdigest() == content_hash


def is_damaged(path: Path) -> bool:
    """Whether a file of the cache is not what it was stored as: the cache names a file's place by its hash."""
    name = path.resolve().name
    return path.is_symlink() and CONTENT_HASH.fullmatch(name) is not None and not has_content(path, name)


def _point(pointer: Path, blob: Path) -> None:
    """Let a snapshot's file be a blob; where no links can be made, a copy of it."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    partial = pointer.with_name(f".{pointer.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        partial.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        shutil.copyfile(blob, partial)
    partial.replace(pointer)


def _record_revision(ref: Path, commit: str) -> None:
    """Note in the cache which commit a branch or tag led to, for times without a Hub. A cache may be read-only."""
    partial = ref.with_name(f"{ref.name}.{uuid.uuid4().hex[:8]}.tmp")
    with suppress(OSError):
        ref.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(commit, encoding="utf-8")
        partial.replace(ref)


def summary(error: BaseException) -> str:
    """An error's type and the first line of its message, and the same of what caused it if that says more."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        text += f" ({summary(error.__cause__)})"
    return text
