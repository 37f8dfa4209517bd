"""How the command line finds and calls the server that owns a workspace."""

import json
import os
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.durable import write_bytes, write_json
from pipeline.records import InputError, StorageError

_TOKEN_FILE = "owner.token"
_OWNER_FILE = "owner.json"
_HEALTH_TIMEOUT_S = 5.0
_CALL_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Where the server of a workspace listens, and the token it accepts."""

    pid: int
    address: str
    port: int
    token: str


def announce(root: Path, address: str, port: int) -> str:
    """Write where the server listens; return a fresh token that only this user can read."""
    token = secrets.token_urlsafe(32)
    write_bytes(root / _TOKEN_FILE, token.encode(), mode=0o600)
    record = {"pid": os.getpid(), "address": address, "port": port, "token_file": _TOKEN_FILE}
    write_json(root / _OWNER_FILE, record, mode=0o600)
    return token


def withdraw(root: Path) -> None:
    """Remove the announcement when the server ends."""
    for name in (_OWNER_FILE, _TOKEN_FILE):
        (root / name).unlink(missing_ok=True)


def find(root: Path) -> Owner | None:
    """Return what a server announced here; it may have died since."""
    try:
        record = json.loads((root / _OWNER_FILE).read_bytes())
        token = (root / record["token_file"]).read_text()
        return Owner(int(record["pid"]), str(record["address"]), int(record["port"]), token)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


class RemoteFailure(RuntimeError):
    """Seen by the person whose command failed inside the server, whose log has the details."""


class RemoteWorkspace:
    """A workspace reached through its server."""

    def __init__(self, found: Owner) -> None:
        host = f"[{found.address}]" if ":" in found.address else found.address
        self._address = f"http://{host}:{found.port}"
        self._token = found.token
        # A proxy from the environment must not see the token of a server on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def find(cls, root: Path) -> "RemoteWorkspace | None":
        """Return the live server of this workspace, or None."""
        found = find(root)
        if found is None:
            return None
        remote = cls(found)
        try:
            answer = remote._send("/api/health", None, _HEALTH_TIMEOUT_S)
        except (OSError, ValueError):  # no server there, or another program
            return None
        return remote if answer.get("workspace") == str(root.expanduser().resolve()) else None

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Run an action in the server; its InputError or StorageError is raised here."""
        body = json.dumps({"action": name, "arguments": arguments}).encode()
        try:
            return self._send("/api/call", body, _CALL_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            raise _failure(error) from error
        except urllib.error.URLError as error:
            raise InputError(
                f"The server at {self._address} went away ({error.reason}); start it again and repeat the command."
            ) from error

    def _send(self, path: str, body: bytes | None, timeout_s: float) -> dict[str, Any]:
        request = urllib.request.Request(
            self._address + path,
            data=body,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=timeout_s) as response:
            return json.loads(response.read())


def _failure(error: urllib.error.HTTPError) -> Exception:
    try:
        sentence = json.loads(error.read())["error"]
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {error.code} {error.reason}."
    if error.code == 507:
        return StorageError(sentence)
    return RemoteFailure(sentence) if error.code >= 500 else InputError(sentence)
