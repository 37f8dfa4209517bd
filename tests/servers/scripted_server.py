"""A real HTTP server on loopback that speaks enough of the OpenAI API, and misbehaves as it is told.

`script` answers every POST: it is given the number of the call and its JSON, and returns a behaviour.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server does with one call."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    raw: bytes | None = None


Script = Callable[[int, dict], Answer]


def completion(text: str, *, prompt_tokens: int | None = 20, reply_tokens: int | None = 5, **choice: Any) -> Answer:
    body = {"id": "x", "object": "text_completion", "created": 0, "model": "m"}
    body["choices"] = [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None, **choice}]
    if prompt_tokens is not None:
        body["usage"] = {
            "prompt_tokens": prompt_tokens, "completion_tokens": reply_tokens,
            "total_tokens": prompt_tokens + (reply_tokens or 0),
        }  # fmt: skip
    return Answer(body=body)


def chat(text: str) -> Answer:
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    body["choices"] = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    body["usage"] = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    return Answer(body=body)


class Server:
    """A running server: its URL, the calls it got, how many were under way at most."""

    def __init__(self, script: Script, models: list[dict] | None = None) -> None:
        self.script = script
        self.models = [{"id": "m", "object": "model", "created": 0, "owned_by": "t"}] if models is None else models
        self.calls: list[dict] = []
        self.times: list[float] = []
        self.headers: list[dict] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.send(self, Answer(body={"object": "list", "data": server.models}))

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = json.loads(self.rfile.read(length))
                with server.lock:
                    number = len(server.calls)
                    server.calls.append({"path": self.path, **asked})
                    server.times.append(time.monotonic())
                    server.headers.append({name.lower(): value for name, value in self.headers.items()})
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                try:
                    answer = server.script(number, {"path": self.path, **asked})
                    time.sleep(answer.delay_s)
                finally:
                    with server.lock:
                        server.at_once -= 1
                server.send(self, answer)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        data = answer.raw if answer.raw is not None else json.dumps(answer.body).encode()
        try:
            handler.send_response(answer.status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data) + (100 if answer.cut else 0)))
            for name, value in answer.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(data)
            if answer.cut:
                handler.close_connection = True
        except OSError:
            pass  # the client gave up


@contextmanager
def serving(script: Script, models: list[dict] | None = None) -> Iterator[Server]:
    server = Server(script, models)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
