"""How other processes find the server of a workspace: its address in owner.json, its token in a private file."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipeline.durable import write_bytes, write_json

_TOKEN_FILE = "owner.token"
_OWNER_FILE = "owner.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """Where the server of a workspace listens, and the token it accepts."""

    pid: int
    address: str
    port: int
    token: str


def announce(root: Path, address: str, port: int) -> str:
    """Say where the server listens; return a fresh token that only this user can read."""
    token = secrets.token_urlsafe(32)
    write_bytes(root / _TOKEN_FILE, token.encode(), mode=0o600)
    record = {"pid": os.getpid(), "address": address, "port": port, "token_file": _TOKEN_FILE}
    write_json(root / _OWNER_FILE, record, mode=0o600)
    return token


def withdraw(root: Path) -> None:
    """Take the announcement back when the server ends."""
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
