"""Who may use the app: the host and the origin of every request, and a token that says whose session it is.

Loopback is no user: whoever has an account on the machine reaches the port. So the address that `serve` prints
carries a token, which becomes a cookie. There is one for the owner and one for annotators, who start nothing.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.durable import write_json

Role = Literal["owner", "annotator"]
ROLE_HEADER: Final = "x-multicsr-role"
"""Header of the role, set by the gate on every request that it lets through; one from outside is dropped."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TOKENS_FILE: Final = "session.json"
_WITH_THEIR_OWN_TOKEN: Final = frozenset({"/api/health", "/api/call", "/mcp"})
"""Whole paths, not prefixes: under a base path such as /api/app every page begins with /api/."""
_OF_THE_LOGIN: Final = frozenset({"/auth/login", "/auth/logout", "/oauth2callback"})
"""Streamlit's own paths of the login, below the base path."""
_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>MultiCSR</title>
<body style="font-family: sans-serif; max-width: 32em; margin: 4em auto">
<h1>A token is needed</h1>
<p>Open the address that <code>multicsr serve</code> printed, or paste its token here. It is kept in
<code>session.json</code> of the workspace as well, which its owner can read.</p>
<form><input name="token" type="password" autofocus autocomplete="off" aria-label="Token">
<button>Open</button></form>
"""


class SignedIn(Protocol):
    """What the gate asks about people who signed in at a provider."""

    def person(self, cookies: Mapping[str, str]) -> str:
        """Return the address of whoever signed in with these cookies; empty for nobody."""
        ...

    def role(self, person: str) -> Role | None:
        """Return the role of an address."""
        ...

    def address(self) -> str:
        """Return where to go to sign in."""
        ...


@dataclass
class Access:
    """Whom the gate lets in."""

    port: int
    tokens: dict[Role, str] = field(default_factory=dict)
    """Role -> token; empty lets everybody in as the owner."""
    named_hosts: frozenset[str] = frozenset()
    """Names under which a reverse proxy offers the app."""
    any_host: bool = False
    """Whether every Host header will do: on an address beyond loopback without named hosts."""
    base: str = ""
    """Path under which the app is served, such as /lab/app."""
    sign_in: SignedIn | None = None
    """Login at a provider, beside the tokens."""

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies do not tell ports apart, so the port is in it."""
        return f"multicsr-{self.port}"

    def role(self, token: str) -> Role | None:
        """Return whose token this is; None for nobody's."""
        found: Role | None = None
        for role, known in self.tokens.items():
            if hmac.compare_digest(token.encode(), known.encode()):
                found = role
        return found

    def address(self, host: str, role: Role) -> str:
        """Return the address to open in a browser."""
        query = f"?token={self.tokens[role]}" if role in self.tokens else ""
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{self.base}/{query}"


def session_tokens(root: Path) -> dict[Role, str]:
    """Return the tokens of a workspace, made at its first serving; a page that is open outlives a restart."""
    path = root / _TOKENS_FILE
    try:
        kept = json.loads(path.read_bytes())
        tokens: dict[Role, str] = {"owner": kept["owner"], "annotator": kept["annotator"]}
        if all(isinstance(token, str) and len(token) > 20 and token.isascii() for token in tokens.values()):
            return tokens
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or damaged
    tokens = {"owner": secrets.token_urlsafe(32), "annotator": secrets.token_urlsafe(32)}
    write_json(path, tokens, mode=0o600)
    return tokens


class Gate:
    """ASGI middleware in front of every route, the websocket included."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with its role, or answer why not."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        answer = self._answer(connection)
        if answer is None:
            role = self._role(connection) or "annotator"
            headers = [(name, value) for name, value in scope["headers"] if name.lower() != ROLE_HEADER.encode()]
            scope["headers"] = [*headers, (ROLE_HEADER.encode(), role.encode())]
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await answer(scope, receive, send)

    def _answer(self, connection: HTTPConnection) -> Response | None:
        """Return what to answer in place of the app; None lets the request through."""
        scope, access = connection.scope, self._access
        path = scope["path"].removeprefix(access.base)
        host = connection.headers.get("host", "")
        if not access.any_host and _hostname(host) not in LOOPBACK | access.named_hosts:
            return PlainTextResponse("This host name is not served here; name it with serve --host.\n", 403)
        if scope["path"] in _WITH_THEIR_OWN_TOKEN:
            return None
        is_safe = scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS")
        if not is_safe and not self._is_own_origin(connection.headers.get("origin"), host):
            return PlainTextResponse("Another site asked for this; open the app's own address.\n", 403)
        if path == "/_stcore/health" or self._role(connection) or (access.sign_in and path in _OF_THE_LOGIN):
            return None
        if scope["type"] == "http" and scope["method"] == "GET":
            return self._entrance(connection)
        return PlainTextResponse("The token is missing or wrong.\n", 403)

    def _entrance(self, connection: HTTPConnection) -> Response:
        """Turn a token in the address into a cookie; ask for one where it is missing or wrong."""
        access, scope = self._access, connection.scope
        query = parse_qsl(connection.url.query, keep_blank_values=True)
        token = next((value for name, value in query if name == "token"), "")
        guarded = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        if access.role(token) is None:
            return HTMLResponse(_PAGE, 403, guarded) if access.sign_in is None else self._to_the_login(connection)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        target = "/" + scope["path"].lstrip("/")  # two slashes would name another host
        answer = RedirectResponse(target + (f"?{rest}" if rest else ""), 303, guarded)
        is_https = "https" in (scope.get("scheme"), connection.headers.get("x-forwarded-proto"))
        answer.set_cookie(
            access.cookie, token, httponly=True, samesite="lax", secure=is_https, path=access.base or "/"
        )
        return answer

    def _to_the_login(self, connection: HTTPConnection) -> Response:
        sign_in = self._access.sign_in
        assert sign_in is not None
        guarded = {"Cache-Control": "no-store"}
        if person := sign_in.person(connection.cookies):
            return PlainTextResponse(f"{person} may not use this app; its owner lists who may.\n", 403, guarded)
        return RedirectResponse(sign_in.address(), 303, guarded)

    def _role(self, connection: HTTPConnection) -> Role | None:
        access = self._access
        if not access.tokens and access.sign_in is None:
            return "owner"
        by_token = access.role(connection.cookies.get(access.cookie, ""))
        if by_token or access.sign_in is None:
            return by_token
        return access.sign_in.role(access.sign_in.person(connection.cookies))

    def _is_own_origin(self, origin: str | None, host: str) -> bool:
        """Whether a browser's page of our own asks; other programs send no origin."""
        if origin is None:
            return True
        netloc = origin.partition("://")[2]
        return netloc == host or _hostname(netloc) in self._access.named_hosts


def _hostname(host: str) -> str:
    """Return the name in a Host header or an origin, without its port; empty for a malformed one."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
