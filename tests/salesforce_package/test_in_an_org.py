"""The package as an org has it: what people see of it, and what the integration user may write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from emulators.engine import Clock
from emulators.run import running
from emulators.salesforce.deploy import deploy
from emulators.salesforce.service import SalesforceService
from order_to_cash.cli.package import SourcePackage
from order_to_cash.domain.sync.fields import FIELDS

STRIPE = sorted(name for name in SourcePackage().objects() if name.startswith("Stripe_"))
SETS = "O2C_Customer_Success"


class Org:
    """An org with the package, asked as the integration user and through the emulator's control calls."""

    def __init__(self, service: SalesforceService, url: str) -> None:
        self.service = service
        self.url = url
        login = {"grant_type": "client_credentials", "client_id": "emulator-client"}
        login["client_secret"] = service.settings.client_secret
        token = httpx.post(f"{url}/services/oauth2/token", data=login, trust_env=False).json()
        self.headers = {"Authorization": f"Bearer {token['access_token']}"}

    def control(self, path: str, **params: str) -> Any:
        address = f"{self.url}/_emulator/{path}?{urlencode(params)}"
        answer = httpx.get(address, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()

    def upsert(self, sobject: str, external_id: str, *records: dict[str, Any]) -> list[Any]:
        path = f"{self.url}/services/data/v66.0/composite/sobjects/{sobject}/{external_id}"
        rows = [{"attributes": {"type": sobject}, **record} for record in records]
        body = json.dumps({"allOrNone": False, "records": rows})
        headers = {**self.headers, "Content-Type": "application/json"}
        answer = httpx.patch(path, content=body, headers=headers, trust_env=False)
        assert answer.is_success, answer.text
        return list(answer.json())


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    service = SalesforceService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        found = deploy(service.org, SourcePackage().zip_bytes())
        assert not [each for each in found if each.problem]
        body = {"permission_set": "O2C_Integration"}
        httpx.post(f"{urls['salesforce']}/_emulator/assign", json=body, trust_env=False)
        yield Org(service, urls["salesforce"])


def by_key(external: str, value: str) -> dict[str, str]:
    return {external: value}


@pytest.fixture(scope="module")
def history(org: Org) -> str:
    """An Account with a subscription, a failed and a paid invoice's payments, a refund and a dispute: its id."""
    made = org.upsert(
        "Account",
        "Stripe_Customer_Id__c",
        {
            "Stripe_Customer_Id__c": "cus_1",
            "Name": "Acme",
            "Stripe_Payment_Health__c": "Failed",
            "Stripe_Account_Status__c": "Payment Overdue",
            "Stripe_MRR__c": 120,
            "Stripe_Next_Renewal_Date__c": "2026-12-01",
            "Stripe_Last_Payment_Date__c": "2026-11-10",
            "Stripe_Card_Expires_On__c": "2026-12-31",
            "Payment_Escalated__c": True,
        },
    )
    account = {"Account__r": by_key("Stripe_Customer_Id__c", "cus_1")}
    invoice = {"Invoice__r": by_key("Stripe_Invoice_Id__c", "in_1")}
    payment = {"Payment__r": by_key("Stripe_Charge_Id__c", "ch_2")}
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("Stripe_Subscription__c", "sub_1", {"Status__c": "past_due", "Plan__c": "Team", "MRR__c": 120}),
        (
            "Stripe_Invoice__c",
            "in_1",
            {
                "Status__c": "open",
                "Due_Date__c": "2026-11-01",
                "Total__c": 120,
                "Failure_Code__c": "card_declined",
            },
        ),
        (
            "Stripe_Payment__c",
            "ch_1",
            {
                "Status__c": "failed",
                "Paid_At__c": "2026-11-15T08:00:00Z",
                "Failure_Reason__c": "No.",
                **invoice,
            },
        ),
        (
            "Stripe_Payment__c",
            "ch_2",
            {"Status__c": "succeeded", "Paid_At__c": "2026-11-16T08:00:00Z", **invoice},
        ),
        ("Stripe_Refund__c", "re_1", {"Status__c": "succeeded", "Amount__c": 20, **invoice, **payment}),
        ("Stripe_Credit_Note__c", "cn_1", {"Status__c": "issued", "Amount__c": 5, **invoice}),
        ("Stripe_Dispute__c", "dp_1", {"Status__c": "needs_response", **invoice, **payment}),
    ]
    for sobject, stripe_id, values in steps:
        external = next(name for name, kind in FIELDS[sobject].items() if kind.endswith("!"))
        (row,) = org.upsert(sobject, external, {external: stripe_id, **account, **values})
        assert row["success"], row
    return str(made[0]["id"])


