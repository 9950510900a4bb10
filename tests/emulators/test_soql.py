"""SOQL's answers, asked through the real simple-salesforce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from simple_salesforce.format import format_soql

from tests.emulators.salesforce_client import Client, Emulated, Json, deal, emulated, line, product

COMPANY: list[Json] = [
    {"type": "Account", "ref": "acme", "Name": "Acme", "Industry": "Energy", "NumberOfEmployees": 5},
    {"type": "Account", "ref": "bolt", "Name": 'O\'Brien \\ "Co" 50%', "AnnualRevenue": 10.5},
    {"type": "Contact", "ref": "ada", "LastName": "Ada", "AccountId": "@acme", "Email": "ada@acme.example"},
    *product("widget", 100),
    *product("gadget", 12.5),
    deal("won", AccountId="@acme", CloseDate="2026-11-18"),
    deal("open", Name="Second", AccountId="@bolt", StageName="Prospecting", CloseDate="2027-01-31"),
    deal("alone", Name="Third", CloseDate="2026-10-31", Amount=70),
    line("@won", Quantity=2, UnitPrice=90, ServiceDate="2026-12-01"),
    line("@won", "@gadget-entry", Quantity=1.5),
    {"type": "OpportunityContactRole", "OpportunityId": "@won", "ContactId": "@ada", "IsPrimary": True},
    {"type": "Task", "Subject": "Call", "WhatId": "@won", "WhoId": "@ada"},
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture(scope="module")
def refs(emulator: Emulated) -> dict[str, str]:
    return emulator.seed(*COMPANY)


@pytest.fixture(scope="module")
def sf(emulator: Emulated, refs: dict[str, str]) -> Client:
    return emulator.client()


def names(sf: Client, condition: str, source: str = "Opportunity") -> list[str]:
    found = sf.query(f"SELECT Name FROM {source} WHERE {condition} ORDER BY Name")
    return [record["Name"] for record in found["records"]]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("IsWon = true", ["First order", "Third"]),
        ("IsWon != true", ["Second"]),
        ("NOT IsWon = true", ["Second"]),
        ("StageName = 'closed won' AND Amount > 70", ["First order"]),
        ("StageName IN ('Closed Won', 'Closed Lost') AND (Amount = 70 OR Amount = 1)", ["Third"]),
        ("StageName NOT IN ('Closed Won')", ["Second"]),
        ("Amount = null", ["Second"]),
        ("Amount != null", ["First order", "Third"]),
        ("Amount != 70", ["First order", "Second"]),
        ("Amount >= 70 AND Amount <= 198.75", ["First order", "Third"]),
        ("Name LIKE '%ORDER'", ["First order"]),
        ("Name LIKE 'T_ird'", ["Third"]),
        ("NOT Name LIKE '%r%'", ["Second"]),
        ("CloseDate = 2026-11-18", ["First order"]),
        ("CloseDate > TODAY", ["Second"]),
        ("CloseDate = THIS_MONTH", ["First order"]),
        ("CloseDate = LAST_N_DAYS:2", ["First order"]),
        ("CloseDate = LAST_N_DAYS:1", []),
        ("CloseDate < LAST_MONTH", []),
        ("CloseDate <= LAST_MONTH", ["Third"]),
        ("CloseDate = NEXT_N_MONTHS:2", ["Second"]),
        ("CloseDate > NEXT_YEAR", []),
        ("CloseDate = NEXT_YEAR", ["Second"]),
        ("CreatedDate = TODAY", ["First order", "Second", "Third"]),
        ("CreatedDate >= 2026-11-20T08:00:00Z", ["First order", "Second", "Third"]),
        ("CreatedDate < 2026-11-20T09:00:00+01:00", []),
        ("Account.Name = 'ACME'", ["First order"]),
        ("Account.Industry = null", ["Second", "Third"]),
        ("Account.Owner.IsActive = true", ["First order", "Second"]),
        ("AccountId IN (SELECT Id FROM Account WHERE Industry = 'Energy')", ["First order"]),
        ("AccountId NOT IN (SELECT Id FROM Account WHERE Industry = 'Energy')", ["Second", "Third"]),
        ("Id IN (SELECT OpportunityId FROM OpportunityLineItem WHERE Quantity = 1.5)", ["First order"]),
    ],
)
def test_conditions(sf: Client, condition: str, found: list[str]) -> None:
    assert names(sf, condition) == found


def test_escaped_text_finds_what_it_says(sf: Client) -> None:
    name = 'O\'Brien \\ "Co" 50%'
    assert [
        each["Name"]
        for each in sf.query(format_soql("SELECT Name FROM Account WHERE Name = {}", name))["records"]
    ] == [name]
    assert names(sf, "Name LIKE '%\\%'", "Account") == [name]
    assert names(sf, "Name LIKE 'O\\'%'", "Account") == [name]


def test_ids_may_be_short_and_in_lists(sf: Client, refs: dict[str, str]) -> None:
    assert names(sf, f"Id = '{refs['won'][:15]}'") == ["First order"]
    assert names(sf, f"Id IN ('{refs['won']}', '{refs['open'][:15]}') AND IsWon = false") == ["Second"]
    assert names(sf, "Id = '006Hs00000ZZZZZ'") == []


def test_names_are_canonical_whatever_case_was_asked(sf: Client, refs: dict[str, str]) -> None:
    record = sf.query(
        f"select id, ACCOUNT.name, account.owner.username from opportunity where id = '{refs['won']}'"
    )["records"][0]
    assert list(record) == ["attributes", "Id", "Account"]
    url = f"/services/data/v66.0/sobjects/Opportunity/{refs['won']}"
    assert record["attributes"] == {"type": "Opportunity", "url": url}
    assert record["Account"]["attributes"]["type"] == "Account"
    assert record["Account"]["Name"] == "Acme"
    assert record["Account"]["Owner"]["Username"] == "admin@emulator.example"


def test_a_parent_that_is_not_there_is_null(sf: Client, refs: dict[str, str]) -> None:
    query = f"SELECT Account.Owner.Name, Account.Name FROM Opportunity WHERE Id = '{refs['alone']}'"
    assert sf.query(query)["records"][0]["Account"] is None


def test_children_come_nested_in_order_and_null_when_there_are_none(sf: Client) -> None:
    found = sf.query(
        "SELECT Name, (SELECT Product2.Name, TotalPrice, ServiceDate FROM OpportunityLineItems "
        "WHERE Quantity > 0 ORDER BY UnitPrice DESC LIMIT 5), (SELECT ContactId, Contact.Email "
        "FROM OpportunityContactRoles WHERE IsPrimary = true) FROM Opportunity ORDER BY Name"
    )["records"]
    first = found[0]
    assert first["OpportunityLineItems"]["totalSize"] == 2
    shown = [
        (each["Product2"]["Name"], each["TotalPrice"]) for each in first["OpportunityLineItems"]["records"]
    ]
    assert shown == [("Widget", 180.0), ("Gadget", 18.75)]
    assert first["OpportunityContactRoles"]["records"][0]["Contact"]["Email"] == "ada@acme.example"
    assert found[1]["OpportunityLineItems"] is None


def test_a_reference_to_several_objects_shows_name_and_type(sf: Client) -> None:
    task = sf.query("SELECT What.Name, What.Type, Who.Name FROM Task WHERE What.Type = 'Opportunity'")[
        "records"
    ][0]
    assert (task["What"]["Name"], task["What"]["Type"], task["Who"]["Name"]) == (
        "First order",
        "Opportunity",
        "Ada",
    )


def test_order_puts_nulls_first_unless_told_otherwise(sf: Client) -> None:
    def order(clause: str) -> list[str]:
        return [
            each["Name"] for each in sf.query(f"SELECT Name FROM Opportunity ORDER BY {clause}")["records"]
        ]

    assert order("Amount") == ["Second", "Third", "First order"]
    assert order("Amount DESC NULLS LAST") == ["First order", "Third", "Second"]
    assert order("IsWon DESC, Name DESC") == ["Third", "First order", "Second"]
    assert order("Account.Name NULLS LAST LIMIT 1 OFFSET 1") == ["Second"]


def aggregate(sf: Client, query: str) -> list[Any]:
    records = sf.query(query)["records"]
    assert all(record.pop("attributes") == {"type": "AggregateResult"} for record in records)
    return [tuple(record.items()) for record in records]


def test_counting_rows(sf: Client) -> None:
    counted = sf.query("SELECT COUNT() FROM Opportunity WHERE IsWon = true")
    assert (counted["totalSize"], counted["done"], counted["records"]) == (2, True, [])


def test_aggregates(sf: Client) -> None:
    assert aggregate(
        sf, "SELECT COUNT(Amount), SUM(Amount) total, MAX(CloseDate), AVG(Amount) FROM Opportunity"
    ) == [(("expr0", 2), ("total", 268.75), ("expr1", "2027-01-31"), ("expr2", 134.375))]
    grouped = (
        "SELECT StageName, COUNT(Id) n, MIN(Amount) FROM Opportunity GROUP BY StageName "
        "HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC"
    )
    assert aggregate(sf, grouped) == [(("StageName", "Closed Won"), ("n", 2), ("expr0", 70.0))]
    by_parent = (
        "SELECT Account.Industry i, COUNT_DISTINCT(StageName) FROM Opportunity GROUP BY Account.Industry"
    )
    assert sorted(str(each) for each in aggregate(sf, by_parent)) == [
        "(('i', 'Energy'), ('expr0', 1))",
        "(('i', None), ('expr0', 2))",
    ]


def test_all_fields_come_with_a_small_limit(sf: Client) -> None:
    record = sf.query("SELECT FIELDS(ALL) FROM Account LIMIT 1")["records"][0]
    assert {"Id", "Name", "BillingAddress", "SystemModstamp"} <= record.keys()


def test_currency_and_whole_numbers_keep_their_kind(sf: Client) -> None:
    record = sf.query("SELECT AnnualRevenue, NumberOfEmployees FROM Account ORDER BY Name LIMIT 1")[
        "records"
    ][0]
    assert (record["AnnualRevenue"], record["NumberOfEmployees"]) == (None, 5)
    assert isinstance(record["NumberOfEmployees"], int)
    deal_record = sf.query("SELECT Amount FROM Opportunity WHERE Amount = 70")["records"][0]
    assert isinstance(deal_record["Amount"], float)
