"""A hub on this machine for tests: the few addresses of the Hugging Face Hub that `datasets` asks for, over HTTP."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Files = dict[tuple[str, str], dict[str, bytes]]
"""(repository, revision) -> path -> content; a repository of a model is called model:OWNER/NAME."""


def answer(files: Files, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(with_body=True)

        def do_HEAD(self) -> None:
            self.reply(with_body=False)

        def do_POST(self) -> None:
            wanted = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urlsplit(self.path).path
            if path == "/api/repos/create":
                made = json.loads(wanted)
                named = f"{made.get('type', 'model')} {made['organization']}/{made['name']}"
                asked.append(f"create {named} {made['visibility']}")
                folder = "" if made.get("type", "model") == "model" else "datasets/"
                url = f"http://{self.headers['Host']}/{folder}{made['organization']}/{made['name']}"
                return self.send(200, json.dumps({"url": url}).encode(), True)
            if path == "/api/validate-yaml":
                return self.send(200, b'{"errors": [], "warnings": []}', True)
            if "/preupload/" in path:
                mode = {"uploadMode": "regular", "shouldIgnore": False}
                named = [{"path": one["path"]} | mode for one in json.loads(wanted)["files"]]
                return self.send(200, json.dumps({"files": named}).encode(), True)
            if "/commit/" in path:
                kind, owner, name = path.removeprefix("/api/").split("/")[:3]
                told = [json.loads(line) for line in wanted.splitlines()]
                sent = [one["value"] for one in told if one["key"] == "file"]
                content = {one["path"]: base64.b64decode(one["content"]) for one in sent}
                files[f"{kind}:{owner}/{name}", "pushed"] = content
                url = (
                    f"http://{self.headers['Host']}/{'' if kind == 'models' else 'datasets/'}{owner}/{name}/commit/0"
                )
                return self.send(
                    200, json.dumps({"commitUrl": url, "commitOid": "0", "hookOutput": ""}).encode(), True
                )
            self.reply(with_body=True, wanted=wanted)

        def reply(self, *, with_body: bool, wanted: bytes = b"") -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path}")
            for (repository, revision), content in files.items():
                api, resolve = f"/api/datasets/{repository}", f"/datasets/{repository}/resolve/{revision}/"
                if repository.startswith("model:"):
                    repository = repository.removeprefix("model:")
                    api, resolve = f"/api/models/{repository}", f"/{repository}/resolve/{revision}/"
                if path in (api, f"{api}/revision/{revision}", f"{api}/revision/main"):
                    siblings = [{"rfilename": name, "size": len(body)} for name, body in content.items()]
                    record = {"_id": "0", "id": repository, "sha": revision, "private": False, "siblings": siblings}
                    return self.send(200, json.dumps(record | {"tags": [], "downloads": 0}).encode(), with_body)
                if path.startswith(f"{api}/tree/{revision}"):
                    under = path.removeprefix(f"{api}/tree/{revision}").strip("/")
                    return self.send(200, json.dumps(tree(content, under)).encode(), with_body)
                if path == f"{api}/paths-info/{revision}":
                    paths = json.loads(wanted)["paths"]
                    found = [entry for entry in tree(content, "") if entry["path"] in paths]
                    return self.send(200, json.dumps(found).encode(), with_body)
                if path.startswith(resolve) and path.removeprefix(resolve) in content:
                    body = content[path.removeprefix(resolve)]
                    return self.send(200, body, with_body, {"ETag": f'"{oid(body)}"', "X-Repo-Commit": revision})
            missing = {"X-Error-Code": "EntryNotFound" if "/resolve/" in path else "RepoNotFound"}
            return self.send(404, b"{}", with_body, missing)

        def send(self, status: int, body: bytes, with_body: bool, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Hub


def tree(content: dict[str, bytes], under: str) -> list[dict]:
    """Every file and folder below a folder."""
    folders = {"/".join(name.split("/")[:depth]) for name in content for depth in range(1, name.count("/") + 1)}
    entries = [{"type": "directory", "oid": "0", "size": 0, "path": name} for name in sorted(folders)]
    entries += [{"type": "file", "oid": oid(body), "size": len(body), "path": name} for name, body in content.items()]
    return [entry for entry in entries if not under or str(entry["path"]).startswith(f"{under}/")]


def oid(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@contextmanager
def stand_in_hub(files: Files) -> Iterator[tuple[str, list[str]]]:
    """Serve these repositories; answers with the address and the growing list of what was asked for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer(files, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
