"""Links to records lead to pages that a browser shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from emulators.engine import Clock
from emulators.run import running
from emulators.salesforce.deploy import deploy
from emulators.salesforce.service import SalesforceService
from order_to_cash.cli.package import SourcePackage
from order_to_cash.domain.messages import record_url

ACME = "Acme <script>alert(1)</script>"


class Org:
    def __init__(self, service: SalesforceService, url: str) -> None:
        self.service, self.url = service, url

    def seed(self, *records: dict[str, Any]) -> dict[str, str]:
        body = {"records": list(records)}
        answer = httpx.post(f"{self.url}/_emulator/seed", json=body, trust_env=False)
        assert answer.is_success, answer.text
        refs: dict[str, str] = answer.json()["refs"]
        return refs

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", trust_env=False)

    def page(self, record_id: str) -> str:
        """As a plain browser asks for it, at the address that people are given."""
        answer = httpx.get(record_url(self.url, record_id), trust_env=False)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        return answer.text


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    service = SalesforceService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        assert not [each for each in deploy(service.org, SourcePackage().zip_bytes()) if each.problem]
        yield Org(service, urls["salesforce"])


@pytest.fixture(scope="module")
def ids(org: Org) -> dict[str, str]:
    return org.seed(
        {
            "type": "Account",
            "ref": "account",
            "Name": ACME,
            "BillingStreet": "1 Main Street",
            "BillingCity": "Berlin",
            "BillingCountry": "Germany",
            "Stripe_Card_Exp_Year__c": 2040,
        },
        {
            "type": "Opportunity",
            "ref": "deal",
            "Name": "Acme, first order",
            "AccountId": "@account",
            "StageName": "Closed Won",
            "CloseDate": "2026-11-01",
            "Amount": 12500.5,
            "Stripe_Invoice_URL__c": 'https://pay.example/i?a=1&b="2',
            "Stripe_Paid__c": True,
        },
        {
            "type": "Stripe_Invoice__c",
            "ref": "invoice",
            "Stripe_Invoice_Id__c": "in_1",
            "Invoice_Number__c": "A-0001",
            "Account__c": "@account",
            "Opportunity__c": "@deal",
        },
        {"type": "Task", "ref": "task", "Subject": "Call them", "WhatId": "@deal"},
        {"type": "Task", "Subject": "Write to them", "WhatId": "@account"},
    )


def fields(page: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))


def sections(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_a_deals_page_is_its_layout(org: Org, ids: dict[str, str]) -> None:
    page = org.page(ids["deal"])
    assert "<h1>Acme, first order</h1>" in page
    assert "shown by a local emulator, not by Salesforce" in page
    shown = fields(page)
    assert (shown["Stage Name"], shown["Amount"], shown["Stripe Paid"]) == ("Closed Won", "12,500.5", "✓")
    account = "Acme &lt;script&gt;alert(1)&lt;/script&gt;"
    assert f'<a href="/{ids["account"]}">{account}</a>' in shown.values()
    link = "https://pay.example/i?a=1&amp;b=&quot;2"
    assert shown["Stripe Invoice URL"] == f'<a href="{link}" rel="noreferrer">{link}</a>'
    assert sections(page)[:2] == ["Opportunity", "Billing"]
    assert f'<a href="/{ids["invoice"]}">open</a>' in page.partition("<h2>Stripe Invoices</h2>")[2]
    assert "Call them" in page.partition("<h2>Tasks</h2>")[2], "what points at it is listed, layout or not"


def test_an_accounts_page_lists_what_is_below_it(org: Org, ids: dict[str, str]) -> None:
    page = org.page(ids["account"])
    assert "<script>" not in page
    assert fields(page)["Card Expiry Year"] == "2040"
    assert fields(page)["Billing Address"] == "1 Main Street, Berlin, Germany"
    assert sections(page).count("Tasks") == 1
    assert page.count("Write to them") == 1
    below = page.partition("<h2>Opportunities</h2>")[2]
    assert f'<a href="/{ids["deal"]}">open</a></td><td>Acme, first order</td>' in below
    assert "A-0001" in page.partition("<h2>Stripe Invoices</h2>")[2]


def test_an_object_without_a_layout_shows_what_its_fields_say(org: Org, ids: dict[str, str]) -> None:
    shown = fields(org.page(ids["task"]))
    assert shown["Subject"] == "Call them"
    assert f'<a href="/{ids["deal"]}">Acme, first order</a>' in shown.values()
    assert "" not in shown.values()


def test_the_head_of_a_record_stands_first(org: Org, ids: dict[str, str]) -> None:
    """The compact layout of the package."""
    head = org.page(ids["invoice"]).partition("<h2>")[0]
    assert "A-0001" in fields(head).values()


def test_addresses_of_lightning_and_short_ids_lead_there_too(org: Org, ids: dict[str, str]) -> None:
    page = org.page(ids["deal"])
    for path in (
        f"/{ids['deal'][:15]}",
        f"/lightning/r/Opportunity/{ids['deal']}/view",
        f"/lightning/r/{ids['deal']}/view",
    ):
        assert org.get(path).text == page


def test_what_is_not_there_is_said_in_words(org: Org) -> None:
    gone = org.seed({"type": "Account", "ref": "gone", "Name": "Gone"})["gone"]
    httpx.post(f"{org.url}/_emulator/delete", json={"ids": [gone]}, trust_env=False)
    for record_id in ("006000000000001AAA", gone):
        answer = org.get(f"/{record_id}")
        assert answer.status_code == 404
        assert "There is no such record, or it was deleted." in answer.text
    assert org.get("/nowhere").json()[0]["errorCode"] == "NOT_FOUND", "no address of a record"


def test_a_page_costs_no_api_call_and_needs_no_login(org: Org, ids: dict[str, str]) -> None:
    before = org.service.api_usage()
    org.page(ids["account"])
    assert org.service.api_usage() == before
