"""Login at an OpenID provider: who is let in, as what, and that a cookie of one's own making lets nobody in."""

import http.cookiejar
import urllib.error
import urllib.request

import pytest

from pipeline.records import InputError
from tests.pages.browsing import free_port
from tests.workbench import test_login
from tests.workbench.processes import wait_for
from tests.workbench.test_login import client, connects, serving

PEOPLE = {"ann@lab.example": "owner", "*@lab.example": "annotator"}


class Stub:
    """What the provider knows, without one: the cookie is the address."""

    def person(self, cookies):
        return cookies.get("who", "")

    def role(self, person):
        return PEOPLE.get(person) or (PEOPLE["*@lab.example"] if person.endswith("@lab.example") else None)

    def address(self):
        return "/auth/login?provider=x"


def test_the_gate_sends_strangers_to_the_login_and_gives_others_their_role():
    with client(sign_in=Stub()) as browser:
        answer = browser.get("/curate")
        assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login?provider=x")
        assert browser.get("/auth/login").status_code == browser.get("/oauth2callback").status_code == 200
        assert browser.post("/_stcore/upload_file/x").status_code == 403
        for who, role in (("ann@lab.example", "owner"), ("bob@lab.example", "annotator")):
            browser.cookies.set("who", who)
            assert browser.get("/curate").text == role
            with browser.websocket_connect("ws://localhost/_stcore/stream") as socket:
                assert socket.receive_text() == role
        browser.cookies.set("who", "eve@elsewhere.example")
        refused = browser.get("/curate")
        assert refused.status_code == 403 and "eve@elsewhere.example may not" in refused.text
    with client(sign_in=Stub(), tokens={}) as browser:
        assert browser.get("/curate").status_code == 303, "without tokens the login stays"
    with client() as browser:
        assert browser.get("/auth/login").status_code == 403, "without a login its paths are like any other"


SECRETS = """
[auth]
redirect_uri = "http://127.0.0.1:{port}/lab/app/oauth2callback"
cookie_secret = "a secret of forty characters, for a test"
client_id = "workbench"
client_secret = "s"
server_metadata_url = "{provider}/.well-known/openid-configuration"
[multicsr]
owners = ["Ann@lab.example"]
annotators = ["*@lab.example"]
"""


class Browser:
    """Follows redirects and keeps cookies, as a browser does."""

    def __init__(self) -> None:
        self.jar = http.cookiejar.CookieJar()
        keep = urllib.request.HTTPCookieProcessor(self.jar)
        self._opener = urllib.request.build_opener(keep, urllib.request.ProxyHandler({}))

    def get(self, address: str) -> tuple[int, str, str]:
        try:
            answer = self._opener.open(address, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused
        return answer.status, answer.url, answer.read().decode()

    @property
    def cookies(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)


@pytest.mark.usefixtures("cold_start")
def test_people_sign_in_at_the_provider(tmp_path, monkeypatch):
    pytest.importorskip("authlib", reason="needs the extra login")
    pytest.importorskip("httpx", reason="needs the extra login")
    from tests.servers.oidc_server import provider

    port = free_port()
    monkeypatch.setattr(test_login, "free_port", lambda: port)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with provider() as known:
        (tmp_path / ".streamlit").mkdir()
        secrets = SECRETS.format(port=port, provider=known.address)
        (tmp_path / ".streamlit" / "secrets.toml").write_text(secrets)
        with serving(tmp_path / "ws", "--base-path", "lab/app", "--no-token"):
            app, stream = f"http://127.0.0.1:{port}/lab/app", f"ws://127.0.0.1:{port}/lab/app/_stcore/stream"
            wait_for(lambda: Browser().get(f"{app}/_stcore/health")[0] == 200)
            known.person = "ann@lab.example"
            ann = Browser()
            status, address, page = ann.get(f"{app}/curate")
            assert status == 200 and address.startswith(app) and '<div id="root">' in page
            assert connects(stream, ann.cookies, f"http://127.0.0.1:{port}")
            assert not connects(stream, "", f"http://127.0.0.1:{port}")
            forged = ann.cookies.replace("_streamlit_user=", "_streamlit_user=x")
            assert not connects(stream, forged, f"http://127.0.0.1:{port}")
            known.person = "eve@elsewhere.example"
            status, _, said = Browser().get(f"{app}/")
            assert (status, "eve@elsewhere.example may not use this app" in said) == (403, True)
            known.person, known.verified = "ann@lab.example", False
            status, _, said = Browser().get(f"{app}/")
            assert (status, "ann@lab.example (not verified) may not" in said) == (403, True)


def test_a_login_that_is_half_configured_is_one_sentence(tmp_path, monkeypatch):
    import streamlit as st

    from workbench import sign_in

    def with_secrets(text):
        path = tmp_path / "secrets.toml"
        path.write_text(text)
        st.secrets._reset()
        return sign_in.configured()

    monkeypatch.setattr(sign_in, "find_spec", lambda name: name)
    st.config.set_option("secrets.files", [str(tmp_path / "secrets.toml")])
    try:
        assert with_secrets('OPENAI_API_KEY = "x"') is None
        with pytest.raises(InputError, match=r"\[auth\] of secrets.toml is incomplete"):
            with_secrets('[auth]\nclient_id = "x"')
        whole = SECRETS.format(port=1, provider="http://x")
        with pytest.raises(InputError, match="lets nobody in"):
            with_secrets(whole.partition("[multicsr]")[0])
        found = with_secrets(whole)
        roles = [found.role(f"{name}@lab.example") for name in ("ann", "bob")]
        assert roles == ["owner", "annotator"] and found.role("ann@elsewhere.example") is found.role("") is None
        monkeypatch.setattr(sign_in, "find_spec", lambda name: None)
        with pytest.raises(InputError, match="needs the package authlib"):
            with_secrets(whole)
    finally:
        st.config.set_option("secrets.files", None)
        st.secrets._reset()
