"""A stand-in for the Hugging Face Hub on 127.0.0.1, for the real huggingface_hub client.

It keeps repositories in memory, speaks the part of the Hub's HTTP interface that downloading and publishing a model
needs, and misbehaves on demand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_standin"  # opens private repositories, and may write
OTHER_TOKEN = "hf_stranger"  # a valid account without rights

LARGE = ".safetensors"  # suffix of what is kept in large file storage, at another address

UPLOAD_PART = 1 << 18  # bytes of a large upload that are read at a time where it is read slowly

Files = dict[str, bytes]


@dataclass
class Repository:
    """A model repository: its commits and what its branches and tags point to."""

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False


@dataclass
class Faults:
    """What the server does wrong."""

    status: int | None = None  # the answer to everything
    status_on: str = ""  # `status` only for requests whose line contains this
    retry_after: str = ""  # Retry-After beside `status`
    times: int = 10**9  # how often `status`, `cut`, `stall` and `corrupt` happen before all is well again
    body: bytes | None = None  # a page that answers everything with 200, as a hotel's network does
    delay: float = 0.0  # seconds before every answer
    delay_on: str = ""  # `delay` only for requests whose line contains this
    cut: str = ""  # a file whose connection breaks off after half its bytes
    stall: str = ""  # a file of which nothing comes after the first byte
    trickle: str = ""  # a file that comes a byte at a time
    deaf_after: int | None = None  # bytes of a large upload after which nothing more is read
    reads_slowly: float = 0.0  # seconds between two parts of a large upload
    corrupt: str = ""  # a file with one bit turned over
    commit_sent: str = ""  # X-Repo-Commit of every file, whatever was asked for


class HubServer:
    """Repositories behind an address; `with HubServer() as server:` runs it.

    Attributes:
        faults: what it does wrong from now on.
        requests: every request so far, as `"METHOD /path"`.
        after_info: called after a repository's commit was told; a place to move a branch.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.faults = Faults()
        self.requests: list[str] = []
        self.after_info: Callable[[], None] = lambda: None
        self.large: dict[str, bytes] = {}  # content of large files by SHA-256
        self.stopping = threading.Event()
        self._port = 0
        self._server: _Server | None = None

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address, the same after a stop and a start."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; the first start picks a free port."""
        self.stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.hub = self
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections inside the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def add(self, repo_id: str, files: Files, *, branch: str = "main", **kinds: bool) -> str:
        """Commit `files`, all that the commit holds, to a branch; returns the commit."""
        repository = self.repositories.setdefault(repo_id, Repository(**kinds))
        text = repr((repo_id, len(repository.commits), sorted(files.items())))
        commit = hashlib.sha1(text.encode()).hexdigest()
        repository.commits[commit] = dict(files)
        self.large.update({sha256(data): data for name, data in files.items() if name.endswith(LARGE)})
        repository.refs[branch] = commit
        return commit

    def files(self, repo_id: str, revision: str = "main") -> Files:
        """What a revision holds."""
        repository = self.repositories[repo_id]
        return repository.commits[repository.refs.get(revision, revision)]

    def asked_for(self, text: str) -> list[str]:
        """Requests whose line contains `text`."""
        return [request for request in self.requests if text in request]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: HubServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that give up are what is tested."""


class _Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(self._post)

    def do_PUT(self) -> None:
        faults = self.server.hub.faults
        if faults.deaf_after is not None:
            self.rfile.read(min(faults.deaf_after, int(self.headers.get("Content-Length", faults.deaf_after))))
            self.server.hub.requests.append(f"deaf to {self.path}")
            self.server.hub.stopping.wait(30)
            self.close_connection = True
            return
        size, chunked = self.headers.get("Content-Length"), b""
        if size is not None and faults.reads_slowly:
            while len(chunked) < int(size):
                self.server.hub.stopping.wait(faults.reads_slowly)
                chunked += self.rfile.read(min(UPLOAD_PART, int(size) - len(chunked)))
            size = None
            self._body = chunked
            self._answer(self._put)
            return
        while size is None and (length := int(self.rfile.readline(), 16)):
            chunked += self.rfile.read(length)
            self.rfile.readline()
        self._body = chunked if size is None else self.rfile.read(int(size))
        self._answer(self._put)

    def _answer(self, method: Callable[[HubServer, str], None]) -> None:
        """Misbehave as asked to, else answer."""
        hub, line = self.server.hub, f"{self.command} {self.path}"
        hub.requests.append(line)
        faults = hub.faults
        if faults.delay and faults.delay_on in line:
            hub.stopping.wait(faults.delay)
        try:
            if faults.status is not None and faults.status_on in line and self._once_more(faults):
                raise _Refusal(faults.status)
            if faults.body is not None:
                self._send(200, faults.body, {"Content-Type": "text/html"})
                return
            if self._token() not in (None, TOKEN, OTHER_TOKEN):
                raise _Refusal(401, message="Invalid credentials in Authorization header")
            method(hub, unquote(urlsplit(self.path).path))
        except _Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            headers["Retry-After"] = faults.retry_after
            self._send(refusal.status, b"", {key: value for key, value in headers.items() if value})

    def _once_more(self, faults: Faults) -> bool:
        """Whether a fault that is not for ever happens."""
        faults.times -= 1
        return faults.times >= 0

    def _token(self) -> str | None:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") or None

    def _send(self, status: int, body: bytes, headers: dict[str, str], announced: int | None = None) -> None:
        """Send an answer of `announced` bytes, by default as many as there are."""
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body) if announced is None else announced)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _repository(self, hub: HubServer, repo_id: str) -> Repository:
        repository = hub.repositories.get(repo_id)
        if repository is None or (repository.private and self._token() != TOKEN):
            raise _Refusal(404, "RepoNotFound", "Repository not found")
        return repository

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _get(self, hub: HubServer, path: str) -> None:
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            repository = self._repository(hub, found[1])
            files = repository.commits[self._commit(repository, found[2])]
            self._send_json(
                [{"type": "file", "path": k, "size": len(v), "oid": _blob_id(v)} for k, v in sorted(files.items())]
            )
        elif found := re.fullmatch(r"/large/([0-9a-f]{40})/([0-9a-f]{64})/(.+)", path):
            headers = {"ETag": f'"{found[2]}"', "X-Repo-Commit": found[1]}
            self._send_content(hub, found[3], hub.large[found[2]], headers)
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            repository = self._repository(hub, found[1])
            commit = self._commit(repository, found[2] or "main")
            siblings = [_sibling(*entry) for entry in sorted(repository.commits[commit].items())]
            if "blobs=" not in self.path:
                siblings = [{"rfilename": sibling["rfilename"]} for sibling in siblings]
            answer = {"id": found[1], "sha": commit, "private": repository.private, "siblings": siblings, "tags": []}
            self._send_json(answer)
            hub.after_info()
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._send_file(hub, found[1], found[2], found[3])
        else:
            raise _Refusal(404, message=f"no such page: {path}")

    def _send_file(self, hub: HubServer, repo_id: str, revision: str, name: str) -> None:
        """Send a file or a range of it, or break off in the middle."""
        repository = self._repository(hub, repo_id)
        if repository.gated and self._token() != TOKEN:
            raise _Refusal(403, "GatedRepo", f"Access to model {repo_id} is restricted")
        commit = self._commit(repository, revision)
        if name not in repository.commits[commit]:
            raise _Refusal(404, "EntryNotFound", "Entry not found")
        data = repository.commits[commit][name]
        headers = {"ETag": f'"{_blob_id(data)}"', "X-Repo-Commit": hub.faults.commit_sent or commit}
        if name.endswith(LARGE):
            large = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256(data)}"'}
            self._send(302, b"", {**headers, **large, "Location": f"{hub.url}/large/{commit}/{sha256(data)}/{name}"})
        else:
            self._send_content(hub, name, data, headers)

    def _send_content(self, hub: HubServer, name: str, data: bytes, headers: dict[str, str]) -> None:
        """Send a file or a range of it; or break off in the middle, or something else."""
        faults, status, part = hub.faults, 200, data
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is not None:
            first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
            if first > last:
                raise _Refusal(416)
            status, part = 206, data[first : last + 1]
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
        if name == faults.corrupt and self._once_more(faults):
            part = part[:-1] + bytes([part[-1] ^ 1])
        if self.command == "GET" and name == faults.cut and self._once_more(faults):
            self._send(status, part[: len(part) // 2], headers, announced=len(part))
            self.close_connection = True
        elif self.command == "GET" and name == faults.stall and self._once_more(faults):
            self._send(status, part[:1], headers, announced=len(part))
            hub.stopping.wait(30)
        elif self.command == "GET" and name == faults.trickle:
            self._send(status, part[:1], headers, announced=len(part))
            for byte in part[1:]:
                if hub.stopping.wait(0.2) or faults is not hub.faults:
                    return
                self.wfile.write(bytes([byte]))
        else:
            self._send(status, part, headers)

    def _post(self, hub: HubServer, path: str) -> None:
        if path == "/api/validate-yaml":
            broken = "licence: [" in json.loads(self._body)["content"]
            answer = {"errors": [{"message": "YAML ends inside a list, line 2"}] if broken else [], "warnings": []}
            self._send(400 if broken else 200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
            return
        if path == "/large-verify":
            self._send_json({})
            return
        if self._token() is None:
            raise _Refusal(401, message="Log in first")
        if self._token() != TOKEN:
            raise _Refusal(403, message="You may not write here")
        if path == "/api/repos/create":
            wanted = json.loads(self._body)
            repo_id = f"{wanted.get('organization') or 'org'}/{wanted['name']}"
            if not repo_id.startswith("org/"):
                raise _Refusal(403, message="You have no rights to create a model under this namespace")
            if repo_id in hub.repositories:
                self._send(409, json.dumps({"url": f"{hub.url}/{repo_id}"}).encode(), {})
                return
            private = wanted.get("private") or wanted.get("visibility") == "private"
            hub.repositories[repo_id] = Repository(private=bool(private))
            hub.add(repo_id, {})
            self._send_json({"url": f"{hub.url}/{repo_id}"})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)", path):
            present = hub.files(found[1], found[2])
            self._send_json({"files": [_upload_mode(entry, present) for entry in json.loads(self._body)["files"]]})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/([^/]+)", path):
            files = dict(hub.files(found[1], found[2]))
            for line in self._body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "lfsFile":
                    files[entry["value"]["path"]] = hub.large[entry["value"]["oid"]]
            commit = hub.add(found[1], files, branch=found[2])
            self._send_json(
                {"success": True, "commitOid": commit, "commitUrl": f"{hub.url}/{found[1]}/commit/{commit}"}
            )
        elif found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = []
            for wanted in json.loads(self._body)["objects"]:
                actions = {
                    "upload": {"href": f"{hub.url}/large-upload/{wanted['oid']}"},
                    "verify": {"href": f"{hub.url}/large-verify"},
                }
                objects.append({**wanted, **({} if wanted["oid"] in hub.large else {"actions": actions})})
            self._send_json({"transfer": "basic", "objects": objects})
        else:
            raise _Refusal(404, message=f"no such page: {path}")

    def _put(self, hub: HubServer, path: str) -> None:
        """Take a large file; the address alone gives the right to."""
        oid = path.rpartition("/")[2]
        if sha256(self._body) != oid:
            raise _Refusal(400, message="the content has another hash")
        hub.large[oid] = self._body
        self._send(200, b"", {})


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    """A file as a commit lists it."""
    entry = {"rfilename": name, "size": len(data), "blobId": _blob_id(data)}
    if name.endswith(LARGE):
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(data)}\nsize {len(data)}\n".encode()
        entry["blobId"] = _blob_id(pointer)
        entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": len(pointer)}
    return entry


def _upload_mode(entry: dict[str, Any], present: Files) -> dict[str, Any]:
    """Let a small file be sent inside the commit, and say which content is already there."""
    known, large = present.get(entry["path"]), entry["path"].endswith(LARGE)
    oid = None if known is None else sha256(known) if large else _blob_id(known)
    mode = "lfs" if large else "regular"
    return {"path": entry["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}


def sha256(data: bytes) -> str:
    """The hash that names a large file."""
    return hashlib.sha256(data).hexdigest()


def _blob_id(data: bytes) -> str:
    """Git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
