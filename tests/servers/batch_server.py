"""A provider with a Batch API on loopback, in OpenAI's shapes: files, batches, output and errors as JSON lines."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict], dict | None]
"""Takes a call's body; returns {"content": text} or {"error": {...}}, or None for one that is never reached."""


class Provider:
    """Files and batches by id. A batch is done after `polls` looks at it; `ends` names the state it then has."""

    def __init__(self, reply: Reply, *, polls: int = 2, ends: Callable[[dict], str] | None = None) -> None:
        self.reply, self.polls = reply, polls
        self.ends = ends or (lambda _batch: "completed")
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.charged: list[str] = []
        """The custom ids of all calls that were answered, which is what they are paid for."""
        self.drop_next_creation = False
        self.lock = threading.Lock()

    def upload(self, data: bytes) -> dict:
        content = re.search(rb'filename="[^"]*"\r\n.*?\r\n\r\n(.*?)\r\n--', data, re.DOTALL)
        assert content and b'name="purpose"\r\n\r\nbatch\r\n' in data
        return self._file(content[1])

    def create(self, asked: dict) -> dict:
        assert asked["completion_window"] == "24h" and asked["endpoint"] == "/v1/chat/completions"
        total = len(self.files[asked["input_file_id"]].splitlines())
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": 1,
            "request_counts": {"total": total, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
            "looks": 0,
        }
        self.batches[batch["id"]] = batch
        return batch

    def look(self, batch: dict) -> dict:
        batch["looks"] += 1
        if batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if batch["looks"] > self.polls:
                self._end(batch, self.ends(batch))
        return batch

    def _end(self, batch: dict, state: str) -> None:
        batch["status"] = state
        if state == "failed":
            said = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached for m.", "line": None}
            batch["errors"] = {"object": "list", "data": [said | {"param": None}]}
            return
        answered, missed = [], []
        for number, line in enumerate(self.files[batch["input_file_id"]].decode().splitlines()):
            call = json.loads(line)
            assert (call["method"], call["url"]) == ("POST", batch["endpoint"])
            found = self.reply(call["body"])
            row: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": call["custom_id"], "error": None}
            if found is None:
                words = "This request could not be executed before the completion window expired."
                missed.append(row | {"response": None, "error": {"code": "batch_expired", "message": words}})
            elif "error" in found:
                response = {"status_code": 400, "request_id": "r", "body": {"error": found["error"]}}
                missed.append(row | {"response": response})
            else:
                message = {"role": "assistant", "content": found["content"]}
                body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
                body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
                body["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
                answered.append(row | {"response": {"status_code": 200, "request_id": "r", "body": body}})
                self.charged.append(call["custom_id"])
        batch["request_counts"] |= {"completed": len(answered), "failed": len(missed)}
        for name, rows in (("output_file_id", answered[::-1]), ("error_file_id", missed)):
            if rows:
                batch[name] = self._file("".join(f"{json.dumps(row)}\n" for row in rows).encode())["id"]

    def _file(self, content: bytes) -> dict:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        about = {"id": name, "object": "file", "bytes": len(content), "created_at": 1, "filename": "x.jsonl"}
        return about | {"purpose": "batch", "status": "processed"}


@contextmanager
def provider(reply: Reply, **options: Any) -> Iterator[tuple[str, Provider]]:
    """Serve one; yields its base URL and what it holds."""
    kept = Provider(reply, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            with kept.lock:
                path = self.path.partition("?")[0].removeprefix("/v1")
                if path == "/models":
                    return self.send({"object": "list", "data": [{"id": "m", "object": "model", "created": 0}]})
                if path == "/batches":
                    return self.send({"object": "list", "data": list(kept.batches.values()), "has_more": False})
                if path.startswith("/batches/"):
                    return self.send(kept.look(kept.batches[path.split("/")[2]]))
                return self.send(kept.files[path.split("/")[2]])

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with kept.lock:
                path = self.path.removeprefix("/v1")
                if path == "/files":
                    return self.send(kept.upload(data))
                if path.endswith("/cancel"):
                    batch = kept.batches[path.split("/")[2]]
                    batch["status"] = "cancelling"
                    return self.send(batch)
                if path == "/chat/completions":
                    said = {"role": "assistant", "content": (kept.reply(json.loads(data)) or {}).get("content", "")}
                    choice = {"index": 0, "message": said, "finish_reason": "stop"}
                    return self.send({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]})
                if path != "/batches":
                    return self.send({"error": {"message": "Not Found"}}, 404)
                made = kept.create(json.loads(data))
                if kept.drop_next_creation:  # it exists, but the answer is lost
                    kept.drop_next_creation = False
                    self.close_connection = True
                    return self.connection.close()
                return self.send(made)

        def send(self, body: dict | bytes, status: int = 200) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", kept
    finally:
        server.shutdown()
        server.server_close()
