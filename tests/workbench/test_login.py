"""Who gets in: token, host and origin on every route and the websocket, behind a proxy, and from another account."""

import asyncio
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import websockets
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.records import InputError
from tests import warm
from tests.conftest import PROJECT
from tests.pages.browsing import free_port
from tests.workbench.processes import wait_for
from workbench.actions import ACTIONS, call
from workbench.login import ROLE_HEADER, Access, Gate, session_tokens
from workbench.server import KnownBase
from workbench.workspace import RemoteWorkspace, Workspace

TOKENS = {"owner": "o" * 43, "annotator": "a" * 43}


async def shown(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.headers.get(ROLE_HEADER, "none"))


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.headers[ROLE_HEADER])
    await socket.close()


def client(base: str = "", **changes) -> TestClient:
    routes = [Route("/{rest:path}", shown, methods=["GET", "POST"]), WebSocketRoute("/{rest:path}", talk)]
    access = Access(**{"port": 80, "tokens": TOKENS, "base": base} | changes)
    app = Starlette(routes=[Mount(base or "/", routes=routes)], middleware=[Middleware(Gate, access=access)])
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


@pytest.mark.parametrize("base", ["", "/lab/app", "/api/app", "/mcp"])
@pytest.mark.parametrize("role", ["owner", "annotator"])
def test_the_token_of_the_address_becomes_a_cookie(role, base):
    with client(base) as browser:
        assert browser.get(f"{base}/curate").status_code == 403
        assert browser.post(f"{base}/_stcore/upload_file/x").status_code == 403
        assert browser.get(f"{base}/curate?token={'x' * 43}").status_code == 403
        answer = browser.get(f"{base}/curate?view=List&token={TOKENS[role]}&text=a%26b")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{base}/curate?view=List&text=a%26b")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower() and f"Path={base or '/'}" in cookie
        assert browser.get(f"{base}/curate").text == role
        assert browser.get(f"{base}/curate", headers={ROLE_HEADER: "owner"}).text == role
        with browser.websocket_connect(f"ws://localhost{base}/_stcore/stream") as socket:
            assert socket.receive_text() == role


def test_a_redirect_stays_on_this_host():
    with client() as browser:
        answer = browser.get(f"//evil.example/x?token={TOKENS['owner']}", headers={"host": "localhost"})
        assert not answer.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({}, True),
        ({"origin": "http://localhost"}, True),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"host": "evil.example"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
        ({"host": "lab.example", "origin": "https://lab.example"}, True),
        ({"host": "127.0.0.1:80", "origin": "https://lab.example"}, True),
        ({"host": "a@localhost"}, True),
        ({"host": "[::1"}, False),
    ],
)
def test_only_its_own_origin_and_host(headers, is_let_in):
    with client(named_hosts=frozenset({"lab.example"})) as browser:
        browser.cookies.set("multicsr-80", TOKENS["owner"])
        browser.headers["cookie"] = f"multicsr-80={TOKENS['owner']}"
        assert (browser.post("/upload", headers=headers).status_code == 200) == is_let_in
        try:
            with browser.websocket_connect("ws://localhost/_stcore/stream", headers=headers) as socket:
                assert socket.receive_text() == "owner" and is_let_in
        except WebSocketDisconnect as refused:
            assert refused.code == 1008 and not is_let_in


def test_every_route_looks_at_the_host():
    with client(tokens={}) as browser:
        for path in ("/", "/api/health", "/api/call", "/mcp", "/_stcore/health", "/media/x"):
            assert browser.get(path, headers={"host": "evil.example"}).status_code == 403
            assert browser.get(path).status_code == 200


