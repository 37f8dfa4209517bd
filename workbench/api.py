"""The HTTP API behind the command line: one call, for the listed actions only, with the workspace's token."""

import hmac
import json
import logging
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.durable import is_full_disk, os_error_sentence
from pipeline.errors import InputError, StorageError
from workbench.workspace import current_workspace

LARGEST_BODY_BYTES = 64 << 20
_log = logging.getLogger(__name__)
_token = b""


def configure(token: str) -> None:
    """Set the token that every call must bring."""
    global _token
    _token = token.encode()


async def health(request: Request) -> Response:
    """Answer that the server lives; with the token, also for which workspace."""
    if not _is_authorised(request):
        return _answer(200, {"status": "ok"})
    return _answer(200, {"status": "ok", "workspace": str(current_workspace().root)})


async def call(request: Request) -> Response:
    """Run {"action": name, "arguments": {...}} and answer with its result."""
    if not _is_authorised(request):
        return _answer(401, {"error": "The token is missing or wrong; it lies in owner.token of the workspace."})
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


def _run(name: str, arguments: dict[str, Any]) -> Response:
    from workbench.actions import ACTIONS
    from workbench.actions.call import call_action

    if name not in ACTIONS:
        return _answer(404, {"error": f"There is no action {name}; there are {', '.join(sorted(ACTIONS))}."})
    workspace = current_workspace()
    try:
        return _answer(200, call_action(workspace, name, ACTIONS[name], arguments))
    except InputError as error:
        return _answer(400, {"error": str(error)})
    except StorageError as error:
        return _answer(507, {"error": str(error)})
    except OSError as error:
        return _answer(507 if is_full_disk(error) else 400, {"error": os_error_sentence(error)})
    except Exception as error:
        _log.exception("The action %s failed.", name)
        return _answer(
            500, {"error": f"The action {name} failed ({type(error).__name__}); the server's log says more."}
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
