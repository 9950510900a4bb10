"""Session, budget and concurrency of the Salesforce gateway, judged by the emulator's journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from order_to_cash.domain.errors import (
    BudgetExhausted,
    ConfigurationError,
    CredentialsRefused,
    FieldRefused,
    O2CError,
    Unavailable,
)
from order_to_cash.domain.linger import Lane
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with
from tests.gateways.conftest import RememberingAudit, World, account, calls, org_of

Make = Callable[..., SalesforceGateway]
SOQL = "SELECT Id, Name FROM Account"
LOGINS = "/oauth2/token$"
QUERIES = "/query"
ROWS = "/composite/sobjects"

# Session


def test_an_expired_session_is_renewed_once_for_all(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    account(salesforce_world)
    gateway = salesforce_gateway()
    gateway.query(SOQL)
    org_of(salesforce_world).sessions.end()
    salesforce_world.service.settings.patch({"latency_seconds": 0.05})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: gateway.query(SOQL), range(8)))
    assert all(len(rows) == 1 for rows in answers)
    assert calls(salesforce_world, LOGINS) == 2


def test_a_renewed_session_loses_no_header_of_a_deployment(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    gateway = salesforce_gateway()
    gateway.org_id()
    org_of(salesforce_world).sessions.end()
    with pytest.raises(O2CError, match="zip file"):
        gateway.deploy(b"PK no zip", check_only=True, sleep=lambda _: None)
    lost, repeated = salesforce_world.service.journal.select(method="POST", path="deployRequest")
    assert (lost.status, repeated.status) == (401, 400)
    assert lost.headers["content-type"] == repeated.headers["content-type"]
    assert "multipart/form-data" in repeated.headers["content-type"]


def test_a_persistent_401_ends(salesforce_world: World, salesforce_gateway: Make) -> None:
    salesforce_world.service.faults.add(path=QUERIES, code="INVALID_SESSION_ID")
    with pytest.raises(CredentialsRefused, match="o2c doctor"):
        salesforce_gateway().query(SOQL)
    assert calls(salesforce_world, QUERIES) == 2
    assert calls(salesforce_world, LOGINS) == 2


def test_a_refused_login_is_not_hammered(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway(login=login_with("emulator-client", client_secret="canary-wrong"))
    for _ in range(3):
        with pytest.raises(CredentialsRefused) as caught:
            gateway.query(SOQL)
        assert "canary" not in str(caught.value)
        assert caught.value.remedy
    assert calls(salesforce_world, LOGINS) == 1


def test_a_redirect_to_another_host_gets_no_token(salesforce_world: World, salesforce_gateway: Make) -> None:
    elsewhere = {"Location": "https://evil.my.salesforce.com/services/data"}
    salesforce_world.service.faults.add(path=QUERIES, status=302, response="", headers=elsewhere)
    with pytest.raises(ConfigurationError, match="another host"):
        salesforce_gateway().query(SOQL)
    assert calls(salesforce_world, "/services/data") == 1


def test_login_rides_out_a_passing_fault(salesforce_world: World, salesforce_gateway: Make) -> None:
    salesforce_world.service.faults.add(path=LOGINS, nth=1, drop="after")
    salesforce_gateway().query(SOQL)
    assert calls(salesforce_world, LOGINS) == 2


def test_jwt_bearer(salesforce_world: World, salesforce_gateway: Make) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    salesforce_world.service.settings.patch({"public_key": public.decode()})
    (user,) = [
        row["Username"]
        for row in org_of(salesforce_world).org.store.rows("User").values()
        if row["Id"] == org_of(salesforce_world).org.user_id
    ]
    login = login_with("emulator-client", username=user, private_key=pem.replace("\n", "\\n"))
    assert salesforce_gateway(login=login).org_id() == org_of(salesforce_world).org.org_id


@pytest.mark.parametrize(
    "given",
    [
        {"client_id": "x"},
        {"client_id": "", "client_secret": "s"},
        {"client_id": "x", "private_key": "-----BEGIN PRIVATE KEY-----"},
    ],
)
def test_a_login_that_is_not_complete(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        login_with(**given)


def test_a_key_that_cannot_sign(salesforce_gateway: Make) -> None:
    key = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"
    login = login_with("emulator-client", username="u", private_key=key)
    with pytest.raises(ConfigurationError) as caught:
        salesforce_gateway(login=login).query(SOQL)
    assert "canary" not in str(caught.value)


# Budget and concurrency


def test_the_budget_stops_lanes_before_anything_is_sent(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    salesforce_world.service.settings.patch({"daily_api_limit": 100, "api_used": 74})
    gateway = salesforce_gateway()
    gateway.query(SOQL)
    assert gateway.api_usage is not None
    assert (gateway.api_usage.used, gateway.api_usage.limit) == (75, 100)
    for lane in (Lane.BULK, Lane.CATCH_UP):
        with pytest.raises(BudgetExhausted):
            gateway.on_lane(lane).query(SOQL)
    for _ in range(5):
        gateway.query(SOQL)
    with pytest.raises(BudgetExhausted):
        gateway.query(SOQL)
    assert calls(salesforce_world, QUERIES) == 6
    assert gateway.limits()["DailyApiRequests"]["Max"] == 100


def test_a_budget_that_ends_in_the_middle_of_a_batch(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    ids = [account(salesforce_world) for _ in range(600)]
    salesforce_world.service.settings.patch({"daily_api_limit": 100, "api_used": 77})
    gateway = salesforce_gateway()
    gateway.query("SELECT Id FROM Account LIMIT 1")
    results = gateway.update_rows("Account", [{"Id": each, "Name": "New"} for each in ids])
    assert [result.ok for result in results] == [True] * 400 + [False] * 200
    assert all(isinstance(result.error, BudgetExhausted) for result in results[400:])
    assert calls(salesforce_world, ROWS) == 2


def test_usage_is_read_from_refusals_too(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    with pytest.raises(FieldRefused) as caught:
        gateway.query("SELECT Nope__c FROM Account")
    assert caught.value.ids == {"field": "Nope__c"}
    assert gateway.api_usage is not None
    assert gateway.api_usage.used == 1


def test_never_more_than_twenty_at_once(salesforce_world: World, salesforce_gateway: Make) -> None:
    seen: list[int] = []
    now = [0]
    lock = threading.Lock()
    original = salesforce_world.service.admit
    depart = salesforce_world.service.depart

    def admit(call: Any) -> Any:
        with lock:
            now[0] += 1
            seen.append(now[0])
        return original(call)

    def leave(call: Any) -> None:
        with lock:
            now[0] -= 1
        depart(call)

    salesforce_world.service.settings.patch({"latency_seconds": 0.1})
    gateway = salesforce_gateway()
    gateway.query(SOQL)
    salesforce_world.service.__dict__.update(admit=admit, depart=leave)
    try:
        started = time.monotonic()
        with ThreadPoolExecutor(40) as pool:
            list(pool.map(lambda _: gateway.query(SOQL), range(40)))
        assert time.monotonic() - started < 1.5
    finally:
        del salesforce_world.service.__dict__["admit"], salesforce_world.service.__dict__["depart"]
    assert 2 <= max(seen) <= 25


def test_closing_wakes_who_waits(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway(requests_per_second=0.2)
    waiting = threading.Timer(0.2, gateway.close)
    waiting.start()
    started = time.monotonic()
    with pytest.raises(Unavailable, match="closed"):
        gateway.query(SOQL)
    assert time.monotonic() - started < 2
    waiting.join()


def test_every_try_is_in_the_audit(
    salesforce_world: World, salesforce_gateway: Make, audit: RememberingAudit
) -> None:
    account_id = account(salesforce_world)
    salesforce_world.service.faults.add(method="PATCH", nth=1, drop="after")
    salesforce_gateway().update_rows("Account", [{"Id": account_id, "Name": "New"}])
    assert [intent.path.rpartition("/")[2] for intent in audit.intents] == ["token", "sobjects", "sobjects"]
    assert [outcome.status for outcome in audit.outcomes.values()] == [200, None, 200]
    login = audit.intents[0]
    assert login.request == {"grant_type": "client_credentials"}
    assert "access_token" not in str(audit.outcomes["0"].response)
