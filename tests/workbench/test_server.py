"""The HTTP API: who may call what; and the real server as one process."""

import json
import os
import signal
import socket
import stat
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline.records import InputError, StorageError
from pipeline.studies.run import tiny_bert
from tests.drills.calls import VALID
from workbench import actions, server
from workbench.actions import ACTIONS
from workbench.cli.main import main
from workbench.workspace import (
    RemoteWorkspace,
    Workspace,
    announce,
    close_current_workspace,
    current_workspace,
    withdraw,
)

TOKEN = "right-token"


@pytest.fixture
def http(own_workspace):
    server.configure(TOKEN)
    current_workspace()
    routes = [Route("/api/health", server.health), Route("/api/call", server.call, methods=["POST"])]
    with TestClient(Starlette(routes=routes)) as opened:
        yield opened
    close_current_workspace()
    server.configure("")


def call(http, action="overview", token=TOKEN, **arguments):
    headers = {"Authorization": f"Bearer {token}"}
    return http.post("/api/call", json={"action": action, "arguments": arguments}, headers=headers)


def test_a_call_with_the_token_answers(http):
    answer = call(http)
    assert (answer.status_code, answer.json()["premises"]) == (200, 0)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
def test_without_the_right_token_nothing_runs(http, monkeypatch, header):
    monkeypatch.setitem(actions.ACTIONS, "overview", lambda workspace: pytest.fail("it ran"))
    headers = {} if header is None else {"Authorization": header}
    answer = http.post("/api/call", json={"action": "overview"}, headers=headers)
    assert answer.status_code == 401
    assert "workspace" not in http.get("/api/health", headers=headers).json()


def test_an_unset_token_lets_nobody_in(http):
    server.configure("")
    assert call(http, token="").status_code == 401


@pytest.mark.parametrize("name", ["nope", "__import__", "Workspace", ""])
def test_only_listed_actions_exist(http, name):
    answer = call(http, name)
    assert answer.status_code == 404
    assert "There is no action" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"action": 1}', b'{"action": "overview", "arguments": []}', b"\xff"]
)
def test_a_body_that_is_no_call_is_refused(http, body):
    answer = http.post("/api/call", content=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 400


def test_a_body_over_the_limit_is_not_read_to_its_end(http, monkeypatch):
    monkeypatch.setattr(server, "LARGEST_BODY_BYTES", 1000)
    assert call(http, text="x" * 2000).status_code == 413


def test_errors_keep_their_kind_and_sentence(http, monkeypatch):
    for error, status in (
        (InputError("omega must be below 1."), 400),
        (StorageError("The disk is full."), 507),
        (RuntimeError("secret path"), 500),
    ):

        def fail(workspace, error=error):
            raise error

        monkeypatch.setitem(actions.ACTIONS, "overview", fail)
        answer = call(http)
        assert answer.status_code == status
        assert ("secret" in answer.text) is False
        assert status == 500 or answer.json()["error"] == str(error)
    assert call(http, "job", wrong_name=1).status_code == 400


def test_announcement_is_private_and_a_dead_server_is_no_server(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        announce(tmp_path, "127.0.0.1", closed.getsockname()[1])
    for name in ("owner.json", "owner.token"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert RemoteWorkspace.find(tmp_path) is None
    withdraw(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_server_owns_the_workspace_and_serves_page_and_calls(served, monkeypatch):
    root, port, process = served
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy must not get between command and server
    remote = RemoteWorkspace.find(root)
    assert remote is not None
    assert remote.call("overview")["triplets"] == 0
    with pytest.raises(InputError, match="There is no job nothing"):
        remote.call("job", job_id="nothing")
    with pytest.raises(InputError, match=f"in use by process {process.pid}"):
        Workspace(root).open()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    token = json.loads((root / "session.json").read_bytes())["owner"]
    page = opener.open(f"http://127.0.0.1:{port}/evaluate?token={token}", timeout=10).read()
    assert b'<div id="root">' in page
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=20) is not None
    assert not (root / "owner.json").exists() and not (root / "owner.token").exists()
    assert not (root / "state.duckdb.wal").exists()  # closed in order: the log is in the file
    with pytest.raises(InputError, match="went away"):
        remote.call("overview")
    Workspace(root).open().close()


def test_a_command_adds_an_encoder_through_the_server_that_owns_the_workspace(served, tmp_path, monkeypatch):
    root, _, _ = served
    folder = tiny_bert(tmp_path / "elsewhere" / "tiny")
    monkeypatch.chdir(folder.parent)  # the server stands in another folder
    assert main(["encoders", "add", "tiny", "--workspace", str(root)]) == 0
    remote = RemoteWorkspace.find(root)
    assert remote is not None
    assert remote.call("encoders")["encoders"][-1]["folder"] == str(folder)


def test_killed_server_leaves_a_workspace_that_opens(served):
    root, _, process = served
    process.kill()
    process.wait()
    assert json.loads((root / "owner.json").read_text())["pid"] == process.pid
    assert RemoteWorkspace.find(root) is None
    Workspace(root).open().close()


def test_a_taken_port_is_a_clear_sentence(tmp_path):
    from workbench.server import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} of 127.0.0.1"):
            serve(tmp_path, port=port)


def test_a_workspace_that_is_deleted_while_it_is_served_is_one_sentence(http, own_workspace):
    """Before, actions went on writing into files that nobody would find again, or answered 500."""
    workspace = current_workspace()
    ACTIONS["import_premises"](workspace, text="It rains.", name="n")
    moved = own_workspace.with_name("moved")
    own_workspace.rename(moved)
    calls = {name: given for name, given in VALID if name not in ("import_premises", "open_sample")}
    for name, given in calls.items():
        answer = server._run(name, given)
        assert answer.status_code == 507 and b"was deleted or moved while it is open" in answer.body, name
    with pytest.raises(StorageError, match="deleted or moved"):
        ACTIONS["decide"](workspace, triplet_ids=["t"], action="accept", annotator="ann")
    assert not own_workspace.exists()
    refused = http.get("/api/health", headers={"Authorization": f"Bearer {TOKEN}"})
    assert refused.status_code == 507 and "deleted or moved" in refused.text
    moved.rename(own_workspace)
    assert server._run("overview", {}).status_code == 200
