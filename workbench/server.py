"""The server: Streamlit's app with the workspace opened around it and a small HTTP API for the command line."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.routing import Route

from pipeline.errors import InputError
from workbench import api, owner
from workbench.paths import ENTRY_PAGE
from workbench.workspace import close_current_workspace, current_workspace

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(workspace_root: Path, *, port: int = 8501, address: str = "127.0.0.1", headless: bool = True) -> int:
    """Serve the app on this workspace until stopped; return the exit status.

    A workspace in use or a port in use is an InputError before anything starts.
    """
    _require_free(address, port)
    os.environ["MULTICSR_WORKSPACE"] = str(workspace_root)
    current_workspace()
    sys.argv = [str(ENTRY_PAGE)]  # Streamlit looks for .streamlit/config.toml beside the program it was given
    try:
        application().run(config=_settings(port, address, headless))
    finally:
        close_current_workspace()
    return 0


def application() -> st.App:
    """Return the ASGI application."""
    return st.App(
        str(ENTRY_PAGE),
        lifespan=_lifespan,
        routes=[
            Route("/api/health", api.health, methods=["GET"]),
            Route("/api/call", api.call, methods=["POST"]),
        ],
    )


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    from streamlit import config

    st.secrets.load_if_toml_exists()  # puts them into the environment, which the workers inherit
    workspace = current_workspace()
    token = owner.announce(workspace.root, _client_address(), int(config.get_option("server.port")))
    api.configure(token)
    try:
        yield {}
    finally:
        owner.withdraw(workspace.root)
        close_current_workspace()


def _settings(port: int, address: str, headless: bool) -> dict[str, Any]:
    settings = {
        "server.port": port,
        "server.address": address,
        "server.headless": headless,
        "server.fileWatcherType": "none",  # reloading a module would open a second store in this process
        "browser.gatherUsageStats": False,
    }
    if address not in _LOOPBACK:
        sys.stderr.write(
            f"Warning: the app listens on {address} without a login; everybody who reaches it can use it.\n"
        )
        settings["server.allowedHosts"] = []
        settings["client.showErrorDetails"] = "none"
    return settings


def _client_address() -> str:
    from streamlit import config

    address = config.get_option("server.address") or "127.0.0.1"
    return "127.0.0.1" if address in ("0.0.0.0", "::") else str(address)


def _require_free(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise InputError(
                f"Port {port} of {address} cannot be used ({error.strerror}); choose another with --port."
            ) from error
