"""Logging in to the emulated org, sessions that end, the day's limit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceRefusedRequest,
)

from emulators.salesforce.settings import CLIENT_ID, CLIENT_SECRET
from tests.emulators.salesforce_client import DOMAIN, Client, Emulated, content, emulated, routed_session

USERNAME = "integration@emulator.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture
def emulator(server: Emulated) -> Emulated:
    return server.fresh()


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """A private key and its public half, PEM."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def test_client_credentials(emulator: Emulated) -> None:
    sf = emulator.client()
    assert sf.sf_instance == f"{DOMAIN}.salesforce.com"
    assert sf.session_id.startswith("00D")
    who = sf.oauth2("userinfo")
    assert who["preferred_username"] == USERNAME
    assert who["organization_id"].startswith("00D")


def test_jwt_bearer(emulator: Emulated, keys: tuple[str, str]) -> None:
    emulator.control("settings", {"public_key": keys[1]})
    sf = emulator.client(username=USERNAME, consumer_key=CLIENT_ID, privatekey=keys[0], instance_url=DOMAIN)
    assert sf.oauth2("userinfo")["preferred_username"] == USERNAME


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"consumer_key": CLIENT_ID, "consumer_secret": "wrong"}, "invalid_client"),
        ({"consumer_key": "unknown", "consumer_secret": CLIENT_SECRET}, "invalid_client_id"),
    ],
)
def test_wrong_credentials_are_refused(emulator: Emulated, credentials: dict[str, str], code: str) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        emulator.client(**credentials)
    assert caught.value.code == code


def assertion(key: str, **claims: Any) -> str:
    expires = datetime.now(UTC) + timedelta(minutes=2)
    base = {
        "iss": CLIENT_ID,
        "sub": USERNAME,
        "aud": "https://login.salesforce.com",
        "exp": int(expires.timestamp()),
    }
    return jwt.encode({**base, **claims}, key, algorithm="RS256")


def exchange(emulator: Emulated, text: str) -> tuple[int, str]:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": text}
    answer = requests.post(f"{emulator.url}/services/oauth2/token", form, timeout=5)
    return answer.status_code, answer.json().get("error", "")


def test_assertions_are_verified(emulator: Emulated, keys: tuple[str, str]) -> None:
    assert exchange(emulator, assertion(keys[0])) == (400, "invalid_grant")
    emulator.control("settings", {"public_key": keys[1]})
    assert exchange(emulator, assertion(keys[0])) == (200, "")
    now = datetime.now(UTC)
    too_long = int((now + timedelta(minutes=10)).timestamp())
    past = int((now - timedelta(seconds=1)).timestamp())
    stranger = rsa.generate_private_key(65537, 2048)
    forged = jwt.encode(
        jwt.decode(assertion(keys[0]), options={"verify_signature": False}), stranger, "RS256"
    )
    for bad in (
        assertion(keys[0], exp=too_long),
        assertion(keys[0], exp=past),
        assertion(keys[0], aud="https://example.com"),
        assertion(keys[0], sub="nobody@emulator.example"),
        forged,
        "not a token",
    ):
        assert exchange(emulator, bad) == (400, "invalid_grant")
    assert exchange(emulator, assertion(keys[0], iss="other")) == (400, "invalid_client_id")


def test_password_logins_are_not_offered(emulator: Emulated) -> None:
    form = {"grant_type": "password", "username": USERNAME, "password": "x"}
    answer = requests.post(f"{emulator.url}/services/oauth2/token", form, timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_client_credentials_need_the_orgs_own_domain(emulator: Emulated) -> None:
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    session = routed_session(emulator.url)
    answer = session.post("https://login.salesforce.com/services/oauth2/token", form, timeout=5)
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "request not supported on this domain",
    }


def bare(emulator: Emulated, token: str) -> Client:
    """A client that cannot log in again."""
    return Salesforce(
        instance=f"{DOMAIN}.salesforce.com",
        session_id=token,
        version="66.0",
        session=routed_session(emulator.url),
    )


def test_sessions_end_by_the_clock_and_by_command(emulator: Emulated) -> None:
    token = emulator.client().session_id
    sf = bare(emulator, token)
    sf.limits()
    emulator.control("clock", {"advance_seconds": 7201})
    with pytest.raises(SalesforceExpiredSession) as caught:
        sf.limits()
    assert content(caught) == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    other = emulator.client()
    emulator.control("sessions", method="DELETE")
    with pytest.raises(SalesforceExpiredSession):
        bare(emulator, other.session_id).limits()
    assert other.query("SELECT COUNT() FROM Account")["totalSize"] == 0, "the library logs in again by itself"


def test_every_answer_tells_the_use_of_the_day(emulator: Emulated) -> None:
    sf = emulator.client()
    with pytest.raises(Exception, match="INVALID_TYPE"):
        sf.query("SELECT Id FROM Nothing")
    sf.limits()
    used = sf.api_usage["api-usage"]
    assert (used.used, used.total) == (2, 100_000)


def test_the_limit_of_24_hours_refuses_until_calls_are_a_day_old(emulator: Emulated) -> None:
    emulator.control("settings", {"daily_api_limit": 3, "session_lifetime_seconds": 1_000_000})
    sf = emulator.client()
    for _ in range(3):
        sf.limits()
    with pytest.raises(SalesforceRefusedRequest) as caught:
        sf.limits()
    assert caught.value.status == 403
    assert content(caught)[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    emulator.control("clock", {"advance_seconds": 86_401})
    assert sf.limits()["DailyApiRequests"] == {"Max": 3, "Remaining": 2}


def test_versions_need_no_session(emulator: Emulated) -> None:
    listed = requests.get(f"{emulator.url}/services/data", timeout=5).json()
    assert {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"} in listed
    answer = requests.get(f"{emulator.url}/services/data/v66.0/limits", timeout=5)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
