"""What makes an org unwilling: rules, locks, hidden fields, latency, faults; and several currencies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
)

from tests.emulators.salesforce_client import Client, Emulated, content, deal, emulated
from tests.emulators.salesforce_package import ALL, bills_package, manifest, permission_set, zipped


@pytest.fixture(scope="module")
def server() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture
def emulator(server: Emulated) -> Emulated:
    return server.fresh()


@pytest.fixture
def sf(emulator: Emulated) -> Client:
    return emulator.client()


def update(sf: Client, *rows: tuple[str, dict[str, Any]], sobject: str = "Opportunity") -> list[str]:
    """Update through Collections; each row's outcome."""
    records = [{"attributes": {"type": sobject}, "id": record_id, **values} for record_id, values in rows]
    body = {"allOrNone": False, "records": records}
    results = sf.restful("composite/sobjects", method="PATCH", json=body)
    return ["ok" if each["success"] else each["errors"][0]["statusCode"] for each in results]


def test_validation_rules(emulator: Emulated, sf: Client) -> None:
    refs = emulator.seed(deal(Amount=5))
    rule = {
        "object": "Opportunity",
        "when": "NextStep = null AND IsWon = true",
        "message": "Say what is next",
    }
    emulator.control("validation-rules", {**rule, "field": "NextStep"})
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.Opportunity.update(refs["deal"], {"Amount": 6})
    assert dict(content(caught)[0]) == {
        "message": "Say what is next",
        "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "fields": ["NextStep"],
    }
    assert update(sf, (refs["deal"], {"NextStep": "bill"})) == ["ok"]
    emulator.seed({"type": "Opportunity", "id": refs["deal"], "NextStep": None, "raw": True})
    emulator.control("validation-rules", method="DELETE")
    assert update(sf, (refs["deal"], {"Amount": 6})) == ["ok"]


def test_a_rule_that_is_no_condition_is_refused(emulator: Emulated) -> None:
    bad = {"object": "Opportunity", "when": "Nope = 1", "message": "x"}
    answer = requests.post(f"{emulator.url}/_emulator/validation-rules", json=bad, timeout=5)
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "INVALID_FIELD")


def test_row_locks_strike_chosen_rows_for_a_while(emulator: Emulated, sf: Client) -> None:
    account = {"type": "Account", "ref": "acme", "Name": "Acme"}
    refs = emulator.seed(account, deal("a", AccountId="@acme"), deal("b"))
    emulator.control("row-faults", {"ids": [refs["acme"]], "times": 1})
    both = (refs["a"], {"NextStep": "x"}), (refs["b"], {"NextStep": "x"})
    assert update(sf, *both) == ["UNABLE_TO_LOCK_ROW", "ok"], "a locked account locks its deals"
    assert update(sf, *both) == ["ok", "ok"]
    emulator.control("row-faults", method="DELETE")
    emulator.control(
        "row-faults", {"object": "Opportunity", "nth": 2, "code": "DUPLICATES_DETECTED", "message": "Use one"}
    )
    assert update(sf, *both) == ["ok", "DUPLICATES_DETECTED"]


def test_hidden_standard_fields_do_not_exist_for_the_user(emulator: Emulated, sf: Client) -> None:
    emulator.control("settings", {"hidden_fields": ["Account.Phone"]})
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Phone' on entity 'Account'"):
        sf.query("SELECT Phone FROM Account")
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Phone' on sobject"):
        sf.Account.create({"Name": "x", "Phone": "1"})
    assert "Phone" not in {field["name"] for field in sf.Account.describe()["fields"]}
    emulator.control("settings", {"hidden_fields": []})
    assert sf.query("SELECT Phone FROM Account")["totalSize"] == 0


def test_a_restricted_user_sees_only_what_is_granted(emulator: Emulated, sf: Client) -> None:
    emulator.control("settings", {"restricted_user": True})
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_TYPE"):
        sf.query("SELECT Id FROM Account")
    assert "Account" not in {each["name"] for each in sf.describe()["sobjects"]}
    granted = permission_set("Account.BillingAddress", objects={"Account": ALL})
    manifest_xml = manifest(PermissionSet=["Reader"])
    package = zipped({"package.xml": manifest_xml, "permissionsets/Reader.permissionset": granted})
    emulator.control("deploy", package)
    emulator.control("assign", {"permission_set": "Reader"})
    assert sf.query("SELECT Id, Name, BillingCity, BillingAddress FROM Account")["totalSize"] == 0
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Phone'"):
        sf.query("SELECT Phone FROM Account")
    assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 2


