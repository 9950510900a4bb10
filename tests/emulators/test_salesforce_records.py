"""Single records: what a save fills in, what it refuses, upsert by External ID."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from tests.emulators.salesforce_client import Client, Emulated, content, deal, emulated, line, product
from tests.emulators.salesforce_package import bills_package


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


def refusal(work: Any, *arguments: Any) -> dict[str, Any]:
    with pytest.raises((SalesforceMalformedRequest, SalesforceResourceNotFound)) as caught:
        work(*arguments)
    error: dict[str, Any] = dict(content(caught)[0])
    return error


def test_create_read_update_delete(emulator: Emulated, sf: Client) -> None:
    made = sf.Account.create({"Name": "Acme", "BillingCity": "Berlin", "AnnualRevenue": "12"})
    assert set(made) == {"id", "success", "errors"}
    account = sf.Account.get(made["id"])
    assert account["attributes"] == {
        "type": "Account",
        "url": f"/services/data/v66.0/sobjects/Account/{made['id']}",
    }
    assert (account["AnnualRevenue"], account["BillingAddress"]["city"]) == (12.0, "Berlin")
    assert account["CreatedDate"] == account["SystemModstamp"] == account["LastModifiedDate"]
    assert account["CreatedDate"].endswith(".000+0000")
    assert sf.Account.update(made["id"], {"Name": "Acme 2"}) == 204
    emulator.control("clock", {"advance_seconds": 60})
    assert sf.Account.update(made["id"][:15], {"Phone": None}) == 204
    changed = sf.restful(f"sobjects/Account/{made['id']}", params={"fields": "name,SystemModstamp"})
    assert changed["Name"] == "Acme 2"
    assert changed["SystemModstamp"] > account["SystemModstamp"]
    assert sf.Account.delete(made["id"]) == 204
    assert refusal(sf.Account.get, made["id"])["errorCode"] == "ENTITY_IS_DELETED"
    assert refusal(sf.Account.update, made["id"], {"Name": "x"})["errorCode"] == "ENTITY_IS_DELETED"
    assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == 0
    gone = sf.query("SELECT Id, IsDeleted FROM Account", include_deleted=True)["records"]
    assert [(each["Id"], each["IsDeleted"]) for each in gone] == [(made["id"], True)]


def test_the_journal_tells_each_effect_and_its_fields(emulator: Emulated, sf: Client) -> None:
    made = sf.Account.create({"Name": "Acme", "Phone": "1"})
    sf.Account.update(made["id"], {"Phone": "2", "Name": "Acme"})
    sf.Account.delete(made["id"])
    effects = [
        entry["effects"] for entry in emulator.control("journal", method="GET")["entries"] if entry["effects"]
    ]
    assert effects == [
        [{"object": "Account", "id": made["id"], "action": "created", "fields": ["Name", "Phone"]}],
        [{"object": "Account", "id": made["id"], "action": "updated", "fields": ["Phone"]}],
        [{"object": "Account", "id": made["id"], "action": "deleted", "fields": ["IsDeleted"]}],
    ]


@pytest.mark.parametrize(
    ("values", "code", "fields"),
    [
        ({}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ({"Name": None}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ({"Name": "x" * 256}, "STRING_TOO_LONG", ["Name"]),
        ({"Name": "x", "Nope__c": 1}, "INVALID_FIELD", None),
        ({"Name": "x", "IsDeleted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["IsDeleted"]),
        ({"Name": "x", "Id": "001000000000001AAA"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["Id"]),
        ({"Name": "x", "OwnerId": "nonsense"}, "MALFORMED_ID", ["OwnerId"]),
        ({"Name": "x", "ParentId": "005Hs0000000001IAA"}, "MALFORMED_ID", ["ParentId"]),
        ({"Name": "x", "ParentId": "001Hs0000000999IAA"}, "INVALID_CROSS_REFERENCE_KEY", []),
        ({"Name": "x", "AnnualRevenue": "many"}, "JSON_PARSER_ERROR", None),
        ({"Name": "x", "AnnualRevenue": 1e20}, "NUMBER_OUTSIDE_VALID_RANGE", ["AnnualRevenue"]),
    ],
)
def test_bad_values_are_refused(
    sf: Client, values: dict[str, Any], code: str, fields: list[str] | None
) -> None:
    error = refusal(sf.Account.create, values)
    assert (error["errorCode"], error.get("fields")) == (code, fields)


def test_dates_booleans_and_addresses_of_mail_are_checked(sf: Client) -> None:
    contact = sf.Contact.create
    assert refusal(contact, {"LastName": "x", "Birthdate": "soon"})["errorCode"] == "JSON_PARSER_ERROR"
    assert refusal(contact, {"LastName": "x", "DoNotCall": 1})["errorCode"] == "JSON_PARSER_ERROR"
    assert refusal(contact, {"LastName": "x", "Email": "a@b"})["errorCode"] == "INVALID_EMAIL_ADDRESS"


def test_restricted_picklists_unique_fields_and_auto_numbers(sf: Client) -> None:
    bill = sf.Bill__c
    made = bill.create({"Key__c": "in_A"})["id"]
    assert made.startswith("a00")
    read = bill.get(made)
    assert (read["Name"], read["Status__c"]) == ("B-0001", "open")
    bad = refusal(bill.create, {"Key__c": "in_B", "Status__c": "lost"})
    assert bad["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert bad["message"] == "Status: bad value for restricted picklist field: lost"
    twice = refusal(bill.create, {"Key__c": "in_A"})
    assert twice["errorCode"] == "DUPLICATE_VALUE"
    assert made[:15] in twice["message"]
    bill.create({"Key__c": "in_a"})


def test_a_field_without_permission_does_not_exist_for_the_user(sf: Client) -> None:
    assert "No such column 'Note__c'" in refusal(sf.Bill__c.create, {"Note__c": "x"})["message"]
    assert "Note__c" not in {field["name"] for field in sf.Bill__c.describe()["fields"]}
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Note__c' on entity 'Bill__c'"):
        sf.query("SELECT Note__c FROM Bill__c")


def test_upsert_by_external_id(emulator: Emulated, sf: Client) -> None:
    acme = emulator.seed({"type": "Account", "ref": "acme", "Name": "Acme", "Tag__c": "a"})["acme"]
    path = "Key__c/in_1"
    made = sf.Bill__c.upsert(path, {"Status__c": "open", "Account__r": {"Tag__c": "a"}}, raw_response=True)
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = sf.Bill__c.upsert(path, {"Status__c": "paid"}, raw_response=True)
    assert (again.status_code, again.json()["created"]) == (200, False)
    read = sf.Bill__c.get_by_custom_id("Key__c", "in_1")
    assert (read["Status__c"], read["Account__c"]) == ("paid", acme)
    old = sf.session.patch(
        f"https://{sf.sf_instance}/services/data/v45.0/sobjects/Bill__c/{path}", json={}, headers=sf.headers
    )
    assert old.status_code == 204
    doubled = refusal(sf.Bill__c.upsert, path, {"Key__c": "in_1"})
    assert (doubled["errorCode"], doubled["fields"]) == ("INVALID_FIELD", ["Key__c"])
    assert refusal(sf.Bill__c.upsert, "Note__c/x", {})["errorCode"] == "NOT_FOUND"


def test_an_external_id_may_hold_what_addresses_escape(emulator: Emulated, sf: Client) -> None:
    for key in ("a/b", "a b", "a+b", "O'B", "ä?&#"):
        path = f"Key__c/{quote(key, safe='')}"
        assert sf.Bill__c.upsert(path, {}, raw_response=True).status_code == 201
        assert sf.Bill__c.get_by_custom_id("Key__c", quote(key, safe=""))["Key__c"] == key
        assert sf.Bill__c.delete(path) == 204


def test_an_external_id_that_two_records_have_answers_300(emulator: Emulated, sf: Client) -> None:
    tagged = {"type": "Account", "Name": "Twin", "Tag__c": "x"}
    emulator.seed(tagged, tagged)
    with pytest.raises(SalesforceMoreThanOneRecord) as caught:
        sf.Account.upsert("Tag__c/x", {"Name": "One"})
    assert len(content(caught)) == 2


def test_stages_decide_what_is_won(emulator: Emulated, sf: Client) -> None:
    made = sf.Opportunity.create(
        {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-01", "Amount": 50}
    )
    read = sf.Opportunity.get(made["id"])
    assert (read["IsClosed"], read["IsWon"], read["Probability"], read["ExpectedRevenue"]) == (
        False,
        False,
        10,
        5,
    )
    sf.Opportunity.update(made["id"], {"StageName": "Closed Won"})
    read = sf.Opportunity.get(made["id"])
    assert (read["IsClosed"], read["IsWon"], read["ForecastCategory"]) == (True, True, "Closed")
    emulator.seed(
        {
            "type": "OpportunityStage",
            "MasterLabel": "Signed",
            "IsClosed": True,
            "IsWon": True,
            "raw": True,
            "DefaultProbability": 100,
            "ForecastCategory": "Closed",
            "ForecastCategoryName": "Closed",
        }
    )
    sf.Opportunity.update(made["id"], {"StageName": "Signed"})
    assert sf.Opportunity.get(made["id"])["IsWon"] is True
    assert (
        refusal(sf.Opportunity.update, made["id"], {"IsWon": False})["errorCode"]
        == "INVALID_FIELD_FOR_INSERT_UPDATE"
    )


def test_line_items_make_the_amount(emulator: Emulated, sf: Client) -> None:
    refs = emulator.seed(*product(price=100), deal(Amount=1), line(Quantity=2.5, UnitPrice=99.5))
    deal_id, entry = refs["deal"], refs["widget-entry"]
    assert sf.Opportunity.get(deal_id)["Amount"] == 248.75
    made = sf.OpportunityLineItem.create(
        {"OpportunityId": deal_id, "PricebookEntryId": entry, "Quantity": 1, "Discount": 10}
    )
    item = sf.OpportunityLineItem.get(made["id"])
    assert (item["UnitPrice"], item["ListPrice"], item["TotalPrice"], item["Subtotal"]) == (100, 100, 90, 100)
    assert (item["ProductCode"], item["Name"], item["Product2Id"]) == (
        "WIDGET",
        "First order Widget",
        refs["widget"],
    )
    read = sf.Opportunity.get(deal_id)
    assert (read["Amount"], read["HasOpportunityLineItem"]) == (338.75, True)
    sf.Opportunity.update(deal_id, {"Amount": 5, "NextStep": "bill"})
    assert (sf.Opportunity.get(deal_id)["Amount"], sf.Opportunity.get(deal_id)["NextStep"]) == (
        338.75,
        "bill",
    )
    sf.OpportunityLineItem.delete(made["id"])
    assert sf.Opportunity.get(deal_id)["Amount"] == 248.75
    missing = refusal(sf.OpportunityLineItem.create, {"OpportunityId": deal_id, "Quantity": 1})
    assert missing["errorCode"] == "REQUIRED_FIELD_MISSING"


def test_raw_seeds_may_contradict_the_org(emulator: Emulated, sf: Client) -> None:
    refs = emulator.seed(*product(), deal(), line(Quantity=2))
    emulator.control(
        "seed", {"records": [{"type": "Opportunity", "id": refs["deal"], "Amount": 7, "raw": True}]}
    )
    long_name = {
        "type": "Account",
        "ref": "long",
        "Name": "x" * 300,
        "CreatedDate": "2020-01-01T00:00:00Z",
        "raw": True,
    }
    long_id = emulator.seed(long_name)["long"]
    assert sf.Opportunity.get(refs["deal"])["Amount"] == 7
    read = sf.Account.get(long_id)
    assert (len(read["Name"]), read["CreatedDate"]) == (300, "2020-01-01T00:00:00.000+0000")
    assert emulator.control("journal", method="GET")["entries"][-1]["effects"] == []


def test_deleting_and_merging_accounts(emulator: Emulated, sf: Client) -> None:
    account = {"type": "Account", "Name": "Acme"}
    refs = emulator.seed(
        {**account, "ref": "one"},
        {**account, "ref": "two"},
        {**account, "ref": "three"},
        deal(AccountId="@two"),
        deal("lost", AccountId="@three", StageName="Closed Lost"),
    )
    emulator.control("merge", {"master": refs["one"], "losers": [refs["two"]]})
    assert sf.Opportunity.get(refs["deal"])["AccountId"] == refs["one"]
    query = f"SELECT MasterRecordId, IsDeleted FROM Account WHERE Id = '{refs['two']}'"
    merged = sf.query(query, include_deleted=True)["records"][0]
    assert (merged["MasterRecordId"], merged["IsDeleted"]) == (refs["one"], True)
    assert refusal(sf.Account.delete, refs["one"])["errorCode"] == "DELETE_FAILED"
    sf.Account.delete(refs["three"])
    assert refusal(sf.Opportunity.get, refs["lost"])["errorCode"] == "ENTITY_IS_DELETED"
    emulator.control("delete", {"ids": [refs["one"]], "cascade": False})
    assert sf.Opportunity.get(refs["deal"])["AccountId"] == refs["one"]
    moved = refusal(sf.Opportunity.update, refs["deal"], {"AccountId": refs["three"]})
    assert moved["errorCode"] == "ENTITY_IS_DELETED"


def test_seeding_is_all_or_nothing_and_says_which_record(emulator: Emulated) -> None:
    with pytest.raises(AssertionError, match="record 1 \\(Account bad\\)"):
        emulator.seed({"type": "Account", "Name": "Good"}, {"type": "Account", "ref": "bad"})
    assert emulator.control("records?type=Account", method="GET")["records"] == []
