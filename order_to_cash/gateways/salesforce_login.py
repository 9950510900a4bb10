"""Access tokens for Salesforce: client credentials or JWT bearer, fetched once for all who wait (R80).

Username and password are not offered: Salesforce retires that flow (no SOAP login from API v65).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
from pydantic import SecretStr

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ConfigurationError, CredentialsRefused
from order_to_cash.domain.redaction import redact
from order_to_cash.gateways.credentials import private_key_pem

_JWT_LIFE = timedelta(minutes=3)  # the longest that Salesforce takes
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# A refused login is not tried again by every caller in turn: Salesforce locks users out.
_REMEMBER_REFUSAL_SECONDS = 30.0


class Login(Protocol):
    """One way to ask for a token."""

    def form(self, audience: str) -> Mapping[str, str]:
        """The fields of the token request."""
        ...


@dataclass(frozen=True)
class ClientCredentials:
    """OAuth 2.0 client credentials of an External Client App that runs as the integration user."""

    client_id: str
    client_secret: SecretStr

    def form(self, audience: str) -> Mapping[str, str]:
        del audience
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
        }


@dataclass(frozen=True)
class JwtBearer:
    """OAuth 2.0 JWT bearer. `private_key` is RSA: PEM, PEM with its line ends as ``\n``, or base64 of it."""

    client_id: str
    username: str
    private_key: SecretStr
    clock: Clock

    def form(self, audience: str) -> Mapping[str, str]:
        claims = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": audience,
            "exp": int((self.clock.now() + _JWT_LIFE).timestamp()),
        }
        key = private_key_pem(self.private_key)
        try:
            assertion = jwt.encode(claims, key.get_secret_value(), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            assertion = ""
        if not assertion:
            raise ConfigurationError(
                "The Salesforce private key cannot sign.",
                code="private_key",
                remedy="Give the RSA private key that belongs to the app's certificate, without passphrase.",
            )
        return {"grant_type": _JWT_GRANT, "assertion": assertion}


@dataclass(frozen=True)
class Session:
    """A token and where it is good for."""

    token: SecretStr
    instance_url: str


class TokenSource:
    """The current session. `fetch` posts the token request and returns status and parsed answer."""

    def __init__(
        self,
        login: Login,
        login_url: str,
        fetch: Callable[[str, Mapping[str, str]], tuple[int, Mapping[str, Any]]],
        check_place: Callable[[str], None],
        *,
        audience: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._login = login
        self._url = login_url.rstrip("/")
        self._fetch = fetch
        self._check_place = check_place
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._audience = audience
        self._session: Session | None = None
        self._refusal: tuple[float, str, str] | None = None

    def current(self) -> Session:
        """The session, fetched on first use. Raises CredentialsRefused, Unavailable, ConfigurationError."""
        session = self._session
        return session if session is not None else self.renew(None)

    def renew(self, stale: Session | None) -> Session:
        """A session other than `stale`: of many callers one fetches it, the others wait for it."""
        with self._lock:
            if self._session is not None and self._session is not stale:
                return self._session
            self._recall_refusal()
            self._session = self._ask()
            return self._session

    def _recall_refusal(self) -> None:
        if self._refusal and self._monotonic() - self._refusal[0] < _REMEMBER_REFUSAL_SECONDS:
            raise CredentialsRefused(self._refusal[1], code=self._refusal[2])

    def _ask(self) -> Session:
        status, answer = self._fetch(f"{self._url}/services/oauth2/token", self._login.form(self._audience))
        token, instance = answer.get("access_token"), answer.get("instance_url")
        if status == 200 and isinstance(token, str) and isinstance(instance, str):
            self._check_place(instance)
            parts = urlsplit(instance)
            return Session(SecretStr(token), f"{parts.scheme}://{parts.netloc}")
        code = str(answer.get("error") or f"http_{status}")
        reason = redact(str(answer.get("error_description") or "no reason given"))
        message = f"Salesforce refused the login: {reason}"
        self._refusal = (self._monotonic(), message, code)
        raise CredentialsRefused(
            message,
            code=code,
            remedy="Check the External Client App (flow enabled, run-as user, certificate) and the settings; "
            "then run `o2c doctor`.",
        )