def test_a_call_takes_its_time_for_each_row(emulator: Emulated, sf: Client) -> None:
    emulator.control("settings", {"latency_seconds": 0.02, "per_record_latency_seconds": 0.01})
    rows = [{"attributes": {"type": "Account"}, "Name": "a"}] * 10
    started = time.perf_counter()
    sf.restful("composite/sobjects", method="POST", json={"records": rows})
    assert 0.12 <= time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"code": "UNABLE_TO_LOCK_ROW"}, 400, "UNABLE_TO_LOCK_ROW"),
        ({"code": "REQUEST_LIMIT_EXCEEDED"}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"status": 503}, 503, "SERVER_UNAVAILABLE"),
        ({"status": 500}, 500, "UNKNOWN_EXCEPTION"),
        ({"status": 401}, 401, "INVALID_SESSION_ID"),
    ],
)
def test_faults_have_salesforces_shape(
    emulator: Emulated, sf: Client, fault: Any, status: int, code: str
) -> None:
    bare: Client = Salesforce(
        instance=sf.sf_instance, session_id=sf.session_id, version="66.0", session=sf.session
    )
    emulator.control("faults", {"path": "/sobjects/", "times": 1, **fault})
    with pytest.raises((SalesforceGeneralError, SalesforceExpiredSession, Exception)) as caught:
        bare.Account.create({"Name": "x"})
    answer: Any = caught.value
    assert (answer.status, answer.content[0]["errorCode"]) == (status, code)
    assert bare.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_a_connection_dropped_after_the_effect_leaves_it(emulator: Emulated, sf: Client) -> None:
    emulator.control("faults", {"method": "POST", "path": "/sobjects/Account", "drop": "after", "times": 1})
    with pytest.raises(requests.exceptions.ConnectionError):
        sf.Account.create({"Name": "x"})
    assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == 1


def test_several_currencies_are_a_setting(emulator: Emulated) -> None:
    emulator.control("settings", {"multi_currency": True, "currencies": ["EUR", "JPY"]})
    sf = emulator.client()
    listed = sf.query("SELECT IsoCode, IsCorporate FROM CurrencyType ORDER BY IsoCode")["records"]
    assert [(each["IsoCode"], each["IsCorporate"]) for each in listed] == [("EUR", True), ("JPY", False)]
    made = sf.Opportunity.create({"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-12-01"})["id"]
    assert sf.Opportunity.get(made)["CurrencyIsoCode"] == "EUR"
    assert update(sf, (made, {"CurrencyIsoCode": "JPY"})) == ["ok"]
    assert update(sf, (made, {"CurrencyIsoCode": "USD"})) == ["INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"]
    emulator.control("settings", {"multi_currency": False})
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        emulator.client().query("SELECT CurrencyIsoCode FROM Opportunity")


def test_emptying_keeps_the_package(emulator: Emulated, sf: Client) -> None:
    emulator.control("deploy", bills_package())
    emulator.control("assign", {"permission_set": "Sync"})
    emulator.seed({"type": "Account", "Name": "Acme", "Tag__c": "t"}, {"type": "Bill__c", "Key__c": "k"})
    emulator.control("empty")
    assert sf.query("SELECT Tag__c FROM Account")["totalSize"] == 0
    assert sf.Bill__c.upsert("Key__c/k", {}, raw_response=True).status_code == 201


def test_unknown_resources_and_methods(emulator: Emulated, sf: Client) -> None:
    headers = {"Authorization": sf.headers["Authorization"]}
    for path, status in (
        ("/services/data/v66.0/nope", 404),
        ("/services/data/v99.0/limits", 404),
        ("/nope", 404),
    ):
        assert requests.get(f"{emulator.url}{path}", headers=headers, timeout=5).status_code == status
    wrong = requests.delete(f"{emulator.url}/services/data/v66.0/query", headers=headers, timeout=5)
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")
    broken = requests.post(
        f"{emulator.url}/services/data/v66.0/sobjects/Account",
        data="{",
        headers={**headers, "Content-Type": "application/json"},
        timeout=5,
    )
    assert (broken.status_code, broken.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
