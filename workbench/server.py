"""The server: Streamlit's app with the workspace opened around it and a small HTTP API for the command line."""

import hmac
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from pipeline.durable import is_full_disk, os_error_sentence
from pipeline.records import InputError, StorageError
from workbench import sign_in, state
from workbench.actions import ACTIONS, call_action
from workbench.actions import call as call_of_actions
from workbench.components import elements
from workbench.login import LOOPBACK, Access, Gate, session_tokens
from workbench.page_messages import PageMessages
from workbench.paths import ENTRY_PAGE
from workbench.workspace import announce, close_current_workspace, current_workspace, withdraw

LARGEST_BODY_BYTES = 64 << 20
_log = logging.getLogger(__name__)
_token = b""


def configure(token: str) -> None:
    """Set the token that every call must bring."""
    global _token
    _token = token.encode()


async def health(request: Request) -> Response:
    """Answer that the server is up; with the token, also for which workspace."""
    if not _is_authorised(request):
        return _answer(200, {"status": "ok"})
    try:
        return _answer(200, {"status": "ok", "workspace": str(current_workspace().root)})
    except StorageError as error:
        return _answer(507, {"error": str(error)})


async def call(request: Request) -> Response:
    """Run {"action": name, "arguments": {...}} and answer with its result."""
    if not _is_authorised(request):
        return _answer(401, {"error": "The token is missing or wrong; it is in owner.token in the workspace."})
    body = await _limited_body(request)
    if body is None:
        limit_mib = LARGEST_BODY_BYTES >> 20
        return _answer(
            413, {"error": f"The request is larger than {limit_mib} MiB; name a file instead of its text."}
        )
    try:
        wanted = json.loads(body)
        name, arguments = wanted["action"], wanted.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError):
        return _answer(400, {"error": 'The request must be JSON: {"action": name, "arguments": {...}}.'})
    return await run_in_threadpool(_run, name, arguments)


class AgentsEndpoint:
    """What agents reach under /mcp, with the same token; the packages of MCP are loaded by the first request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of an agent."""
        if not _is_authorised(Request(scope)):
            refusal = _answer(401, {"error": "The token is missing or wrong; it is in owner.token in the workspace."})
            return await refusal(scope, receive, send)
        try:
            agents = await run_in_threadpool(import_module, "workbench.agents")
        except ModuleNotFoundError as error:
            advice = f"Agents need the package {error.name}: pip install 'multicsr-workbench[agents]'."
            return await _answer(501, {"error": advice})(scope, receive, send)
        try:
            workspace = current_workspace()
        except StorageError as error:
            return await _answer(507, {"error": str(error)})(scope, receive, send)

        def call(name: str, /, **arguments: Any) -> dict[str, Any]:
            return call_action(workspace, name, ACTIONS[name], arguments)

        await agents.answer_http(call, workspace.root, scope, receive, send)


def _run(name: str, arguments: dict[str, Any]) -> Response:
    if name not in ACTIONS:
        return _answer(404, {"error": f"There is no action {name}; there are {', '.join(sorted(ACTIONS))}."})
    try:
        return _answer(200, call_action(current_workspace(), name, ACTIONS[name], arguments))
    except InputError as error:
        return _answer(400, {"error": str(error)})
    except StorageError as error:
        return _answer(507, {"error": str(error)})
    except OSError as error:
        return _answer(507 if is_full_disk(error) else 400, {"error": os_error_sentence(error)})
    except Exception as error:
        _log.exception("The action %s failed.", name)
        return _answer(
            500, {"error": f"The action {name} failed ({type(error).__name__}); the server's log has the details."}
        )


def _is_authorised(request: Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return bool(_token) and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), _token)


async def _limited_body(request: Request) -> bytes | None:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _answer(status: int, content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), status_code=status, media_type="application/json")


def serve(
    workspace_root: Path,
    *,
    port: int = 8501,
    address: str = "127.0.0.1",
    headless: bool = True,
    with_token: bool = True,
    hosts: Sequence[str] = (),
    base_path: str = "",
) -> int:
    """Serve the app on this workspace until stopped; return the exit status.

    hosts: names under which a reverse proxy offers the app; base_path: the path it has there. A workspace in use or a
    port in use is an InputError before anything starts.
    """
    _require_free(address, port)
    os.environ["MULTICSR_WORKSPACE"] = str(workspace_root)
    workspace = current_workspace()
    named = frozenset(host.lower() for host in hosts)
    if address not in LOOPBACK and named:
        named |= {address}
    tokens = session_tokens(workspace.root) if with_token else {}
    any_host = address not in LOOPBACK and not named
    access = Access(port, tokens, named, any_host, sign_in=sign_in.configured())
    call_of_actions.role_of_caller = state.role
    sys.argv = [str(ENTRY_PAGE)]  # Streamlit looks for .streamlit/config.toml beside the program it was given
    try:
        application(access).run(config=_settings(access, address, headless, base_path))
    finally:
        close_current_workspace()
    return 0