def test_customer_success_opens_the_account_and_reads_everything(org: Org, history: str) -> None:
    seen = org.control("page", object="Account", record=history, permission_sets=SETS)
    values = {each["name"]: each["value"] for section in seen["sections"] for each in section["fields"]}
    assert values["Stripe_Payment_Health__c"] == "Failed"
    assert values["Stripe_MRR__c"] == 120
    assert values["Stripe_Next_Renewal_Date__c"] == "2026-12-01"
    assert values["Stripe_Days_Since_Last_Payment__c"] == 10
    rows = {each["object"]: each["rows"] for each in seen["related_lists"] if each["object"]}
    payments = [(row["Status__c"], row["Failure_Reason__c"]) for row in rows["Stripe_Payment__c"]]
    assert payments == [("failed", "No."), ("succeeded", None)]
    others = ("Subscription", "Invoice", "Refund", "Credit_Note", "Dispute")
    assert [len(rows[f"Stripe_{name}__c"]) for name in others] == [1, 1, 1, 1, 1]
    (invoice,) = rows["Stripe_Invoice__c"]
    opened = org.control("page", object="Stripe_Invoice__c", record=invoice["Id"], permission_sets=SETS)
    assert "Status__c" in [each["name"] for each in opened["highlights"]]
    assert not any(
        each["editable"]
        for section in seen["sections"]
        for each in section["fields"]
        if "Stripe" in each["name"]
    )


def test_sales_sees_the_status_and_no_transaction(org: Org, history: str) -> None:
    seen = org.control("page", object="Account", record=history, permission_sets="O2C_Sales")
    names = {each["name"] for section in seen["sections"] for each in section["fields"]}
    assert "Stripe_Payment_Health__c" in names
    assert not names & {"Stripe_MRR__c", "Stripe_Card_Last4__c", "Stripe_Customer_Id__c"}
    assert not [each for each in seen["related_lists"] if (each["object"] or "").startswith("Stripe_")]
    assert org.control("navigation", permission_sets="O2C_Sales")["tabs"] == []


def test_finance_finds_what_needs_attention_in_list_views(org: Org, history: str) -> None:
    def ids(sobject: str, name: str) -> int:
        asked = {"object": sobject, "name": name, "permission_sets": "O2C_Finance"}
        return len(org.control("list-view", **asked)["rows"])

    assert ids("Stripe_Invoice__c", "Open_Past_Due") == ids("Stripe_Invoice__c", "Open_Payment_Failed") == 1
    assert ids("Stripe_Invoice__c", "Written_Off") == ids("Stripe_Payment__c", "Outside_Stripe") == 0
    assert ids("Stripe_Payment__c", "Failed") == ids("Stripe_Subscription__c", "Past_Due") == 1
    assert ids("Stripe_Subscription__c", "Canceling") == ids("Stripe_Refund__c", "Failed") == 0
    assert ids("Stripe_Dispute__c", "Needs_Response") == ids("Account", "Stripe_Payment_Problems") == 1
    assert ids("Account", "Stripe_Dunning_Hold") == ids("Stripe_Invoice__c", "In_Dunning") == 0
    assert ids("Account", "Stripe_Payment_Escalated") == 1
    assert ids("Account", "Stripe_Cards_Expiring") == ids("Account", "Stripe_Renewals") == 1
    shown = org.control("navigation", permission_sets="O2C_Finance")
    assert shown["apps"] == ["Stripe_Billing"]
    assert "Stripe_Invoice__c" in shown["tabs"]