@pytest.mark.parametrize("base", ["", "/bench"])
def test_a_page_names_its_base_and_the_browser_guesses_none(base):
    """Chromium asked for /curate/_stcore/health on every page; with BACKEND_BASE_URL it asks for the right one."""
    pages = [
        Route("/curate", lambda request: HTMLResponse("<html><head></head><body>ü</body></html>")),
        Route("/file", lambda request: PlainTextResponse("<head>")),
    ]
    inner = [
        Middleware(KnownBase, access=Access(port=80, base=base)),
        Middleware(GZipMiddleware, minimum_size=1),
    ]
    app = TestClient(Starlette(routes=pages, middleware=inner))
    found = app.get("/curate", headers={"accept": "text/html", "accept-encoding": "gzip"})
    assert (
        f'<head><script>window.__streamlit = {{BACKEND_BASE_URL: location.origin + "{base}/"}}</script></head>'
        in found.text
    )
    assert found.text.endswith("<body>ü</body></html>") and int(found.headers["content-length"]) == len(found.content)
    assert app.get("/file", headers={"accept": "text/html"}).text == "<head>"


def test_tokens_are_private_and_outlive_a_restart(tmp_path):
    tokens = session_tokens(tmp_path)
    assert session_tokens(tmp_path) == tokens and len(set(tokens.values())) == 2
    assert stat.S_IMODE((tmp_path / "session.json").stat().st_mode) == 0o600
    (tmp_path / "session.json").write_text('{"owner": "", "annotator": []}')
    assert session_tokens(tmp_path) != tokens


def test_annotators_decide_and_start_nothing(workspace, monkeypatch):
    monkeypatch.setattr(call, "role_of_caller", lambda: "annotator")
    for name in ("overview", "jobs"):
        ACTIONS[name](workspace)
    with pytest.raises(InputError, match="There is no triplet t"):
        ACTIONS["decide"](workspace, triplet_ids=["t"], action="accept", annotator="ann")
    started = [name for name in ACTIONS if name.startswith(("start_", "import_", "add_llm", "remove_", "delete_"))]
    for name in (*started, "backup", "cancel", "save_rule", "add_encoder", "export_triplets"):
        with pytest.raises(InputError, match="for the owner"):
            ACTIONS[name](workspace)


def test_a_new_workspace_is_for_its_user_alone(tmp_path):
    Workspace(tmp_path / "new").open().close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@contextmanager
