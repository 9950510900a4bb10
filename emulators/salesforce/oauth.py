"""Logging in: client credentials and JWT bearer, sessions that end by the clock."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from emulators.engine.clock import Clock
from emulators.engine.wire import Answer, Call
from emulators.salesforce.org import Org
from emulators.salesforce.settings import SalesforceSettings

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LOGIN_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
_LONGEST_ASSERTION = timedelta(
    minutes=3, seconds=5
)  # Salesforce: 3 minutes; 5 seconds for clocks that differ


class LoginRefused(Exception):  # noqa: N818 - what it is, in OAuth's words
    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.answer = Answer(400, {"error": error, "error_description": description})


class Sessions:
    """Access tokens and whose they are."""

    def __init__(self, clock: Clock, settings: SalesforceSettings) -> None:
        self.clock = clock
        self.settings = settings
        self.issued: dict[str, tuple[str, datetime]] = {}
        self._count = 0

    def open(self, org_id: str, user_id: str) -> str:
        """A new token, `<org id>!<opaque>`, as real ones look."""
        self._count += 1
        secret = hashlib.sha256(f"{user_id}{self._count}".encode()).hexdigest()
        token = f"{org_id[:15]}!AQEAQ{secret}"
        self.issued[token] = (user_id, self.clock.now())
        return token

    def user(self, call: Call) -> str | None:
        """The user of a request's bearer token, None when there is none or it has expired."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        found = self.issued.get(token.strip()) if scheme in {"Bearer", "OAuth"} else None
        if found is None:
            return None
        user_id, opened = found
        lifetime = timedelta(seconds=self.settings.session_lifetime_seconds)
        return user_id if self.clock.now() - opened < lifetime else None

    def end(self, token: str | None = None) -> None:
        """End one session, or all."""
        if token is None:
            self.issued.clear()
        else:
            self.issued.pop(token, None)


def token_answer(org: Org, sessions: Sessions, call: Call) -> Answer:
    """POST /services/oauth2/token."""
    form = dict(call.form_pairs)
    try:
        host = call.headers.get("host", "").partition(":")[0]
        grant = form.get("grant_type")
        if grant == "client_credentials":
            user_id = _client_credentials(org, call, form, host)
        elif grant == JWT_GRANT:
            user_id = _jwt_bearer(org, form)
        else:
            raise LoginRefused("unsupported_grant_type", "grant type not supported")
    except LoginRefused as refused:
        return refused.answer
    issued_at = str(int(org.clock.now().timestamp() * 1000))
    token = sessions.open(org.org_id, user_id)
    identity = f"https://login.salesforce.com/id/{org.org_id}/{user_id}"
    key = org.settings.client_secret.encode()
    signature = base64.b64encode(hmac.new(key, (identity + issued_at).encode(), "sha256").digest()).decode()
    domain = host if host.endswith(".my.salesforce.com") else f"{org.settings.my_domain}.my.salesforce.com"
    body = {
        "access_token": token,
        "signature": signature,
        "scope": "api",
        "instance_url": f"https://{domain}",
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
        "api_instance_url": "https://api.salesforce.com",
    }
    return Answer(200, body)


def _client_credentials(org: Org, call: Call, form: dict[str, str], host: str) -> str:
    if host in _LOGIN_HOSTS:
        raise LoginRefused("invalid_grant", "request not supported on this domain")
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        try:
            client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise LoginRefused("invalid_client", "invalid client credentials") from None
    _check_client(org, client_id)
    if not hmac.compare_digest(secret.encode(), org.settings.client_secret.encode()):
        raise LoginRefused("invalid_client", "invalid client credentials")
    return org.user_id


def _check_client(org: Org, client_id: str) -> None:
    if client_id != org.settings.client_id:
        raise LoginRefused("invalid_client_id", "client identifier invalid")


def _jwt_bearer(org: Org, form: dict[str, str]) -> str:
    if not org.settings.public_key:
        raise LoginRefused("invalid_grant", "invalid assertion")
    options: Any = {"verify_exp": False, "verify_aud": False, "require": ["iss", "sub", "aud", "exp"]}
    try:
        claims = jwt.decode(
            form.get("assertion", ""), org.settings.public_key, algorithms=["RS256"], options=options
        )
    except (jwt.PyJWTError, ValueError):
        raise LoginRefused("invalid_grant", "invalid assertion") from None
    _check_client(org, str(claims["iss"]))
    host = str(claims["aud"]).removeprefix("https://").partition("/")[0]
    if host not in _LOGIN_HOSTS and not host.endswith(".salesforce.com"):
        raise LoginRefused("invalid_grant", "audience is invalid")
    _check_expiry(org, claims["exp"])
    wanted = str(claims["sub"]).casefold()
    for row in org.store.rows("User").values():
        if str(row["Username"]).casefold() == wanted and row["IsActive"]:
            return str(row["Id"])
    raise LoginRefused("invalid_grant", "user hasn't approved this consumer")


def _check_expiry(org: Org, claim: object) -> None:
    """The SDK stamps by the machine's clock, which the emulators' may have left: either will do."""
    try:
        expires = datetime.fromtimestamp(int(str(claim)), UTC)
    except (ValueError, OverflowError):
        raise LoginRefused("invalid_grant", "invalid assertion") from None
    for now in (org.clock.now(), datetime.now(UTC)):
        if now < expires <= now + _LONGEST_ASSERTION:
            return
    raise LoginRefused("invalid_grant", "expired authorization code")


def userinfo(org: Org, user_id: str) -> Answer:
    """GET /services/oauth2/userinfo."""
    user = org.store.get("User", user_id) or {}
    base = f"https://login.salesforce.com/id/{org.org_id}/{user_id}"
    body = {
        "sub": base,
        "user_id": user_id,
        "organization_id": org.org_id,
        "preferred_username": user.get("Username"),
        "nickname": user.get("Alias"),
        "name": user.get("Name"),
        "email": user.get("Email"),
        "email_verified": True,
        "given_name": user.get("FirstName"),
        "family_name": user.get("LastName"),
        "zoneinfo": user.get("TimeZoneSidKey"),
        "locale": user.get("LocaleSidKey"),
        "user_type": "STANDARD",
        "active": user.get("IsActive"),
    }
    return Answer(200, body)
