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
    body: bytes | None = None  # a page that answers everything with 200, as a hotel's network does
    delay: float = 0.0  # seconds before every answer
    delay_on: str = ""  # `delay` only for requests whose line contains this
    cut: str = ""  # a file whose connection breaks off after half its bytes
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

    def _answer(self, method: Callable[[HubServer, str], None]) -> None:
        """Misbehave as asked to, else answer."""
        hub, line = self.server.hub, f"{self.command} {self.path}"
        hub.requests.append(line)
        faults = hub.faults
        if faults.delay and faults.delay_on in line:
            hub.stopping.wait(faults.delay)
        try:
            if faults.status is not None and faults.status_on in line:
                raise _Refusal(faults.status)
            if faults.body is not None:
                self._send(200, faults.body, {"Content-Type": "text/html"})
                return
            if self._token() not in (None, TOKEN, OTHER_TOKEN):
                raise _Refusal(401, message="Invalid credentials in Authorization header")
            method(hub, unquote(urlsplit(self.path).path))
        except _Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self._send(refusal.status, b"", {key: value for key, value in headers.items() if value})

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
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            repository = self._repository(hub, found[1])
            commit = self._commit(repository, found[2] or "main")
            siblings = [{"rfilename": name} for name in sorted(repository.commits[commit])]
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
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            half = name == hub.faults.cut and self.command == "GET"
            self._send(200, data[: len(data) // 2] if half else data, headers, announced=len(data))
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        if first > last:
            raise _Refusal(416)
        part = data[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        half = name == hub.faults.cut and len(part) > 1
        self._send(206, part[: len(part) // 2] if half else part, headers, announced=len(part))

    def _post(self, hub: HubServer, path: str) -> None:
        if path == "/api/validate-yaml":
            broken = "licence: [" in json.loads(self._body)["content"]
            answer = {"errors": [{"message": "YAML ends inside a list, line 2"}] if broken else [], "warnings": []}
            self._send(400 if broken else 200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
            return
        if self._token() is None:
            raise _Refusal(401, message="Log in first")
        if self._token() != TOKEN:
            raise _Refusal(403, message="You may not write here")
        if path == "/api/repos/create":
            wanted = json.loads(self._body)
            repo_id = f"{wanted.get('organization') or 'org'}/{wanted['name']}"
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
            commit = hub.add(found[1], files, branch=found[2])
            self._send_json(
                {"success": True, "commitOid": commit, "commitUrl": f"{hub.url}/{found[1]}/commit/{commit}"}
            )
        else:
            raise _Refusal(404, message=f"no such page: {path}")


def _upload_mode(entry: dict[str, Any], present: Files) -> dict[str, Any]:
    """Let a file be sent inside the commit, and say which content is already there."""
    known = present.get(entry["path"])
    oid = None if known is None else _blob_id(known)
    return {"path": entry["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": oid}


def _blob_id(data: bytes) -> str:
    """Git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
