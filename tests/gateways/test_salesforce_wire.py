"""What the Salesforce gateway does when things go wrong, judged by the emulator's journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.salesforce.org import RowFault
from emulators.salesforce.service import SalesforceService
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.errors import (
    BudgetExhausted,
    ConfigurationError,
    CredentialsRefused,
    FieldRefused,
    O2CError,
    OutcomeUnknown,
    RateLimited,
    RowLocked,
    RuleRefused,
    Unavailable,
)
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.salesforce_budget import Lane
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with
from tests.gateways.conftest import RememberingAudit, World

Make = Callable[..., SalesforceGateway]
SOQL = "SELECT Id, Name FROM Account"
LOGINS = "/oauth2/token$"
QUERIES = "/query"
ROWS = "/composite/sobjects"


def service(world: World) -> SalesforceService:
    assert isinstance(world.service, SalesforceService)
    return world.service


def calls(world: World, path: str) -> int:
    world.settle()
    return len(world.service.journal.select(path=path))


def account(world: World, name: str = "Acme") -> str:
    return service(world).org.insert("Account", {"Name": name})


# Reads


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 500},
        {"status": 503},
        {"drop": "before"},
        {"drop": "after"},
        {"delay_seconds": 0.7},
        {
            "status": 403,
            "response": [
                {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}
            ],
        },
    ],
    ids=str,
)
def test_a_read_rides_out_a_passing_fault(
    salesforce_world: World, salesforce_gateway: Make, fault: dict[str, Any]
) -> None:
    account(salesforce_world)
    salesforce_world.service.faults.add(path=QUERIES, nth=1, **fault)
    assert len(salesforce_gateway(timeout_seconds=0.3).query(SOQL)) == 1
    assert calls(salesforce_world, QUERIES) == 2


@pytest.mark.parametrize(
    ("fault", "error", "tries"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}}, RateLimited, 4),
        ({"status": 500}, Unavailable, 4),
        ({"status": 503}, Unavailable, 4),
        ({"drop": "before"}, Unavailable, 4),
        ({"delay_seconds": 0.4}, Unavailable, 4),
        ({"code": "REQUEST_LIMIT_EXCEEDED"}, BudgetExhausted, 1),
        ({"status": 200, "response": "<html>"}, Unavailable, 1),
    ],
    ids=str,
)
def test_a_lasting_fault_is_named(
    salesforce_world: World,
    salesforce_gateway: Make,
    fault: dict[str, Any],
    error: type[O2CError],
    tries: int,
) -> None:
    salesforce_world.service.faults.add(path=QUERIES, **fault)
    with pytest.raises(error) as caught:
        salesforce_gateway(timeout_seconds=0.1).query(SOQL)
    assert type(caught.value) is error
    assert calls(salesforce_world, QUERIES) == tries


def test_nobody_there() -> None:
    gateway = SalesforceGateway(
        environment=Environment.EMULATOR,
        login=login_with("client", client_secret="secret"),
        login_url="http://127.0.0.1:9",
        audit=NoAudit(),
    )
    gateway.close()
    with pytest.raises(Unavailable):
        gateway.query(SOQL)


# Writes


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 500},
        {"status": 503},
        {"drop": "before"},
        {"drop": "after"},
        {"delay_seconds": 0.7, "after_effect": True},
    ],
    ids=str,
)
def test_an_update_is_repeated(
    salesforce_world: World, salesforce_gateway: Make, fault: dict[str, Any]
) -> None:
    account_id = account(salesforce_world)
    salesforce_world.service.faults.add(method="PATCH", nth=1, **fault)
    gateway = salesforce_gateway(timeout_seconds=0.3)
    (result,) = gateway.update_rows("Account", [{"Id": account_id, "Name": "New"}])
    assert result.ok
    assert calls(salesforce_world, ROWS) == 2
    assert gateway.query(SOQL) == [{"Id": account_id, "Name": "New"}]


@pytest.mark.parametrize(
    ("fault", "inserted"),
    [
        ({"drop": "before"}, 0),
        ({"drop": "after"}, 1),
        ({"status": 500}, 0),
        ({"status": 502, "after_effect": True}, 1),
        ({"delay_seconds": 0.7, "after_effect": True}, 1),
    ],
    ids=str,
)
def test_an_insert_without_answer_is_never_repeated(
    salesforce_world: World, salesforce_gateway: Make, fault: dict[str, Any], inserted: int
) -> None:
    salesforce_world.service.faults.add(method="POST", path=ROWS, **fault)
    (result,) = salesforce_gateway(timeout_seconds=0.3).insert_rows("Account", [{"Name": "New"}])
    assert isinstance(result.error, OutcomeUnknown)
    assert calls(salesforce_world, ROWS) == 1
    assert len(salesforce_world.service.journal.effects("Account", "created")) == inserted


@pytest.mark.parametrize("status", [429, 503])
def test_an_insert_rejected_before_its_effect_is_repeated(
    salesforce_world: World, salesforce_gateway: Make, status: int
) -> None:
    salesforce_world.service.faults.add(method="POST", path=ROWS, nth=1, status=status)
    (result,) = salesforce_gateway().insert_rows("Account", [{"Name": "New"}])
    assert result.ok
    assert result.created is False or result.id
    assert len(salesforce_world.service.journal.effects("Account", "created")) == 1


def test_locked_rows_are_tried_again_alone(salesforce_world: World, salesforce_gateway: Make) -> None:
    ids = [account(salesforce_world, f"A{number}") for number in range(3)]
    service(salesforce_world).org.row_faults.append(RowFault(ids=[ids[1]], times=1))
    rows = [{"Id": account_id, "Name": "New"} for account_id in ids]
    results = salesforce_gateway().update_rows("Account", rows)
    assert [(result.id, result.ok) for result in results] == [(account_id, True) for account_id in ids]
    first, second = salesforce_world.service.journal.select(path=ROWS)
    assert len(first.body["records"]) == 3
    assert [record["id"] for record in second.body["records"]] == [ids[1]]


def test_a_lasting_lock_is_named(salesforce_world: World, salesforce_gateway: Make) -> None:
    account_id = account(salesforce_world)
    service(salesforce_world).org.row_faults.append(RowFault(ids=[account_id]))
    (result,) = salesforce_gateway().update_rows("Account", [{"Id": account_id, "Name": "New"}])
    assert isinstance(result.error, RowLocked)
    assert calls(salesforce_world, ROWS) == 4


def test_bad_rows_do_not_hold_up_good_ones(salesforce_world: World, salesforce_gateway: Make) -> None:
    ids = [account(salesforce_world) for _ in range(3)]
    rows: list[dict[str, Any]] = [
        {"Id": ids[0], "Name": "x" * 300},
        {"Id": ids[1], "Name": 'O\'Brien \\ "Co" <!channel>'},
        {"Id": ids[2][:15] + "AAA", "Name": "New"},
    ]
    long, good, _ = salesforce_gateway().update_rows("Account", rows)
    assert isinstance(long.error, FieldRefused)
    assert long.error.ids["field"] == "Name"
    assert good.ok


def test_a_validation_rule_is_named(salesforce_world: World, salesforce_gateway: Make) -> None:
    service(salesforce_world).org.row_faults.append(
        RowFault(code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="Ask finance first")
    )
    (result,) = salesforce_gateway().insert_rows("Account", [{"Name": "New"}])
    assert isinstance(result.error, RuleRefused)
    assert "Ask finance first" in str(result.error)


# Session


def test_an_expired_session_is_renewed_once_for_all(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    account(salesforce_world)
    gateway = salesforce_gateway()
    gateway.query(SOQL)
    service(salesforce_world).sessions.end()
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
    service(salesforce_world).sessions.end()
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
        for row in service(salesforce_world).org.store.rows("User").values()
        if row["Id"] == service(salesforce_world).org.user_id
    ]
    login = login_with("emulator-client", username=user, private_key=pem.replace("\n", "\\n"))
    assert salesforce_gateway(login=login).org_id() == service(salesforce_world).org.org_id


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
    assert 10 <= max(seen) <= 20


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