def serving(root: Path, *options: str):
    """The command that people run; gives the port and what it printed."""
    port = free_port()
    command = [sys.executable, "-m", "workbench", "serve", "--workspace", str(root), "--port", str(port), *options]
    log = root.with_suffix(".log")
    with log.open("wb") as written:
        process = warm.start(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
    try:
        wait_for(lambda: process.poll() is not None or b"The app: " in log.read_bytes(), timeout_s=180)
        wait_for(lambda: process.poll() is not None or RemoteWorkspace.find(root), timeout_s=60)
        assert process.poll() is None, log.read_text()
        yield port, log.read_text()
    finally:
        process.terminate()
        process.wait(timeout=30)


def get(address: str, **headers: str) -> tuple[int, str, str]:
    """Return status, text and the cookie that was set, without following a redirect."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    opener = urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(urllib.request.Request(address, headers=headers), timeout=30)
    except urllib.error.HTTPError as refused:
        answer = refused
    return answer.status, answer.read().decode(), (answer.headers.get("set-cookie") or "").split(";")[0]


def connects(address: str, cookie: str, origin: str | None) -> bool:
    async def opened() -> bool:
        headers = {"Cookie": cookie} if cookie else {}
        try:
            async with websockets.connect(address, origin=origin, additional_headers=headers, proxy=None):
                return True
        except websockets.exceptions.InvalidStatus as refused:
            assert refused.response.status_code == 403
            return False

    return asyncio.run(opened())


PROXY = """
import asyncio, sys
async def pipe(reader, writer, old=b"", new=b""):
    while data := await reader.read(65536):
        writer.write(data.replace(old, new) if old else data)
        await writer.drain()
    writer.close()
async def serve(reader, writer):
    try:
        there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
        await asyncio.gather(pipe(reader, back), pipe(there, writer))
    except OSError:
        pass
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""


def test_the_real_server_under_a_path_behind_a_proxy_and_from_another_account(tmp_path, stand_in):
    """The proxy keeps the path and the Host header, as nginx does with proxy_set_header Host $host."""
    root = tmp_path / "ws"
    tmp_path.chmod(0o755)
    with serving(root, "--base-path", "lab/app", "--host", "lab.example") as (port, printed):
        token = re.search(r"The app: http://127.0.0.1:\d+/lab/app/\?token=(\S+)", printed)[1]
        front = free_port()
        proxy = subprocess.Popen([sys.executable, "-c", PROXY, str(front), str(port)])
        try:
            for through in (port, front):
                app = f"http://127.0.0.1:{through}/lab/app"
                host = {"Host": "lab.example"} if through == front else {}
                wait_for(lambda app=app, host=host: answers(f"{app}/_stcore/health", host))
                assert get(f"{app}/", **host)[0] == 403
                assert get(f"{app}/_stcore/host-config", **host)[0] == 403
                status, _, cookie = get(f"{app}/curate?token={token}", **host)
                assert status == 303
                page = get(f"{app}/curate", Cookie=cookie, **host)
                assert page[0] == 200 and '<div id="root">' in page[1]
            stream = f"ws://127.0.0.1:{port}/lab/app/_stcore/stream"
            assert connects(stream, cookie, f"http://127.0.0.1:{port}")
            assert connects(stream, cookie, "https://lab.example")
            assert not connects(stream, cookie, "http://evil.example")
            assert not connects(stream, cookie, f"http://localhost:{front}")
            assert not connects(stream, "", f"http://127.0.0.1:{port}")
            assert RemoteWorkspace.find(root).call("overview")["triplets"] == 0
            if os.geteuid() == 0:
                assert_a_stranger_gets_nothing(root, port)
        finally:
            proxy.kill()
            proxy.wait()


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{front}; {location} }}
}}
"""


@pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
def test_behind_nginx_as_the_page_on_access_says(tmp_path, stand_in):
    page = (PROJECT / "docs" / "access.md").read_text(encoding="utf-8")
    location = page.split("```nginx\n")[1].split("```")[0]
    tmp_path.chmod(0o755)
    with serving(tmp_path / "ws", "--base-path", "lab/app", "--host", "lab.example") as (port, printed):
        token, front = re.search(r"\?token=(\S+)", printed)[1], free_port()
        location = location.replace("127.0.0.1:8501", f"127.0.0.1:{port}")
        (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, front=front, location=location))
        nginx = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")])
        try:
            app, host = f"http://127.0.0.1:{front}/lab/app", {"Host": "lab.example"}
            wait_for(lambda: answers(f"{app}/_stcore/health", host))
            assert get(f"{app}/", **host)[0] == get(f"{app}/_stcore/host-config", **host)[0] == 403
            status, _, cookie = get(f"{app}/curate?token={token}", **host)
            assert status == 303
            status, page, _ = get(f"{app}/curate", Cookie=cookie, **host)
            assert status == 200 and '<div id="root">' in page
            assert get(f"{app}/", Cookie=cookie, Host="evil.example")[0] == 403
            stream = f"ws://127.0.0.1:{front}/lab/app/_stcore/stream"
            assert connects(stream, cookie, "https://lab.example")
            assert not connects(stream, cookie, "http://evil.example")
            assert not connects(stream, "", "https://lab.example")
        finally:
            nginx.terminate()
            nginx.wait(timeout=20)


def answers(address: str, headers: dict[str, str]) -> bool:
    try:
        return get(address, **headers)[0] == 200
    except OSError:
        return False


STRANGER = """
import json, os, sys, urllib.request, urllib.error
os.setgroups([]); os.setgid(65534); os.setuid(65534)
root, port, found = sys.argv[1], sys.argv[2], {}
for name in ("", "owner.token", "session.json", "state.duckdb", "decisions.jsonl", "jobs"):
    try:
        os.listdir(f"{root}/{name}") if name in ("", "jobs") else open(f"{root}/{name}").close()
        found[name] = "read"
    except PermissionError:
        pass
for path in ("lab/app/", "lab/app/curate", "lab/app/_stcore/host-config", "lab/app/_stcore/stream", "api/call"):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10)
        found[path] = "answered"
    except urllib.error.HTTPError as refused:
        if refused.code not in (401, 403, 405):
            found[path] = refused.code
print(json.dumps(found))
"""


def assert_a_stranger_gets_nothing(root: Path, port: int) -> None:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    command = [python, "-c", STRANGER, str(root), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=True)
    assert json.loads(done.stdout) == {}
