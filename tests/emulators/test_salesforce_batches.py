"""sObject Collections and Composite: each row its own result, in order, all or none where asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from tests.emulators.salesforce_client import Client, Emulated, content, emulated
from tests.emulators.salesforce_package import bills_package

ACCOUNT = {"attributes": {"type": "Account"}}
CONTACT = {"attributes": {"type": "Contact"}}
BILL = {"attributes": {"type": "Bill__c"}}


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


def rows(
    sf: Client, records: Sequence[Any], method: str = "POST", path: str = "", all_or_none: bool = False
) -> list[Any]:
    """Send a collection; OrderedDicts become plain."""
    body = {"allOrNone": all_or_none, "records": list(records)}
    return [_plain(row) for row in sf.restful(f"composite/sobjects{path}", method=method, json=body)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list) else value


def codes(results: list[Any]) -> list[str]:
    return ["ok" if each["success"] else each["errors"][0]["statusCode"] for each in results]


def count(sf: Client, what: str = "Account") -> int:
    return int(sf.query(f"SELECT COUNT() FROM {what}")["totalSize"])


def refusal(work: Any) -> str:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        work()
    return str(content(caught)[0]["errorCode"])


def test_rows_succeed_and_fail_one_by_one(sf: Client) -> None:
    results = rows(
        sf, [{**ACCOUNT, "Name": "a"}, ACCOUNT, {**ACCOUNT, "Name": "x" * 300}, {**ACCOUNT, "Name": "b"}]
    )
    assert codes(results) == ["ok", "REQUIRED_FIELD_MISSING", "STRING_TOO_LONG", "ok"]
    assert results[0] == {"id": results[0]["id"], "success": True, "errors": []}
    assert results[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [Name]",
                "fields": ["Name"],
            }
        ],
    }
    assert count(sf) == 2


def test_all_or_none_leaves_nothing_and_names_the_culprit(emulator: Emulated, sf: Client) -> None:
    results = rows(sf, [{**ACCOUNT, "Name": "a"}, ACCOUNT, {**ACCOUNT, "Name": "b"}], all_or_none=True)
    rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert codes(results) == [rolled_back, "REQUIRED_FIELD_MISSING", rolled_back]
    assert count(sf) == 0
    assert emulator.service.journal.effects() == []


def test_updates_by_id(emulator: Emulated, sf: Client) -> None:
    refs = emulator.seed(
        {"type": "Account", "ref": "a", "Name": "a"}, {"type": "Account", "ref": "b", "Name": "b"}
    )
    gone = emulator.seed({"type": "Account", "ref": "c", "Name": "c"})["c"]
    emulator.control("delete", {"ids": [gone]})
    update = [
        {**ACCOUNT, "id": refs["a"], "Name": "A"},
        {**ACCOUNT, "Id": gone, "Name": "x"},
        {**ACCOUNT, "Id": "001Hs0000000999IAA", "Name": "x"},
        {**ACCOUNT, "Name": "x"},
        {**ACCOUNT, "Id": "nonsense", "Name": "x"},
        {**ACCOUNT, "Id": refs["b"][:15], "Name": "B"},
    ]
    results = rows(sf, update, "PATCH")
    expected = [
        "ok",
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
        "MISSING_ARGUMENT",
        "MALFORMED_ID",
        "ok",
    ]
    assert codes(results) == expected
    assert results[1]["id"] == gone
    names = [each["Name"] for each in sf.query("SELECT Name FROM Account ORDER BY Name")["records"]]
    assert names == ["A", "B"]
    twice = rows(
        sf, [{**ACCOUNT, "Id": refs["a"], "Name": "1"}, {**ACCOUNT, "Id": refs["a"], "Name": "2"}], "PATCH"
    )
    assert codes(twice) == ["DUPLICATE_VALUE", "DUPLICATE_VALUE"]


def test_upserts_by_external_id(emulator: Emulated, sf: Client) -> None:
    emulator.seed(
        {"type": "Account", "Name": "1", "Tag__c": "t"}, {"type": "Account", "Name": "2", "Tag__c": "t"}
    )
    path = "/Bill__c/Key__c"
    first = rows(
        sf, [{**BILL, "Key__c": "a"}, {**BILL, "Key__c": "b", "Status__c": "lost"}, BILL], "PATCH", path
    )
    assert codes(first) == ["ok", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "MISSING_ARGUMENT"]
    assert first[0]["created"] is True
    again = rows(sf, [{**BILL, "Key__c": "a", "Status__c": "paid"}, {**BILL, "Key__c": "b"}], "PATCH", path)
    assert [(each["created"], each["success"]) for each in again] == [(False, True), (True, True)]
    assert again[0]["id"] == first[0]["id"]
    twice = rows(
        sf, [{**BILL, "Key__c": "c"}, {**BILL, "Key__c": "c"}, {**BILL, "Key__c": "d"}], "PATCH", path
    )
    assert codes(twice) == ["DUPLICATE_VALUE", "DUPLICATE_VALUE", "ok"]
    several = rows(sf, [{**ACCOUNT, "Tag__c": "t", "Name": "x"}], "PATCH", "/Account/Tag__c")
    assert codes(several) == ["DUPLICATE_EXTERNAL_ID"]
    assert count(sf, "Bill__c") == 3


def test_an_unknown_field_or_type_refuses_the_whole_call(sf: Client) -> None:
    good = {**ACCOUNT, "Name": "a"}
    assert refusal(lambda: rows(sf, [good, {**good, "Nope__c": 1}])) == "INVALID_FIELD"
    assert refusal(lambda: rows(sf, [good, {"attributes": {"type": "Nope"}}])) == "INVALID_TYPE"
    assert refusal(lambda: rows(sf, [good, {"Name": "a"}])) == "INVALID_INPUT"
    assert count(sf) == 0


def test_sizes_and_chunks_are_limited(sf: Client) -> None:
    account, contact = {**ACCOUNT, "Name": "a"}, {**CONTACT, "LastName": "c"}
    assert refusal(lambda: rows(sf, [account] * 201)) == "EXCEEDED_ID_LIMIT"
    assert refusal(lambda: rows(sf, [account, contact] * 6)) == "LIMIT_EXCEEDED"
    assert codes(rows(sf, [account, contact] * 5)) == ["ok"] * 10
    assert codes(rows(sf, [account] * 200)) == ["ok"] * 200


def test_reading_and_deleting_by_ids(sf: Client) -> None:
    ids = [each["id"] for each in rows(sf, [{**ACCOUNT, "Name": "a"}, {**ACCOUNT, "Name": "b"}])]
    missing = "001Hs0000000999IAA"
    read = sf.restful(
        "composite/sobjects/Account", params={"ids": ",".join([ids[0], missing]), "fields": "Name"}
    )
    assert (read[0]["Name"], read[1]) == ("a", None)
    posted = sf.restful("composite/sobjects/Account", method="POST", json={"ids": ids, "fields": ["Name"]})
    assert [each["Name"] for each in posted] == ["a", "b"]
    gone = sf.restful("composite/sobjects", method="DELETE", params={"ids": f"{ids[0]},{missing}"})
    assert codes(gone) == ["ok", "INVALID_CROSS_REFERENCE_KEY"]
    assert count(sf) == 1


def composite(sf: Client, *subrequests: dict[str, Any], all_or_none: bool = False) -> list[Any]:
    body = {"allOrNone": all_or_none, "compositeRequest": list(subrequests)}
    answer = _plain(sf.restful("composite", method="POST", json=body))
    return list(answer["compositeResponse"])


def sub(name: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    return {"referenceId": name, "method": method, "url": f"/services/data/v66.0/{path}", "body": body}


def test_composite_passes_results_on(sf: Client) -> None:
    results = composite(
        sf,
        sub("acme", "POST", "sobjects/Account", {"Name": "Acme"}),
        sub("ada", "POST", "sobjects/Contact", {"LastName": "Ada", "AccountId": "@{acme.id}"}),
        sub("found", "GET", "query?q=SELECT+Name,AccountId+FROM+Contact+WHERE+AccountId='@{acme.id}'"),
        sub("again", "PATCH", "sobjects/Account/@{found.records[0].AccountId}", {"Phone": "1"}),
        sub("lost", "GET", "sobjects/Account/@{found.records[7].AccountId}"),
    )
    assert [each["httpStatusCode"] for each in results] == [201, 201, 200, 204, 400]
    assert [each["referenceId"] for each in results] == ["acme", "ada", "found", "again", "lost"]
    assert results[0]["httpHeaders"]["Location"].endswith(results[0]["body"]["id"])
    assert results[2]["body"]["records"][0]["Name"] == "Ada"
    assert results[4]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_composite_all_or_none(sf: Client) -> None:
    results = composite(
        sf,
        sub("good", "POST", "sobjects/Account", {"Name": "Acme"}),
        sub("bad", "POST", "sobjects/Account", {}),
        sub("late", "POST", "sobjects/Account", {"Name": "Late"}),
        all_or_none=True,
    )
    assert [each["body"][0]["errorCode"] for each in results] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert count(sf) == 0


def test_composite_is_one_call_of_at_most_25(emulator: Emulated, sf: Client) -> None:
    reads = [sub(f"r{number}", "GET", "limits") for number in range(26)]
    assert refusal(lambda: composite(sf, *reads)) == "LIMIT_EXCEEDED"
    before = emulator.service.api_usage()[0]
    assert len(composite(sf, *reads[:25])) == 25
    assert emulator.service.api_usage()[0] == before + 1


def test_batch_runs_its_requests_apart(sf: Client) -> None:
    requests = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "Acme"}},
        {"method": "GET", "url": "v66.0/sobjects/Nope/describe"},
    ]
    answer = _plain(sf.restful("composite/batch", method="POST", json={"batchRequests": requests}))
    assert answer["hasErrors"] is True
    assert [each["statusCode"] for each in answer["results"]] == [201, 404]
