"""What the Salesforce gateway does when things go wrong, judged by the emulator's journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emulators.salesforce.administration import RowFault
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.errors import (
    BudgetExhausted,
    FieldRefused,
    O2CError,
    OutcomeUnknown,
    RateLimited,
    RowLocked,
    RuleRefused,
    Unavailable,
)
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with
from tests.gateways.conftest import QUICK, World, account, calls, org_of

Make = Callable[..., SalesforceGateway]
SOQL = "SELECT Id, Name FROM Account"
LOGINS = "/oauth2/token$"
QUERIES = "/query"
ROWS = "/composite/sobjects"


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
        ({"status": 200, "response": "<html>"}, Unavailable, 4),
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
        retry=QUICK,
    )
    (result,) = gateway.insert_rows("Account", [{"Name": "New"}])
    assert isinstance(result.error, Unavailable)
    with pytest.raises(Unavailable, match="did not answer"):
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
        ({"status": 200, "response": "<html>", "after_effect": True}, 1),
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


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}}, RateLimited),
        ({"status": 503}, Unavailable),
        ({"status": 500}, OutcomeUnknown),
        ({"drop": "after"}, OutcomeUnknown),
    ],
    ids=str,
)
def test_an_update_that_never_passes_is_named(
    salesforce_world: World, salesforce_gateway: Make, fault: dict[str, Any], error: type[O2CError]
) -> None:
    row = {"Id": account(salesforce_world), "Name": "New"}
    salesforce_world.service.faults.add(method="PATCH", **fault)
    (result,) = salesforce_gateway().update_rows("Account", [row])
    assert type(result.error) is error
    assert calls(salesforce_world, ROWS) == 4


@pytest.mark.parametrize("status", [429, 503])
def test_an_insert_rejected_before_its_effect_is_repeated(
    salesforce_world: World, salesforce_gateway: Make, status: int
) -> None:
    salesforce_world.service.faults.add(method="POST", path=ROWS, nth=1, status=status)
    (result,) = salesforce_gateway().insert_rows("Account", [{"Name": "New"}])
    assert result.ok
    assert len(salesforce_world.service.journal.effects("Account", "created")) == 1


def test_locked_rows_are_tried_again_alone(salesforce_world: World, salesforce_gateway: Make) -> None:
    ids = [account(salesforce_world, f"A{number}") for number in range(3)]
    org_of(salesforce_world).org.row_faults.append(RowFault(ids=[ids[1]], times=1))
    rows = [{"Id": account_id, "Name": "New"} for account_id in ids]
    results = salesforce_gateway().update_rows("Account", rows)
    assert [(result.id, result.ok) for result in results] == [(account_id, True) for account_id in ids]
    first, second = salesforce_world.service.journal.select(path=ROWS)
    assert len(first.body["records"]) == 3
    assert [record["id"] for record in second.body["records"]] == [ids[1]]


def test_a_lasting_lock_is_named(salesforce_world: World, salesforce_gateway: Make) -> None:
    account_id = account(salesforce_world)
    org_of(salesforce_world).org.row_faults.append(RowFault(ids=[account_id]))
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
    org_of(salesforce_world).org.row_faults.append(
        RowFault(code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="Ask finance first")
    )
    (result,) = salesforce_gateway().insert_rows("Account", [{"Name": "New"}])
    assert isinstance(result.error, RuleRefused)
    assert "Ask finance first" in str(result.error)
