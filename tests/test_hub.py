"""Weights from and to the Hugging Face Hub: the real client against a stand-in server."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import albumentations as A
import huggingface_hub
import numpy as np
import pytest
from conftest import make_weights
from hub_server import OTHER_TOKEN, TOKEN, Faults, Files, HubServer
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from albu_gan import DefectInpainter, GANDefectInpaint, WeightsError
from albu_gan.hub import fetch as hub_fetch
from albu_gan.hub import find as hub
from albu_gan.hub import patience as hub_patience
from albu_gan.hub.find import find_weights
from albu_gan.hub.folder import BANK, CARD, CONFIG, MODEL
from albu_gan.hub.push import UploadFile

# What huggingface_hub does when it uploads a large file; its HTTP client would have it otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "org/scratches"
Fault = Callable[[HubServer], None]
PATIENCE = 10.0  # seconds in which anything that cannot work must have said so


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Files]:
    """The files of three weights folders that differ in model and mask bank."""
    root = tmp_path_factory.mktemp("trained")
    return [read_files(make_weights(root / str(seed), seed=seed)) for seed in range(3)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty stand-in Hub that this process's huggingface_hub talks to, without a token and with an empty cache."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    # What huggingface_hub repeats, it repeats at once; the waits that users meet are measured where a test says so.
    hasty = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(seconds / 100)})
    monkeypatch.setattr("huggingface_hub.utils._http.time", hasty)
    monkeypatch.setattr("huggingface_hub.file_download.time", hasty)
    close_session()
    with HubServer() as running:
        point_client_to(running.url, monkeypatch)
        yield running
    wait_for_given_up_questions()
    close_session()


def point_client_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do to huggingface_hub, already imported, what HF_ENDPOINT does at its import."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def read_files(folder: Path) -> Files:
    """Name to content."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def error_of(call: Callable[[], Any], seconds: float = PATIENCE) -> str:
    """The one line that a call which cannot work says, in time."""
    start = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        call()
    assert time.monotonic() - start < seconds
    assert "\n" not in str(caught.value)
    return str(caught.value)


def grey() -> np.ndarray:
    return np.random.default_rng(0).integers(100, 150, (96, 96)).astype(np.uint8)


REVISIONS = {"none": (None, 1), "main": ("main", 1), "branch": ("dev", 2), "slash": ("feat/x", 2), "tag": ("v1", 0)}


@pytest.mark.parametrize("inline", [False, True], ids=["revision=", "name@revision"])
@pytest.mark.parametrize(("revision", "expected"), REVISIONS.values(), ids=REVISIONS)
def test_a_branch_a_tag_or_nothing_leads_to_one_commit(
    server: HubServer, trained: list[Files], revision: str | None, expected: int, inline: bool
) -> None:
    commits = [server.add(NAME, files) for files in trained[:2]]
    commits.append(server.add(NAME, trained[2], branch="dev"))
    server.repositories[NAME].refs.update({"v1": commits[0], "feat/x": commits[2]})
    if inline:
        folder = find_weights(f"{NAME}@{revision}" if revision else NAME)
    else:
        folder = find_weights(NAME, revision=revision)
    assert (folder.name, folder.commit) == (f"{NAME}@{commits[expected]}", commits[expected])
    assert read_files(folder.path) == trained[expected]


def test_a_commit_is_fetched_and_afterwards_never_asked_for_again(server: HubServer, trained: list[Files]) -> None:
    old = server.add(NAME, trained[0])
    server.add(NAME, trained[1])
    for spelled in ({"name": f"{NAME}@{old}"}, {"name": NAME, "revision": old}):
        assert read_files(find_weights(**spelled).path) == trained[0]
    asked = len(server.requests)
    assert find_weights(f"{NAME}@{old}").commit == old
    assert len(server.requests) == asked


def test_the_transform_records_the_commit_and_paints(server: HubServer, trained: list[Files]) -> None:
    commit = server.add(NAME, trained[0])
    transform = GANDefectInpaint.from_pretrained(NAME, classes=["pit"], p=1.0)
    assert transform.weights == f"{NAME}@{commit}"
    pipeline = A.Compose([transform], seed=1)
    described = A.to_dict(pipeline)
    assert described["transform"]["transforms"][0]["weights"] == f"{NAME}@{commit}"
    server.add(NAME, trained[1])
    image, mask = grey(), np.zeros((96, 96), np.uint8)
    painted = pipeline(image=image, mask=mask)
    assert (painted["image"] != image).any()
    with server.down():
        again = A.from_dict(json.loads(json.dumps(described)))
        again.set_random_seed(1)
        assert np.array_equal(again(image=image, mask=mask)["image"], painted["image"])


def test_a_hub_name_in_the_constructor_is_resolved_once_on_the_first_call(
    server: HubServer, trained: list[Files]
) -> None:
    first = server.add(NAME, trained[0])
    transform = GANDefectInpaint(weights=NAME, p=1.0)
    assert server.requests == []
    transform(image=grey())
    server.add(NAME, trained[1])
    asked = len(server.requests)
    transform(image=grey())
    assert (transform.weights, len(server.requests)) == (f"{NAME}@{first}", asked)


