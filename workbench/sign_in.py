"""Signing in at an OpenID provider by Streamlit's own login, and who of those who did may do what.

Streamlit keeps the flow and a signed cookie (`[auth]` in secrets.toml); the gate asks here whose cookie a request
carries. `[multicsr]` in the same file lists the addresses of owners and annotators; `*@lab.example.org` stands for
every address of a domain.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import streamlit as st
from streamlit.auth_util import get_cookie_with_chunks, validate_auth_credentials
from streamlit.errors import StreamlitAuthError
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from pipeline.records import InputError
from workbench.login import Role

_PROVIDER = "default"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Whom the provider's addresses let in."""

    people: Mapping[str, Role]
    """Address in lower case, or * and a domain -> role."""

    def person(self, cookies: Mapping[str, str]) -> str:
        """Return the address of whoever signed in with these cookies; empty for nobody.

        One that the provider has not verified is marked, which gives it no role.
        """

        def signed(name: str) -> bytes | None:
            value = cookies.get(name)
            return None if value is None else decode_signed_value(get_cookie_secret(), name, value.encode("latin-1"))

        try:
            found = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"{}")
            if found.get("is_logged_in") is not True:
                return ""
            person = str(found.get("email") or "somebody without an address").lower()
            return person if found.get("email_verified", True) is True else f"{person} (not verified)"
        except (ValueError, AttributeError):
            return ""

    def role(self, person: str) -> Role | None:
        """Return the role of an address; its own entry goes before that of its domain."""
        return self.people.get(person) or self.people.get(f"*@{person.rpartition('@')[2]}") if person else None

    def address(self) -> str:
        """Return where to go to sign in, with the base path of the app."""
        return generate_login_redirect_url(_PROVIDER)


def configured() -> SignIn | None:
    """Return the login that secrets.toml configures; None without an `[auth]` there.

    Raises InputError where it is incomplete, names nobody, or the packages for it are missing.
    """
    if not st.secrets.load_if_toml_exists() or "auth" not in st.secrets:
        return None
    try:
        validate_auth_credentials(_PROVIDER)
    except StreamlitAuthError as error:
        raise InputError(f"The [auth] of secrets.toml is incomplete: {' '.join(str(error).split())}") from error
    if missing := [name for name in ("authlib", "httpx") if find_spec(name) is None]:
        raise InputError(f"Login needs the package {missing[0]}: pip install 'multicsr-workbench[login]'.")
    listed = st.secrets.get("multicsr", {})
    people: dict[str, Role] = {str(person).lower(): "annotator" for person in listed.get("annotators", [])}
    people |= {str(person).lower(): "owner" for person in listed.get("owners", [])}
    if not people:
        raise InputError("secrets.toml has [auth] and lets nobody in: list owners = [...] under [multicsr].")
    return SignIn(people)