class KnownBase:
    """ASGI middleware that names the app's base path in the page.

    Otherwise the browser guesses it: behind /curate it first asks for /curate/_stcore/health, which is a 404 and an
    error in its console on every page.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put a line of script into the page's head; everything else passes unchanged."""
        head: Message | None = None
        body = b""

        async def answer(message: Message) -> None:
            nonlocal head, body
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"])
                if message["status"] == 200 and kind.get("content-type", "").startswith("text/html"):
                    head = message
                else:
                    await send(message)
            elif head is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    base = json.dumps(f"{self._access.base}/")
                    line = f"<script>window.__streamlit = {{BACKEND_BASE_URL: location.origin + {base}}}</script>"
                    page = body.replace(b"<head>", b"<head>" + line.encode(), 1)
                    MutableHeaders(raw=head["headers"])["content-length"] = str(len(page))
                    await send(head)
                    await send({"type": "http.response.body", "body": page})

        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            return await self._app(scope, receive, send)
        # Compressed, the page could not be read here.
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        await self._app({**scope, "headers": headers}, receive, answer)


def application(access: Access) -> st.App:
    """Return the ASGI application."""

    @asynccontextmanager
    async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any]]:
        base = str(config.get_option("server.baseUrlPath")).strip("/")
        access.base = f"/{base}" if base else ""
        async with _lifespan(app) as state_of_app:
            _print_addresses(access)
            yield state_of_app

    return st.App(
        str(ENTRY_PAGE),
        lifespan=lifespan,
        middleware=[Middleware(Gate, access=access), Middleware(KnownBase, access=access), Middleware(PageMessages)],
        on_script_error=_show_sentence,
        routes=[
            Route("/api/health", health, methods=["GET"]),
            Route("/api/call", call, methods=["POST"]),
            Route("/mcp", AgentsEndpoint()),
        ],
    )


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    st.secrets.load_if_toml_exists()  # puts them into the environment, which the workers inherit
    workspace = current_workspace()
    token = announce(workspace.root, _client_address(), int(config.get_option("server.port")))
    configure(token)
    try:
        yield {}
    finally:
        withdraw(workspace.root)
        close_current_workspace()


def _print_addresses(access: Access) -> None:
    host = _client_address()
    sys.stdout.write(f"\nThe app: {access.address(host, 'owner')}\n")
    if access.tokens:
        sys.stdout.write(f"For annotators, who decide and start nothing: {access.address(host, 'annotator')}\n")
    sys.stdout.flush()


def _show_sentence(error: Exception) -> bool:
    """Show what a page could not do as one sentence in place of a traceback; other errors are shown as they are."""
    if not isinstance(error, InputError | StorageError):
        return False
    st.error(elements.plain(str(error)), icon=":material/error:")
    return True


def _settings(access: Access, address: str, headless: bool, base_path: str) -> dict[str, Any]:
    settings = {
        "server.port": access.port,
        "server.address": address,
        "server.headless": headless,
        "server.fileWatcherType": "none",  # reloading a module would open a second store in this process
        "browser.gatherUsageStats": False,
        "server.allowedHosts": [],  # the gate checks the host, on every route
        "server.corsAllowedOrigins": [
            f"{scheme}://{host}" for host in access.named_hosts for scheme in ("http", "https")
        ],
        "logger.hideWelcomeMessage": True,  # its address would lack the token
    }
    if base_path:
        settings["server.baseUrlPath"] = base_path
    if not access.tokens and access.sign_in is None:
        sys.stderr.write(f"Warning: there is no token; everybody who reaches {address} can use the app.\n")
    if address not in LOOPBACK:
        settings["client.showErrorDetails"] = "none"
    return settings


def _client_address() -> str:
    address = config.get_option("server.address") or "127.0.0.1"
    return "127.0.0.1" if address in ("0.0.0.0", "::") else str(address)


def _require_free(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"Port {port} of {address[:100]} cannot be used ({why}); choose another with --port or --address."
            ) from error