def test_from_pretrained_passes_arguments_on_and_says_which_are_wrong(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0])
    transform = GANDefectInpaint.from_pretrained(NAME, classes=["stain"], mask_values={"stain": 7}, p=0.25)
    assert (transform.classes, transform.mask_values, transform.p) == (["stain"], {"stain": 7}, 0.25)
    with pytest.raises(ValueError, match="unknown class 'dent'"):
        GANDefectInpaint.from_pretrained(NAME, classes=["dent"])


def test_two_revisions_that_contradict_each_other_are_refused(server: HubServer) -> None:
    message = error_of(lambda: find_weights(f"{NAME}@v1", revision="v2"))
    assert "'v1'" in message and "'v2'" in message
    assert server.requests == []


def test_bundled_names_and_folders_never_ask_the_hub(
    server: HubServer, trained: list[Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_weights(tmp_path / "bundled" / "test-v1")
    monkeypatch.setattr(hub, "BUNDLED", tmp_path / "bundled")
    make_weights(tmp_path / "org" / "scratches", seed=2)
    monkeypatch.chdir(tmp_path)
    server.add(NAME, trained[1])
    assert find_weights("test-v1").name == "test-v1"
    assert find_weights(str(folder)).commit is None
    assert read_files(find_weights(NAME).path) == trained[2]
    assert "no such folder" in error_of(lambda: find_weights("./typo"))
    assert "test-v1" in error_of(lambda: find_weights("typo"))
    assert server.requests == []


def test_a_private_repository_opens_with_a_token(
    server: HubServer, trained: list[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add(NAME, trained[0], private=True)
    for token in (None, False, OTHER_TOKEN, ""):
        message = error_of(lambda token=token: find_weights(NAME, token=token))
        assert "private" in message and "token=" in message and "hf auth login" in message
    assert find_weights(NAME, token=TOKEN + "\n").commit == commit
    server.add(NAME, trained[1])
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert read_files(find_weights(NAME).path) == trained[1]


def test_a_stored_token_is_used(server: HubServer, trained: list[Files], tmp_path: Path) -> None:
    commit = server.add(NAME, trained[0], private=True)
    assert "none is stored" in error_of(lambda: find_weights(NAME, token=True))
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf" / "token").write_text(TOKEN)
    assert find_weights(NAME).commit == find_weights(NAME, token=True).commit == commit


@pytest.mark.parametrize("token", ["hf_wrong", "hf_w\nrong", "hf_wröng"])
def test_a_wrong_token_is_called_wrong_and_not_shown(server: HubServer, trained: list[Files], token: str) -> None:
    server.add(NAME, trained[0])
    message = error_of(lambda: find_weights(NAME, token=token))
    assert "token" in message and token not in message


def test_a_gated_repository_says_where_to_ask(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0], gated=True)
    message = error_of(lambda: find_weights(NAME, token=OTHER_TOKEN))
    assert "gated" in message and f"{server.url}/{NAME}" in message
    assert read_files(find_weights(NAME, token=TOKEN).path) == trained[0]


def test_cache_dir_is_where_files_go(server: HubServer, trained: list[Files], tmp_path: Path) -> None:
    commit = server.add(NAME, trained[0])
    transform = GANDefectInpaint.from_pretrained(NAME, cache_dir=tmp_path / "mine", p=1.0)
    assert (tmp_path / "mine").is_dir() and not Path(constants.HF_HUB_CACHE).exists()
    with server.down():
        assert find_weights(NAME, cache_dir=str(tmp_path / "mine")).commit == commit
        assert "cache" in error_of(lambda: find_weights(NAME))
        pickle.loads(pickle.dumps(transform))(image=grey())


def test_the_cache_is_that_of_huggingface_hub(server: HubServer, trained: list[Files]) -> None:
    commit = server.add(NAME, trained[0])
    theirs = huggingface_hub.snapshot_download(NAME)
    served = len(server.asked_for("GET /org/scratches/resolve"))
    ours = find_weights(NAME)
    assert (str(ours.path), ours.commit) == (theirs, commit)
    assert len(server.asked_for("GET /org/scratches/resolve")) == served
    server.add(NAME, trained[1])
    moved = find_weights(NAME)
    assert huggingface_hub.snapshot_download(NAME, local_files_only=True) == str(moved.path) != theirs


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_mode_asks_nothing(
    server: HubServer, trained: list[Files], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    commit = server.add(NAME, trained[0])
    find_weights(NAME)
    asked = len(server.requests)
    if how == "variable":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    options = {"local_files_only": True} if how == "argument" else {}
    assert find_weights(NAME, **options).commit == commit
    for name in ("org/other", f"{NAME}@v9", f"{NAME}@{'0' * 40}"):
        message = error_of(lambda name=name: find_weights(name, **options))
        assert name in message and "local_files_only" in message and "Connect once" in message
    assert len(server.requests) == asked


def refuse(server: HubServer) -> None:
    server.stop()


def be_slow(server: HubServer) -> None:
    server.faults.delay = 30


def be_slow_to_send_files(server: HubServer) -> None:
    server.faults.delay, server.faults.delay_on = 30, "/resolve/"


def be_overloaded(server: HubServer) -> None:
    server.faults.status = 503


def be_overrun(server: HubServer) -> None:
    server.faults.status, server.faults.retry_after = 429, "300"


def send_no_files(server: HubServer) -> None:
    server.faults.status, server.faults.status_on = 503, "/resolve/"


def forbid(server: HubServer) -> None:
    server.faults.status = 403


def show_a_login_page(server: HubServer) -> None:
    server.faults.body = b"<html>Welcome to the hotel's network</html>"


def answer_other_json(server: HubServer) -> None:
    server.faults.body = b'{"error": []}'


def cut_the_model(server: HubServer) -> None:
    server.faults.cut = MODEL


def cut_the_config(server: HubServer) -> None:
    server.faults.cut = CONFIG


def stall_after_the_first_byte(server: HubServer) -> None:
    server.faults.stall = MODEL


def send_a_byte_at_a_time(server: HubServer) -> None:
    server.faults.trickle = BANK


def alter_the_model(server: HubServer) -> None:
    server.faults.corrupt = MODEL


def alter_the_config(server: HubServer) -> None:
    server.faults.corrupt = CONFIG


def forbid_files(server: HubServer) -> None:
    server.faults.status, server.faults.status_on = 403, "/resolve/"


def wait_for_given_up_questions() -> None:
    for thread in threading.enumerate():
        if thread.name == hub_patience.GIVEN_UP:
            thread.join(5)
            if thread.is_alive():
                import sys as _s
                import traceback as _t

                print("STUCK", "".join(_t.format_stack(_s._current_frames()[thread.ident])[-6:]), file=_s.__stderr__)


AWAY = [refuse, be_slow, be_overloaded, be_overrun, forbid, show_a_login_page, answer_other_json]
HALF_AWAY = [
    be_slow_to_send_files,
    send_no_files,
    forbid_files,
    cut_the_model,
    cut_the_config,
    stall_after_the_first_byte,
    send_a_byte_at_a_time,
    alter_the_model,
    alter_the_config,
]


@contextmanager
def suffering(server: HubServer, fault: Fault) -> Iterator[None]:
    """Let the Hub misbehave inside the block, where it is waited for a twentieth as long as otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONNECT_SECONDS", "ANSWER_SECONDS", "FIRST_PAUSE"):
            patch.setattr(hub_patience, name, getattr(hub_patience, name) / 20)
        fault(server)
        try:
            yield
        finally:
            server.faults = Faults()
            if fault is refuse:
                server.start()


@pytest.mark.parametrize("fault", [*AWAY, *HALF_AWAY])
def test_without_a_hub_and_a_cache_one_error_says_what_to_do_and_nothing_is_left_broken(
    server: HubServer, trained: list[Files], fault: Fault
) -> None:
    commit = server.add(NAME, trained[0])
    with suffering(server, fault):
        message = error_of(lambda: GANDefectInpaint.from_pretrained(NAME))
        assert message.startswith(NAME) and "the Hub" in message and "Connect once" in message
        message = error_of(lambda: find_weights(f"{NAME}@{commit}"))
        assert message.startswith(f"{NAME}@{commit}") and "the Hub" in message
    assert read_files(find_weights(NAME).path) == trained[0]
    wait_for_given_up_questions()
    assert not [p for p in Path(constants.HF_HUB_CACHE).rglob("*") if p.suffix in (".incomplete", ".tmp")]


@pytest.mark.parametrize("fault", AWAY)
def test_without_a_hub_the_cached_commit_of_a_branch_is_used(
    server: HubServer, trained: list[Files], fault: Fault
) -> None:
    commit = server.add(NAME, trained[0])
    server.repositories[NAME].refs["feat/x"] = commit
    find_weights(NAME)
    find_weights(NAME, revision="feat/x")
    server.add(NAME, trained[1])
    with suffering(server, fault):
        for revision in (None, "main", "feat/x", commit):
            start = time.monotonic()
            folder = find_weights(NAME, revision=revision)
            assert time.monotonic() - start < PATIENCE
            assert (folder.commit, read_files(folder.path)) == (commit, trained[0])
        assert "v9" in error_of(lambda: find_weights(NAME, revision="v9"))


@pytest.mark.parametrize("fault", [f for f in HALF_AWAY if f not in (cut_the_config, alter_the_config)])
def test_an_interrupted_update_leaves_the_last_whole_revision_in_use(
    server: HubServer, trained: list[Files], fault: Fault
) -> None:
    old = server.add(NAME, trained[0])
    find_weights(NAME)
    new = server.add(NAME, trained[1])
    with suffering(server, fault):
        for _ in range(2):
            folder = find_weights(NAME)
            assert (folder.commit, read_files(folder.path)) == (old, trained[0])
    folder = find_weights(NAME)
    assert (folder.commit, read_files(folder.path)) == (new, trained[1])


def test_a_hub_that_accepts_connections_and_says_nothing_is_given_up_in_time(
    server: HubServer, trained: list[Files]
) -> None:
    server.add(NAME, trained[0])
    be_slow(server)
    assert "the Hub could not be read" in error_of(lambda: find_weights(NAME), PATIENCE)


@pytest.mark.parametrize("fault", [be_slow_to_send_files, stall_after_the_first_byte, send_a_byte_at_a_time])
def test_a_file_that_does_not_come_is_given_up_in_time(server: HubServer, trained: list[Files], fault: Fault) -> None:
    """With the waits that users meet; the three ways in which a file does not come."""
    server.add(NAME, trained[0])
    fault(server)
    assert "the Hub could not be read" in error_of(lambda: find_weights(NAME), PATIENCE)
    server.faults = Faults()
    assert read_files(find_weights(NAME).path) == trained[0]


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("where", ["/api/models/", "/resolve/"])
def test_a_busy_hub_is_asked_again(
    server: HubServer, trained: list[Files], status: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add(NAME, trained[0])
    server.faults = Faults(status=status, status_on=where, times=2, retry_after="0")
    monkeypatch.setattr(hub_patience, "FIRST_PAUSE", 0.01)
    assert find_weights(NAME).commit == commit
    assert server.faults.times < 0 and len(server.asked_for(where)) >= 3


def test_a_busy_hub_that_says_when_is_asked_then_and_not_before(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0])
    server.faults = Faults(status=429, times=1, retry_after="1")
    start = time.monotonic()
    find_weights(NAME)
    assert time.monotonic() - start >= 1
    server.faults = Faults(status=429, retry_after="300")
    asked = len(server.requests)
    message = error_of(lambda: find_weights("org/other"), 2)
    assert "too many requests" in message and "try again in 300 s" in message and "hf auth login" in message
    assert len(server.requests) == asked + 1


@pytest.mark.parametrize("file", [MODEL, CONFIG])
def test_a_connection_cut_in_the_middle_is_taken_up_there(
    server: HubServer, trained: list[Files], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(NAME, trained[0])
    server.faults = Faults(cut=file, times=2)
    monkeypatch.setattr(hub_patience, "FIRST_PAUSE", 0.01)
    assert read_files(find_weights(NAME).path) == trained[0]
    assert len(server.asked_for(f"/{file}")) >= 3


@pytest.mark.parametrize("fault", [alter_the_model, alter_the_config])
def test_bytes_of_another_hash_never_get_into_the_cache(server: HubServer, trained: list[Files], fault: Fault) -> None:
    """The altered model has the size that it should have, and its header is sound: only its hash tells."""
    server.add(NAME, trained[0])
    fault(server)
    message = error_of(lambda: find_weights(NAME))
    assert "hash" in message and (MODEL in message or CONFIG in message) and "try again" in message
    blobs = [p for p in Path(constants.HF_HUB_CACHE).rglob("blobs/*") if p.is_file()]
    assert all(hub_fetch.has_content(blob, blob.name) for blob in blobs)
    server.faults = Faults()
    assert read_files(find_weights(NAME).path) == trained[0]


@pytest.mark.parametrize("by_commit", [False, True])
def test_a_bit_that_turns_over_in_the_cache_is_noticed(
    server: HubServer, trained: list[Files], by_commit: bool
) -> None:
    commit = server.add(NAME, trained[0])
    blob = (find_weights(NAME).path / MODEL).resolve()
    blob.write_bytes(trained[0][MODEL][:-1] + bytes([trained[0][MODEL][-1] ^ 1]))
    with server.down():
        message = error_of(lambda: find_weights(NAME))
        assert MODEL in message and "another hash" in message and "cache" in message
    assert read_files(find_weights(NAME, revision=commit if by_commit else None).path) == trained[0]


def test_a_slow_line_may_take_its_time(
    server: HubServer, trained: list[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives renews the patience: the file takes longer than the Hub is waited for in silence."""
    commit = server.add(NAME, trained[0])
    monkeypatch.setattr(hub_patience, "ANSWER_SECONDS", 3.0)
    monkeypatch.setattr(hub_fetch, "CHUNK", 1)
    server.faults.trickle = CARD
    card = b"a card of some twenty bytes"
    server.add(NAME, {**trained[0], CARD: card})
    start = time.monotonic()
    folder = find_weights(NAME)
    assert time.monotonic() - start > 4
    assert folder.commit != commit and (folder.path / CARD).read_bytes() == card


def test_a_name_lookup_that_hangs_is_given_up_in_time(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, **__: Any) -> Any:
        server.stopping.wait(30)
        raise socket.gaierror("no answer")

    point_client_to("http://hub.test", monkeypatch)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(hub_patience, "ANSWER_SECONDS", 0.5)
    assert "TimeoutError" in error_of(lambda: find_weights(NAME))


def test_hub_limits_leave_room_within_the_promise() -> None:
    assert hub_patience.CONNECT_SECONDS < hub_patience.ANSWER_SECONDS < PATIENCE - 1


def test_unknown_repositories_and_revisions_are_named(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0])
    message = error_of(lambda: GANDefectInpaint.from_pretrained("org/scratchs"))
    assert "org/scratchs" in message and "no such repository" in message and "no such folder" in message
    for name, options in ((NAME, {"revision": "v9"}), (f"{NAME}@v9", {}), (f"{NAME}@{'0' * 40}", {})):
        message = error_of(lambda name=name, options=options: find_weights(name, **options))
        assert "no revision" in message and ("v9" in message or "0" * 40 in message) and NAME in message
    error_of(lambda: GANDefectInpaint(weights="org/scratchs", p=1.0)(image=grey()))


@pytest.mark.parametrize("revision", ["../../../etc/passwd", "a..b", "/etc", "-x", "a b", "a\nb", "", 3])
def test_a_revision_that_git_would_not_take_is_never_looked_for(
    server: HubServer, trained: list[Files], revision: Any
) -> None:
    server.add(NAME, trained[0])
    assert "revision" in error_of(lambda: find_weights(NAME, revision=revision))
    assert server.requests == []


@pytest.mark.parametrize("name", ["org/a--b", "org/a..b", f"org/{'a' * 97}", "org/name.git"])
def test_a_name_that_no_repository_can_have_is_an_error_of_ours(server: HubServer, name: str) -> None:
    message = error_of(lambda: find_weights(name))
    assert name in message and "no such folder" in message
    assert server.requests == []


@pytest.mark.parametrize("missing", [CONFIG, MODEL, BANK])
def test_a_repository_without_a_file_is_refused_before_anything_but_its_config_is_fetched(
    server: HubServer, trained: list[Files], missing: str
) -> None:
    server.add(NAME, {name: data for name, data in trained[0].items() if name != missing})
    message = error_of(lambda: find_weights(NAME))
    assert missing in message and "missing" in message
    assert server.asked_for("/resolve/") == ([] if missing == CONFIG else server.asked_for(CONFIG))


def test_a_card_is_not_required(server: HubServer, trained: list[Files]) -> None:
    files = {name: data for name, data in trained[0].items() if name != CARD}
    server.add(NAME, files)
    assert read_files(find_weights(NAME).path) == files


def test_a_file_too_large_is_refused_before_it_is_fetched(
    server: HubServer, trained: list[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(NAME, trained[0])
    monkeypatch.setitem(hub_fetch.MAX_BYTES, MODEL, 1000)
    message = error_of(lambda: find_weights(NAME))
    assert MODEL in message and "1000" in message
    assert server.asked_for(f"/{MODEL}") == []


@pytest.mark.parametrize(
    ("file", "data"), [(MODEL, b"\xff" * 99), (CONFIG, b"{"), (BANK, b"")], ids=[MODEL, CONFIG, BANK]
)
def test_a_repository_of_broken_files_is_refused_and_a_mended_one_loads(
    server: HubServer, trained: list[Files], file: str, data: bytes
) -> None:
    server.add(NAME, {**trained[0], file: data})
    for _ in range(2):
        assert file in error_of(lambda: find_weights(NAME))
    server.add(NAME, trained[0])
    assert read_files(find_weights(NAME).path) == trained[0]


class Bomb:
    """A pickle of it creates a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("beside", [[], [CONFIG], [CONFIG, BANK], [CONFIG, BANK, MODEL]])
def test_a_pickle_is_never_downloaded_or_opened(
    server: HubServer, trained: list[Files], tmp_path: Path, beside: list[str]
) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    others = {f"pytorch_model{suffix}": bomb for suffix in (".bin", ".pt", ".ckpt", ".pkl")}
    server.add(NAME, {**others, **{name: trained[0][name] for name in beside}})
    if MODEL in beside:
        transform = GANDefectInpaint.from_pretrained(NAME, p=1.0)
        transform(image=grey())
        transform.save_pretrained(tmp_path / "saved")
        assert sorted(read_files(tmp_path / "saved")) == sorted(beside)
    else:
        message = error_of(lambda: GANDefectInpaint.from_pretrained(NAME))
        assert "pytorch_model.bin is a pickle, which albu-gan never opens" in message and "safetensors" in message
    assert server.asked_for("pytorch_model") == []
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists(), "the bomb works"


def test_a_branch_that_moves_meanwhile_does_not_mix_revisions(server: HubServer, trained: list[Files]) -> None:
    first = server.add(NAME, trained[0])
    server.after_info = lambda: server.add(NAME, trained[1]) and None
    folder = find_weights(NAME)
    assert (folder.commit, read_files(folder.path)) == (first, trained[0])
    server.after_info = lambda: None
    with server.down():
        assert find_weights(NAME).commit == first
    assert read_files(find_weights(NAME).path) == trained[1]


def test_a_server_that_sends_another_commit_is_not_believed(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0])
    server.faults.commit_sent = "f" * 40
    assert "another commit" in error_of(lambda: find_weights(NAME))
    server.faults.commit_sent = ""
    assert read_files(find_weights(NAME).path) == trained[0]


@pytest.mark.parametrize("harm", ["truncated", "deleted"])
@pytest.mark.parametrize("by_commit", [False, True])
def test_a_damaged_cache_mends_itself(server: HubServer, trained: list[Files], harm: str, by_commit: bool) -> None:
    commit = server.add(NAME, trained[0])
    blob = (find_weights(NAME).path / MODEL).resolve()
    if harm == "truncated":
        blob.write_bytes(trained[0][MODEL][:1000])
    else:
        blob.unlink()
    with server.down():
        message = error_of(lambda: find_weights(NAME))
        assert MODEL in message and "cache" in message
    assert read_files(find_weights(NAME, revision=commit if by_commit else None).path) == trained[0]


def test_many_threads_may_fetch_the_same_weights(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0])
    found: list[tuple[Path, dict[str, bytes]]] = []

    def fetch() -> None:
        path = find_weights(NAME).path
        found.append((path, {name: (path / name).read_bytes() for name in (CONFIG, MODEL, BANK)}))

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [files for _, files in found] == [{name: trained[0][name] for name in (CONFIG, MODEL, BANK)}] * 4
    assert all(read_files(path) == trained[0] for path, _ in found)  # what others were still placing is gone


def test_what_is_pushed_comes_back_the_same(server: HubServer, weights: str, tmp_path: Path) -> None:
    transform = GANDefectInpaint(weights=weights)
    commit = transform.push_to_hub("org/new", token=TOKEN, commit_message="First")
    assert server.repositories["org/new"].refs["main"] == commit
    assert len(server.asked_for("POST /api/models/org/new/commit/")) == 1
    pulled = GANDefectInpaint.from_pretrained("org/new")
    assert pulled.weights == f"org/new@{commit}"
    pulled.save_pretrained(tmp_path / "saved")
    assert read_files(tmp_path / "saved") == read_files(Path(weights)) == server.files("org/new")


def test_the_painter_is_saved_and_published_like_the_transform(server: HubServer, weights: str, tmp_path: Path) -> None:
    painter = DefectInpainter.from_pretrained(weights)
    painter.save_pretrained(tmp_path / "saved")
    assert read_files(tmp_path / "saved") == read_files(Path(weights))
    commit = painter.push_to_hub("org/new", private=True, token=TOKEN)
    assert server.repositories["org/new"].private
    pulled = DefectInpainter.from_pretrained("org/new", revision=commit, token=TOKEN)
    assert (pulled.folder.name, pulled.folder.commit) == (f"org/new@{commit}", commit)
    image, mask = grey(), np.zeros((96, 96), np.uint8)
    mask[20:30, 20:40] = 1
    assert np.array_equal(pulled(image, mask, "pit", seed=3), painter(image, mask, "pit", seed=3))


def test_the_published_card_names_the_repository_in_its_snippet(server: HubServer, tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "run")
    config = json.loads((folder / CONFIG).read_text())
    config["training"]["name"] = "mine"
    (folder / CONFIG).write_text(json.dumps(config))
    (folder / CARD).write_text('# mine\n\n```python\nGANDefectInpaint(weights="mine", p=0.3)\n```\n')
    before = read_files(folder)
    GANDefectInpaint(weights=str(folder)).push_to_hub("org/new", token=TOKEN)
    assert b'weights="org/new"' in server.files("org/new")[CARD] and b"# mine" in server.files("org/new")[CARD]
    assert read_files(folder) == before
    assert GANDefectInpaint(weights="org/new")._painter().class_names == ("pit", "scratch", "stain")


def test_what_is_meant_to_be_private_is_never_pushed_into_a_public_repository(
    server: HubServer, weights: str, trained: list[Files]
) -> None:
    server.add(NAME, trained[1])
    message = error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub(NAME, private=True, token=TOKEN))
    assert "public" in message and "private=True" in message
    assert server.files(NAME) == trained[1] and server.asked_for("/commit/") == []


def test_a_namespace_of_others_is_told_of_with_what_the_hub_says(server: HubServer, weights: str) -> None:
    message = error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub("others/new", token=TOKEN))
    assert message.startswith("others/new") and "no rights" in message and "hf auth login" in message


def test_a_push_to_a_busy_hub_is_repeated(server: HubServer, weights: str) -> None:
    for place in ("/api/repos/create", "/preupload/", "/objects/batch", "/large-upload/", "/commit/"):
        server.faults = Faults(status=503, status_on=place, times=1)
        GANDefectInpaint(weights=weights).push_to_hub("org/new", token=TOKEN)
        assert server.faults.times < 1, place
        server.repositories.clear()
        server.large.clear()
    server.faults = Faults(status=429, retry_after="300")
    message = error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub("org/new", token=TOKEN))
    assert "error 429" in message and "try again in 300 s" in message


@pytest.mark.parametrize(
    ("place", "kind"),
    [("/preupload/", "slow"), ("/commit/", "slow"), ("/objects/batch", "busy"), ("/large-upload/", "busy")],
)
def test_a_push_that_is_not_taken_is_given_up_in_time_and_publishes_nothing(
    server: HubServer, weights: str, place: str, kind: str
) -> None:
    transform = GANDefectInpaint(weights=weights)
    transform.push_to_hub("org/other", token=TOKEN)
    server.large.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_patience, "ANSWER_SECONDS", 2.0)
        if kind == "slow":
            server.faults = Faults(delay=30, delay_on=place)
        else:
            pauses = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(seconds / 3)})
            patch.setattr("huggingface_hub.utils._http.time", pauses)
            server.faults = Faults(status=503, status_on=place)
        message = error_of(lambda: transform.push_to_hub("org/new", token=TOKEN))
    assert message.startswith("org/new") and "try again" in message
    assert kind == "slow" or "503" in message
    assert server.files("org/new") == {}
    server.faults = Faults()
    transform.push_to_hub("org/new", token=TOKEN)
    assert server.files("org/new") == read_files(Path(weights))


@pytest.mark.parametrize("has_xet", [False, True])
def test_a_push_goes_over_plain_http_whether_or_not_xet_is_installed_and_says_nothing_of_it(
    server: HubServer, weights: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], has_xet: bool
) -> None:
    monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: has_xet)
    GANDefectInpaint(weights=weights).push_to_hub("org/new", token=TOKEN)
    assert server.files("org/new") == read_files(Path(weights))
    assert server.asked_for("xet") == [] and "Xet" not in capfd.readouterr().err


@pytest.mark.parametrize("deaf_after", [1, 100_000])
def test_an_upload_that_stalls_says_so_and_is_given_up(
    server: HubServer, weights: str, caplog: pytest.LogCaptureFixture, deaf_after: int
) -> None:
    server.faults = Faults(deaf_after=deaf_after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_patience, "ANSWER_SECONDS", 1.0)
        start = time.monotonic()
        message = error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub("org/new", token=TOKEN))
    assert message.startswith("org/new: not published") and "try again" in message
    (worry,) = [record for record in caplog.records if record.name == "albu_gan.hub.push"]
    assert "Ctrl+C" in worry.getMessage() and worry.created < time.time() - (time.monotonic() - start) + 3
    assert server.files("org/new") == {}


PUSH_AND_END = """
import sys
from albu_gan import GANDefectInpaint, WeightsError
from albu_gan.hub import patience
patience.ANSWER_SECONDS = 0.5
try:
    GANDefectInpaint(weights=sys.argv[1]).push_to_hub("org/new", token=sys.argv[2])
except WeightsError as err:
    print(err)
"""


def test_a_process_whose_upload_is_given_up_ends(server: HubServer, weights: str, tmp_path: Path) -> None:
    server.faults = Faults(delay=120, delay_on="/large-upload/")
    theirs = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in theirs.items():
            patch.setenv(name, value)
        child = subprocess.Popen(
            [sys.executable, "-c", PUSH_AND_END, weights, TOKEN], stdout=subprocess.PIPE, text=True
        )
    try:
        said, _ = child.communicate(timeout=110)
    finally:
        child.kill()
    assert child.returncode == 0 and said.startswith("org/new: not published")


def test_a_line_that_is_slow_to_upload_may_take_its_time(
    server: HubServer, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_patience, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("hub_server.UPLOAD_PART", 1 << 16)
    server.faults = Faults(reads_slowly=0.4)
    start = time.monotonic()
    GANDefectInpaint(weights=weights).push_to_hub("org/new", token=TOKEN)
    assert time.monotonic() - start > 1.5
    assert server.files("org/new") == read_files(Path(weights))


def test_a_repetition_of_an_upload_is_no_progress(weights: str) -> None:
    told: list[int] = []
    with UploadFile(Path(weights) / MODEL) as file:
        file.on_progress = told.append
        for _ in range(2):
            file.seek(0)
            while file.read(1 << 16):
                pass
    size = (Path(weights) / MODEL).stat().st_size
    assert sum(told) == size and sum(told[: len(told) // 2]) == size


def test_a_push_replaces_the_files_in_one_commit_and_may_be_repeated(server: HubServer, tmp_path: Path) -> None:
    folders = [make_weights(tmp_path / str(seed), seed=seed) for seed in range(2)]
    commits = [GANDefectInpaint(weights=str(f)).push_to_hub("org/new", token=TOKEN) for f in (*folders, folders[1])]
    assert commits[0] != commits[1] == commits[2]
    assert server.files("org/new") == read_files(folders[1])
    assert server.files("org/new", commits[0]) == read_files(folders[0])


def test_a_push_publishes_the_weights_and_the_cards_pictures_only(server: HubServer, tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "run")
    expected = {**read_files(folder), "samples.png": b"PNG"}
    (folder / "samples.png").write_bytes(b"PNG")
    (folder / ".env").write_text("HF_TOKEN=secret")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "data").mkdir()
    (folder / "data" / "customer.png").write_bytes(b"private")
    GANDefectInpaint(weights=str(folder)).push_to_hub("org/new", private=True, token=TOKEN)
    assert server.files("org/new") == expected
    assert server.repositories["org/new"].private


@pytest.mark.parametrize("token", [None, OTHER_TOKEN, "hf_wrong"])
def test_a_push_without_rights_says_so(server: HubServer, weights: str, token: str | None) -> None:
    message = error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub("org/new", token=token))
    assert message.startswith("org/new") and "token" in message and "hf auth login" in message
    assert "org/new" not in server.repositories


@pytest.mark.parametrize("fault", [refuse, be_slow, be_overloaded, be_overrun, show_a_login_page, answer_other_json])
def test_a_push_to_a_hub_that_is_away_says_so(server: HubServer, weights: str, fault: Fault) -> None:
    with suffering(server, fault):
        message = error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub("org/new", token=TOKEN))
    assert message.startswith("org/new") and "again" in message
    assert server.asked_for("/commit/") == []


def test_a_push_that_the_hub_finds_fault_with_says_which(server: HubServer, weights: str, tmp_path: Path) -> None:
    error_of(lambda: GANDefectInpaint(weights=weights).push_to_hub("org/a--b", token=TOKEN))
    folder = make_weights(tmp_path / "run")
    (folder / CARD).write_text("---\nlicence: [\n---\n")
    message = error_of(lambda: GANDefectInpaint(weights=str(folder)).push_to_hub("org/new", token=TOKEN))
    assert "README.md" in message and "line 2" in message
    assert server.asked_for("/commit/") == []


def test_a_folder_that_is_not_sound_is_not_pushed(server: HubServer, tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "run")
    transform = GANDefectInpaint(weights=str(folder))
    (folder / MODEL).write_bytes(b"")
    assert MODEL in error_of(lambda: transform.push_to_hub("org/new", token=TOKEN))
    assert server.requests == []


def test_every_block_of_the_page_about_the_hub_runs(
    server: HubServer, trained: list[Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add(NAME.replace("scratches", "name"), trained[0], private=True)
    server.repositories["org/name"].refs["v1"] = commit
    make_weights(tmp_path / "runs" / "mine" / "weights", seed=1)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "hub.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/hub.md", "exec"), names)
    assert len(blocks) == 4
    assert f"org/name@{commit}" in (tmp_path / "pipeline.json").read_text()
    assert server.repositories["org/name"].refs["main"] == names["commit"] != commit


CHILD = """
import pickle, sys
import numpy as np
import albu_gan
from albu_gan import GANDefectInpaint

image = np.load(sys.argv[1])
fetched = GANDefectInpaint.from_pretrained("org/scratches", revision="v1", p=1.0)
fetched.set_random_seed(5)
received = pickle.load(open(sys.argv[2], "rb"))
assert received.weights == fetched.weights, (received.weights, fetched.weights)
np.save(sys.argv[3], np.stack([fetched(image=image)["image"], received(image=image)["image"]]))
print(fetched.weights)
"""


def test_a_pickled_transform_and_a_real_hf_endpoint_work_in_another_process(
    server: HubServer, trained: list[Files], tmp_path: Path
) -> None:
    commit = server.add(NAME, trained[0], branch="v1")
    transform = GANDefectInpaint.from_pretrained(NAME, revision="v1", p=1.0)
    transform.set_random_seed(5)
    image = grey()
    stored = pickle.dumps(transform)
    assert len(stored) < 20_000
    (tmp_path / "transform.pkl").write_bytes(stored)
    np.save(tmp_path / "image.npy", image)
    for place in ("home", "temp"):
        (tmp_path / place).mkdir()
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE"))}
    theirs = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    paths = [str(tmp_path / name) for name in ("image.npy", "transform.pkl", "painted.npy")]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *paths],
        env={**ours, **theirs, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.strip() == f"{NAME}@{commit}"
    fetched, received = np.load(paths[2])
    expected = transform(image=image)["image"]
    assert np.array_equal(fetched, expected) and np.array_equal(received, expected)
    assert (tmp_path / "home" / "hub").is_dir()


def test_a_pickled_transform_whose_cache_is_gone_says_so(server: HubServer, trained: list[Files]) -> None:
    server.add(NAME, trained[0])
    stored = pickle.dumps(GANDefectInpaint.from_pretrained(NAME, p=1.0))
    shutil.rmtree(constants.HF_HUB_CACHE)
    assert MODEL in error_of(lambda: pickle.loads(stored)(image=grey()))
