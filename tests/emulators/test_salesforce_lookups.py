"""Parents by External ID, activities' keys, queries that an index answers, and the limit of long calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simple_salesforce.exceptions import SalesforceError

from emulators.salesforce.schema import UNRESTRICTED
from emulators.salesforce.soql import execute
from tests.emulators.salesforce_client import Client, Emulated, emulated
from tests.emulators.salesforce_package import (
    bills_package,
    field_of,
    manifest,
    object_xml,
    permission_set,
    zipped,
)

BILL = {"attributes": {"type": "Bill__c"}}
KEY = "<fullName>O2C_Key__c</fullName><label>Key</label><type>Text</type><length>255</length>"


@pytest.fixture(scope="module")
def server() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture
def emulator(server: Emulated) -> Emulated:
    server.fresh()
    server.control("deploy", bills_package())
    server.control("assign", {"permission_set": "Sync"})
    return server


@pytest.fixture
def sf(emulator: Emulated) -> Client:
    return emulator.client()


def upsert(sf: Client, *records: dict[str, Any]) -> list[Any]:
    body = {"allOrNone": False, "records": [BILL | record for record in records]}
    return list(sf.restful("composite/sobjects/Bill__c/Key__c", method="PATCH", json=body))


def test_a_missing_parent_refuses_its_row_and_no_other(emulator: Emulated, sf: Client) -> None:
    emulator.seed({"type": "Account", "Name": "Acme", "Tag__c": "t1"})
    found, missing = {"Account__r": {"Tag__c": "t1"}}, {"Account__r": {"Tag__c": "t2"}}
    made = upsert(sf, {"Key__c": "a", **found}, {"Key__c": "b", **missing}, {"Key__c": "c"})
    assert [each["success"] for each in made] == [True, False, True]
    assert made[1]["errors"] == [
        {
            "statusCode": "INVALID_FIELD",
            "message": "Foreign key external ID: t2 not found for field Tag__c in entity Account",
            "fields": [],
        }
    ]
    held = {
        row["Key__c"]: row["Account__r"] for row in _rows(sf, "SELECT Key__c, Account__r.Name FROM Bill__c")
    }
    assert held["a"]["Name"] == "Acme"
    assert held.keys() == {"a", "c"}


def _rows(sf: Client, soql: str) -> list[Any]:
    return list(sf.query(soql)["records"])


def test_an_activity_has_its_custom_fields_on_the_task(emulator: Emulated, sf: Client) -> None:
    package = {
        "package.xml": manifest(CustomField=["Activity.O2C_Key__c"], PermissionSet=["Tasks"]),
        "objects/Activity.object": object_xml(field_of(KEY)),
        "permissionsets/Tasks.permissionset": permission_set("Task.O2C_Key__c", label="Tasks"),
    }
    emulator.control("deploy", zipped(package))
    emulator.control("assign", {"permission_set": "Tasks"})
    ids = emulator.seed({"type": "Account", "ref": "acme", "Name": "Acme"})
    sf.Task.create({"Subject": "Call", "WhatId": ids["acme"], "O2C_Key__c": "k1"})
    (task,) = _rows(sf, "SELECT AccountId, What.Name FROM Task WHERE O2C_Key__c IN ('k1', 'k2')")
    assert (task["AccountId"], task["What"]["Name"]) == (ids["acme"], "Acme")


def test_an_activity_has_no_external_id(emulator: Emulated) -> None:
    package = {
        "package.xml": manifest(CustomField=["Activity.O2C_Key__c"]),
        "objects/Activity.object": object_xml(field_of(KEY + "<externalId>true</externalId>")),
    }
    with pytest.raises(AssertionError, match="can not be unique or an external ID"):
        emulator.control("deploy", zipped(package))


def test_text_may_become_a_long_text_and_no_number(emulator: Emulated, sf: Client) -> None:
    def deploy(kind: str) -> None:
        note = f"<fullName>Note__c</fullName><label>Note</label>{kind}"
        package = {
            "package.xml": manifest(CustomField=["Account.Note__c"], PermissionSet=["Notes"]),
            "objects/Account.object": object_xml(field_of(note)),
            "permissionsets/Notes.permissionset": permission_set("Account.Note__c", label="Notes"),
        }
        emulator.control("deploy", zipped(package))

    deploy("<type>Text</type><length>9</length>")
    emulator.seed({"type": "Account", "Name": "Acme", "Note__c": "kept"})
    long = "<type>LongTextArea</type><length>5000</length><visibleLines>4</visibleLines>"
    deploy(long)
    emulator.control("assign", {"permission_set": "Notes"})
    assert _rows(sf, "SELECT Note__c FROM Account")[0]["Note__c"] == "kept"
    with pytest.raises(AssertionError, match="Cannot change type of Account"):
        deploy("<type>Number</type><precision>9</precision><scale>0</scale>")


CONDITIONS = st.sampled_from(
    [
        "Account__c = '{0}'",
        "Account__c IN ('{0}', '{1}')",
        "Account__c IN ('{0}') AND Status__c = 'paid'",
        "Account__r.Tag__c = 'T0'",
        "Account__r.Tag__c IN ('t0', 't1') AND Key__c != 'k1'",
        "Key__c IN ('k1', 'K2', 'k3')",
        "Account__c NOT IN ('{0}')",
        "Account__c = null",
        "(Account__c = '{0}' OR Status__c = 'open')",
        "Id IN (SELECT Id FROM Bill__c WHERE Account__c = '{1}')",
    ]
)


@settings(max_examples=60, deadline=None)
@given(condition=CONDITIONS, parents=st.lists(st.sampled_from([0, 1, 2, None]), max_size=8))
def test_an_index_answers_what_a_scan_would(
    server: Emulated, condition: str, parents: list[int | None]
) -> None:
    server.fresh()
    server.control("deploy", bills_package())
    org = server.service.org
    accounts = [org.insert("Account", {"Name": f"a{n}", "Tag__c": f"t{n}"}) for n in range(3)]
    for n, parent in enumerate(parents):
        status = "paid" if n % 2 else "open"
        account = None if parent is None else accounts[parent]
        org.insert("Bill__c", {"Key__c": f"k{n}", "Status__c": status, "Account__c": account})
    text = f"SELECT Key__c FROM Bill__c WHERE {condition.format(*accounts)}"
    world = org.world(UNRESTRICTED)
    by_index = [row["Id"] for row in execute.run(world, text, "v66.0").rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "candidates", lambda world, item, _: world.store.rows(item.name).values())
        assert by_index == [row["Id"] for row in execute.run(world, text, "v66.0").rows]


def test_too_many_long_calls_at_once_are_refused(emulator: Emulated, sf: Client) -> None:
    ask = "SELECT Id FROM Account"
    sf.query(ask)
    emulator.service.settings.patch(
        {"concurrent_long_requests": 1, "long_request_seconds": 0.0, "latency_seconds": 1.0}
    )
    other = emulator.client()
    first = threading.Thread(target=sf.query, args=(ask,))
    first.start()
    while not emulator.service._in_flight:  # no other sign tells that a call is in hand
        time.sleep(0.005)
    with pytest.raises(SalesforceError, match="ConcurrentPerOrgLongTxn Limit exceeded"):
        other.query(ask)
    first.join()
    emulator.service.settings.patch({"latency_seconds": 0.0})
    other.query(ask)


def test_a_row_in_the_hands_of_another_call_is_refused(emulator: Emulated, sf: Client) -> None:
    ids = emulator.seed(
        {"type": "Account", "ref": "one", "Name": "One"}, {"type": "Account", "ref": "two", "Name": "Two"}
    )
    other = emulator.client()

    def update(client: Client, *refs: str) -> list[str]:
        rows = [{"attributes": {"type": "Account"}, "Id": ids[ref], "Phone": "1"} for ref in refs]
        body = {"allOrNone": False, "records": rows}
        answer = client.restful("composite/sobjects", method="PATCH", json=body)
        return ["ok" if row["success"] else row["errors"][0]["statusCode"] for row in answer]

    emulator.service.settings.patch({"refuse_locked_rows": True, "latency_seconds": 1.0})
    first: list[str] = []
    call = threading.Thread(target=lambda: first.extend(update(sf, "one")))
    call.start()
    while not emulator.service.org.locks._held:  # no other sign tells that the first has written
        time.sleep(0.005)
    emulator.service.settings.patch({"latency_seconds": 0.0})  # the first has been given its second
    assert update(other, "one", "two") == ["UNABLE_TO_LOCK_ROW", "ok"]
    call.join()
    assert first == ["ok"]
    assert update(other, "one") == ["ok"], "released with the answer"
