"""A small OpenID provider on loopback: it signs in whoever `person` names, without asking."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey


class Provider:
    """The state of the provider: who signs in next, and what it has handed out."""

    def __init__(self) -> None:
        self.person, self.verified = "", True
        self.key = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict[str, str]] = {}
        self.address = ""

    def metadata(self) -> dict[str, Any]:
        ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        return {f"{name}_endpoint": f"{self.address}/{path}" for name, path in ends.items()} | {
            "issuer": self.address,
            "jwks_uri": f"{self.address}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def token(self, asked: dict[str, str]) -> dict[str, Any]:
        """Return the tokens of a code, once, to whoever has the verifier that it was asked for with."""
        known = self.codes.pop(asked["code"])
        digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == known["code_challenge"]
        now = int(time.time())
        claims = {"iss": self.address, "aud": known["client_id"], "sub": self.person, "iat": now, "exp": now + 600}
        claims |= {"email": self.person, "email_verified": self.verified, "nonce": known["nonce"]}
        signed = jwt.encode({"alg": "RS256", "kid": "k"}, claims, self.key)
        return {"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": signed}


@contextmanager
def provider() -> Iterator[Provider]:
    """Run the provider on a free port."""
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, urlsplit(self.path).query
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            if path == "/.well-known/openid-configuration":
                self.answer(state.metadata())
            elif path == "/jwks":
                self.answer({"keys": [state.key.as_dict(private=False)]})
            elif path == "/authorize":
                code = secrets.token_urlsafe()
                state.codes[code] = asked
                self.send_response(302)
                back = urlencode({"code": code, "state": asked["state"]})
                self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.answer(state.token({name: values[0] for name, values in parse_qs(body).items()}))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