def test_who_collects_puts_an_account_on_hold_and_gives_an_invoice_up(org: Org, history: str) -> None:
    def editable(sobject: str, record: str, sets: str) -> set[str]:
        seen = org.control("page", object=sobject, record=record, permission_sets=sets)
        return {each["name"] for part in seen["sections"] for each in part["fields"] if each["editable"]}

    both = f"{SETS},O2C_Collections"
    hold = {"Dunning_Hold__c", "Dunning_Hold_Until__c", "Dunning_Hold_Reason__c", "Executive_Sponsor__c"}
    assert hold <= editable("Account", history, both)
    assert not hold & editable("Account", history, SETS)
    (invoice,) = [row["Id"] for row in org.service.org.store.rows("Stripe_Invoice__c").values()]
    assert "Written_Off__c" in editable("Stripe_Invoice__c", invoice, both)
    assert not editable("Stripe_Invoice__c", invoice, both) & set(FIELDS["Stripe_Invoice__c"])
    assert "Written_Off__c" not in editable("Stripe_Invoice__c", invoice, SETS)


def test_a_case_of_one_key_is_one_case(org: Org) -> None:
    case = {"O2C_Key__c": "o2c:case:in_1", "Subject": "Payment failed", "Priority": "High"}
    (first,) = org.upsert("Case", "O2C_Key__c", case)
    (second,) = org.upsert("Case", "O2C_Key__c", case)
    assert (first["created"], second["created"], second["id"]) == (True, False, first["id"])


# Standard fields that are written beside our own: Accounts and Contacts of unknown customers, Cases, Tasks, products.
STANDARD = {
    "Account": ("Name", "Billing_Email__c", "Stripe_Customer_Id__c"),
    "Contact": ("LastName", "FirstName", "Email", "Phone", "AccountId"),
    "Case": ("Subject", "Description", "Priority", "Status", "AccountId", "OwnerId"),
    "Task": ("Subject", "Description", "Priority", "Status", "ActivityDate", "WhatId", "OwnerId"),
    "PricebookEntry": ("UnitPrice", "IsActive"),
}


def test_every_field_that_is_written_is_granted_to_a_user_who_has_nothing_else(org: Org) -> None:
    org_of = org.service.org
    sets = [
        row["Id"] for row in org_of.store.rows("PermissionSet").values() if row["Name"] == "O2C_Integration"
    ]
    access = org_of.access_by(sets, restricted=True)
    for sobject, names in [*FIELDS.items(), *STANDARD.items()]:
        item = org_of.schema.require(sobject)
        assert access.may("edit", item), sobject
        for name in names:
            field = access.field(item, name)
            assert field is not None, f"{sobject}.{name}"
            assert access.edits(item, field), f"{sobject}.{name}"
    for sobject in ("Account", "Contact", "Case", "Task", "Product2", "PricebookEntry", *STRIPE):
        assert access.may("create", org_of.schema.require(sobject)), sobject


def test_an_org_with_several_currencies_takes_it_too() -> None:
    service = SalesforceService()
    service.settings.patch({"multi_currency": True})
    several = SourcePackage().zip_bytes(multi_currency=True)
    assert not [each for each in deploy(service.org, several) if each.problem]


def test_a_check_changes_nothing() -> None:
    service = SalesforceService()
    before = set(service.org.schema.objects), len(service.org.store.rows("PermissionSet"))
    found = deploy(service.org, SourcePackage().zip_bytes(), check_only=True)
    assert not [each for each in found if each.problem]
    assert (set(service.org.schema.objects), len(service.org.store.rows("PermissionSet"))) == before
    assert service.org.pages.layouts == {}
    assert service.org.pages.list_views == {}
