"""Where a server may be: the allow-list of endpoints, and an HTTP client that goes nowhere else.

A URL typed by a person must not turn the workbench into a way into its network. So a host is loopback or on the list,
its addresses are looked up and checked for every request, the connection goes to the checked address, redirects are
not followed, proxies of the environment are not used, and an answer has a size and a deadline.
"""

import ipaddress
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from pipeline.records import InputError

ENDPOINTS: Final = "MULTICSR_ENDPOINTS"
"""Environment variable: hosts (https) or origins such as http://gpu-box:8000, separated by commas."""
KNOWN: Final = ("api.openai.com",)
LONGEST_ANSWER_BYTES: Final = 32 << 20
_KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_API_KEY")
_METADATA: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
"""Metadata services of clouds that are not link-local."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class EndpointError(InputError):
    """Seen by the person who named a server that may not be called."""


@dataclass(frozen=True, slots=True)
class _Origin:
    scheme: str
    host: str
    port: int


def checked_url(url: str) -> str:
    """Return a base URL that may be called, without a slash at its end. Raises EndpointError."""
    origin = _origin(url)
    if origin.host not in _loopback_names() and origin not in _listed():
        raise EndpointError(
            f"The server {origin.scheme}://{origin.host}:{origin.port} is not on the list of endpoints: add it to "
            f"{ENDPOINTS} and start again."
        )
    return url.strip().rstrip("/")


def checked_key_variable(name: str) -> str:
    """Return the name of an environment variable that may hold a key; others could be sent away by mistake."""
    if name and not _KEY_VARIABLE.fullmatch(name):
        raise EndpointError(f"{name!r} cannot hold a server's key: name a variable that ends in _API_KEY.")
    return name


def key_in(variable: str) -> str:
    """Return the key in an environment variable, where Streamlit puts its secrets too; "none" when none is named."""
    if not checked_key_variable(variable):
        return "none"
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EndpointError(f"{variable} is not set: put the key into the environment or Streamlit's secrets.")
    return key


def key_for(variable: str, url: str, registered: str) -> str:
    """Return the key in a variable for the server at a URL; "none" when no variable is named.

    registered: the origin that the key was given for, empty where none is known yet. EndpointError for another one.
    """
    key = key_in(variable)
    if variable and registered and registered != origin_of(url):
        raise EndpointError(
            f"{variable} was given for {registered} and is not sent to {origin_of(url)}: add the LLM again."
        )
    return key


def origin_of(url: str) -> str:
    """Return scheme://host:port of a URL. Raises EndpointError for what is not the URL of a server."""
    origin = _origin(url)
    return f"{origin.scheme}://{origin.host}:{origin.port}"


def http_client(base_url: str, *, timeout_s: float) -> httpx2.Client:
    """Return a client for this server only. Raises EndpointError when it is not on the list."""
    origin = _origin(checked_url(base_url))
    return httpx2.Client(
        transport=_CheckedTransport(origin, timeout_s), timeout=timeout_s, follow_redirects=False, trust_env=False
    )


def checked_address(host: str, port: int) -> str:
    """Return an address of a host that may be connected to. Raises EndpointError for any that may not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise EndpointError(f"There is no address for the host {host}: check the name.") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    for address in addresses:
        _refuse(host, address)
    # A server on this machine usually listens on IPv4 only.
    return str(min(addresses, key=lambda address: address.version))


def _refuse(host: str, address: Address) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    is_forbidden = (
        plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain in _METADATA or plain.is_reserved
    )
    if is_forbidden:
        raise EndpointError(f"The host {host} has the address {plain}, which is never called.")
    if plain.is_loopback and host not in _loopback_names():
        raise EndpointError(f"The host {host} points to this machine: name it 127.0.0.1.")


def _loopback_names() -> tuple[str, ...]:
    return ("127.0.0.1", "localhost", "::1")


def _origin(url: str) -> _Origin:
    parts = urlsplit(url.strip())
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EndpointError(f"{url!r} is not the URL of a server: write it as http://127.0.0.1:8000/v1.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise EndpointError(f"{url!r} is not the URL of a server: write it as http://127.0.0.1:8000/v1.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise EndpointError("The URL of a server holds no name, password or query: give the key by its variable.")
    return _Origin(parts.scheme, host.lower(), port or (443 if parts.scheme == "https" else 80))


def _listed() -> set[_Origin]:
    named = [part.strip() for part in os.environ.get(ENDPOINTS, "").split(",") if part.strip()]
    return {_origin(part if "://" in part else f"https://{part}") for part in (*KNOWN, *named)}


class _CheckedTransport(httpx2.BaseTransport):
    """Connects to an address that was just checked, whatever the name resolves to a moment later."""

    def __init__(self, origin: _Origin, timeout_s: float) -> None:
        self._origin = origin
        self._timeout_s = timeout_s
        self._inner = httpx2.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request to the one server this transport is for."""
        url = request.url
        wanted = _Origin(url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        if wanted != self._origin:
            raise EndpointError(f"A call to {wanted.host} was refused: this LLM is at {self._origin.host}.")
        address = checked_address(wanted.host, wanted.port)
        deadline = time.monotonic() + self._timeout_s
        # The Host header and the certificate's name stay those of the URL.
        sent = httpx2.Request(
            request.method,
            url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": wanted.host},
        )
        response = self._inner.handle_request(sent)
        response.stream = _Bounded(response.stream, deadline, sent)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _Bounded(httpx2.SyncByteStream):
    """An answer of bounded size that must be complete by a deadline, however slowly it drips."""

    def __init__(self, stream: Any, deadline: float, request: httpx2.Request) -> None:
        self._stream = stream
        self._deadline = deadline
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > LONGEST_ANSWER_BYTES:
                raise httpx2.ReadError(f"an answer of more than {LONGEST_ANSWER_BYTES} bytes", request=self._request)
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("the answer took too long", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()
