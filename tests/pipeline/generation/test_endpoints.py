"""Which servers may be called: names, addresses, redirects, keys."""

import socket

import pytest

from pipeline.generation.llms import endpoints
from pipeline.generation.llms.endpoints import (
    ENDPOINTS,
    EndpointError,
    checked_address,
    checked_url,
    http_client,
    key_in,
)
from tests.servers.scripted_server import completion, serving


@pytest.fixture(autouse=True)
def no_list(monkeypatch):
    monkeypatch.delenv(ENDPOINTS, raising=False)


def resolving(monkeypatch, *addresses):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]
    monkeypatch.setattr(endpoints.socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1/", "http://localhost:11434/v1", "https://api.openai.com/v1"]
)
def test_loopback_and_known_servers_may_be_called(url):
    assert checked_url(url) == url.rstrip("/")


@pytest.mark.parametrize("url", [
    "http://api.openai.com/v1", "https://example.org/v1", "http://10.0.0.5:8000", "http://127.0.0.2/v1",
    "http://[::ffff:169.254.169.254]/v1", "http://2130706433/v1", "https://api.openai.com.example.org/v1",
    "https://api.openai.com:8443/v1",
])  # fmt: skip
def test_others_are_refused_until_they_are_on_the_list(url):
    with pytest.raises(EndpointError, match="add it to MULTICSR_ENDPOINTS"):
        checked_url(url)


@pytest.mark.parametrize("url", [
    "", "127.0.0.1:8000", "file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:port/",
    "http://user:secret@127.0.0.1/", "http://127.0.0.1/?key=1", "gopher://127.0.0.1",
])  # fmt: skip
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(EndpointError):
        checked_url(url)


def test_the_list_names_hosts_or_origins(monkeypatch):
    monkeypatch.setenv(ENDPOINTS, "llm.example.org, http://gpu-box:8000")
    assert checked_url("https://llm.example.org/v1")
    assert checked_url("http://gpu-box:8000/v1")
    for other in ("http://llm.example.org/v1", "http://gpu-box:8001/v1", "https://gpu-box:8000/v1"):
        with pytest.raises(EndpointError):
            checked_url(other)


@pytest.mark.parametrize("address", [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "0.0.0.0",
    "::", "224.0.0.1", "::ffff:169.254.169.254", "255.255.255.255", "127.0.0.1", "::1",
])  # fmt: skip
def test_a_listed_name_that_points_to_a_forbidden_address_is_refused(address, monkeypatch):
    resolving(monkeypatch, "93.184.216.34", address)
    with pytest.raises(EndpointError, match=r"never called|points to this machine"):
        checked_address("listed.example.org", 443)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    """A name that resolves to something else a moment later (DNS rebinding) is looked up once per request."""
    with serving(lambda *_: completion("x")) as server:
        asked = []
        real = socket.getaddrinfo

        def lookup(host, *arguments, **options):
            asked.append(host)
            return real("127.0.0.1", *arguments, **options)

        monkeypatch.setattr(endpoints.socket, "getaddrinfo", lookup)
        url = server.url.replace("127.0.0.1", "localhost")
        with http_client(url, timeout_s=2.0) as client:
            answer = client.get(f"{url}/models")
        assert answer.status_code == 200
        assert asked[0] == "localhost" and set(asked[1:]) <= {"127.0.0.1"}


def test_a_client_calls_its_own_server_only_and_follows_no_redirect():
    with serving(lambda *_: completion("x")) as server, http_client(server.url, timeout_s=2.0) as client:
        with pytest.raises(EndpointError, match="was refused"):
            client.get("http://127.0.0.1:1/v1/models")
        assert client.follow_redirects is False and client.trust_env is False


def test_keys_come_from_variables_meant_for_them(monkeypatch):
    monkeypatch.setenv("FAR_API_KEY", " sk-1 ")
    assert key_in("FAR_API_KEY") == "sk-1"
    assert key_in("") == "none"
    with pytest.raises(EndpointError, match="is not set"):
        key_in("ABSENT_API_KEY")
    for name in ("PATH", "HOME", "AWS_SECRET_ACCESS_KEY", "far_api_key", "X_API_KEY; rm"):
        with pytest.raises(EndpointError, match="ends in _API_KEY"):
            key_in(name)
