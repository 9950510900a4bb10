"""Several queries, or several lists of rows, in one call."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from emulators.salesforce.deploy import deploy
from emulators.salesforce.seeding import assign
from order_to_cash.cli.package import SourcePackage
from order_to_cash.domain.errors import FieldRefused, O2CError, OutcomeUnknown, Refused, Unavailable
from order_to_cash.gateways.calls import shown
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
from order_to_cash.gateways.salesforce_together import Part, results, writes_body
from tests.gateways.conftest import World, org_of

Make = Callable[..., SalesforceGateway]


@pytest.fixture
def packaged(salesforce_world: World) -> World:
    """An org with our objects."""
    org = org_of(salesforce_world).org
    deploy(org, SourcePackage().zip_bytes())
    assign(org, "O2C_Integration")
    return salesforce_world


def test_each_query_gets_its_own_rows_in_one_call(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    won = {"Name": "Deal & more", "StageName": "Closed Won", "CloseDate": "2026-11-01"}
    gateway.insert_rows("Opportunity", [{**won, "Amount": Decimal("0.10")}])
    gateway.insert_rows("Account", [{"Name": "Ada's + 100 %"}])
    org_of(salesforce_world).journal.clear()
    deals, nobody, accounts = gateway.query_together(
        [
            "SELECT Name, Amount FROM Opportunity",
            "SELECT Id FROM Contact WHERE LastName = 'Nobody'",
            "SELECT Name FROM Account WHERE Name = 'Ada\\'s + 100 %'",
        ]
    )
    assert deals == [{"Name": "Deal & more", "Amount": Decimal("0.10")}]
    assert not isinstance(deals[0]["Amount"], float)
    assert (nobody, accounts) == ([], [{"Name": "Ada's + 100 %"}])
    (call,) = org_of(salesforce_world).journal.entries
    assert call.path.endswith("/composite")


def test_one_query_alone_is_a_plain_one(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    gateway.query_together(["SELECT Id FROM Account"])
    assert org_of(salesforce_world).journal.entries[-1].path.endswith("/query/")


def test_a_query_that_is_refused_says_so(salesforce_gateway: Make) -> None:
    with pytest.raises(FieldRefused, match="Nonsense__c"):
        salesforce_gateway().query_together(["SELECT Id FROM Account", "SELECT Nonsense__c FROM Account"])


def test_a_lost_answer_is_asked_for_again(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    gateway.query("SELECT Id FROM Account")
    org_of(salesforce_world).faults.add(path="/composite$", nth=1, drop="after")
    assert gateway.query_together(["SELECT Id FROM Account", "SELECT Id FROM Contact"]) == [[], []]


def test_more_than_five_are_too_many(salesforce_gateway: Make) -> None:
    with pytest.raises(ValueError, match="6 queries"):
        salesforce_gateway().query_together(["SELECT Id FROM Account"] * 6)


def test_addresses_in_the_queries_are_not_recorded() -> None:
    url = "/services/data/v66.0/query?q=SELECT+Id+FROM+Account+WHERE+Billing_Email__c+%3D+%27ada%40acme.example%27"
    recorded = str(shown({"compositeRequest": [{"method": "GET", "url": url, "referenceId": "q0"}]}))
    assert "ada" not in recorded
    assert "Billing_Email__c = '…'" in recorded


INVOICE, LINE = "Stripe_Invoice__c", "Stripe_Invoice_Line__c"


def invoice(number: int, **fields: Any) -> dict[str, Any]:
    return {"Stripe_Invoice_Id__c": f"in_{number}", "Total__c": Decimal("10.50"), **fields}


def line(number: int, parent: int) -> dict[str, Any]:
    return {
        "Stripe_Invoice_Line_Id__c": f"il_{number}",
        "Invoice__r": {"Stripe_Invoice_Id__c": f"in_{parent}"},
        "Description__c": f"Line {number}",
    }


def parts(*, missing: bool = False) -> list[Part]:
    """Three invoices and a line of each; with a line whose invoice is nowhere."""
    lines = [line(number, number) for number in range(3)] + ([line(9, 9)] if missing else [])
    return [
        Part(INVOICE, "Stripe_Invoice_Id__c", [invoice(number) for number in range(3)]),
        Part(LINE, "Stripe_Invoice_Line_Id__c", lines),
    ]


def test_rows_that_refer_to_each_other_are_one_call(packaged: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    before = org_of(packaged).api_usage()[0]
    invoices, lines = gateway.upsert_together(parts(missing=True))
    assert org_of(packaged).api_usage()[0] == before + 1
    assert [row.ok for row in invoices] == [True] * 3
    assert [row.ok for row in lines] == [True] * 3 + [False]
    assert "in_9" not in str(lines[3].id)
    assert isinstance(lines[3].error, Refused)
    shown = gateway.query(f"SELECT Invoice__c, Description__c FROM {LINE} ORDER BY Stripe_Invoice_Line_Id__c")
    assert [row["Invoice__c"] for row in shown] == [row.id for row in invoices]


def test_an_answer_that_is_lost_is_asked_for_again_and_writes_nothing_twice(
    packaged: World, salesforce_gateway: Make
) -> None:
    gateway = salesforce_gateway()
    org_of(packaged).faults.add(path="/composite$", nth=1, drop="after")
    assert all(row.ok for results in gateway.upsert_together(parts()) for row in results)
    assert len(gateway.query(f"SELECT Id FROM {LINE}")) == 3


def test_an_answer_that_never_comes_leaves_the_outcome_unknown(
    packaged: World, salesforce_gateway: Make
) -> None:
    """Unlike a query's: the rows may have been written."""
    gateway = salesforce_gateway()
    gateway.query("SELECT Id FROM Account")
    org_of(packaged).faults.add(path="/composite$", drop="after")
    with pytest.raises(OutcomeUnknown):
        gateway.upsert_together(parts())
    with pytest.raises(Unavailable) as caught:
        gateway.query_together(["SELECT Id FROM Account"] * 2)
    assert not isinstance(caught.value, OutcomeUnknown)


def test_a_part_that_is_refused_as_a_whole_says_so_for_each_row(
    packaged: World, salesforce_gateway: Make
) -> None:
    wrong = Part("Nonsense__c", "Stripe_Invoice_Id__c", [invoice(1), invoice(2)])
    refused, written = salesforce_gateway().upsert_together([wrong, parts()[0]])
    assert [isinstance(row.error, O2CError) for row in refused] == [True, True]
    assert [row.ok for row in written] == [True] * 3


def test_what_an_answer_leaves_open_is_unknown_row_by_row() -> None:
    answers: list[Any] = [None, {}, {"compositeResponse": []}, {"compositeResponse": [{}, {}]}]
    for said in answers:
        for rows in results(said, parts()):
            assert {type(row.error) for row in rows} == {OutcomeUnknown}


def test_no_call_takes_more_than_five_parts_or_two_hundred_rows(salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    with pytest.raises(ValueError, match="more than one call takes"):
        gateway.upsert_together(parts()[:1] * 6)
    with pytest.raises(ValueError, match="more than one call takes"):
        gateway.upsert_together([Part(INVOICE, "Stripe_Invoice_Id__c", [invoice(n) for n in range(201)])])
    with pytest.raises(ValueError, match="External ID"):
        gateway.upsert_together([Part(INVOICE, "Stripe_Invoice_Id__c", [{"Total__c": 1}])])


def test_text_in_a_row_does_not_pass_for_a_kind_of_request() -> None:
    said = [{"Description__c": '{"method":"POST"}'}]
    body = writes_body("66.0", [Part(LINE, "Description__c", said)])
    assert b'"method":"PATCH"' in body
    assert b'"method":"POST"' not in body


def test_rows_are_recorded_redacted_beside_where_they_went() -> None:
    body = {"records": [{"Billing_Email__c": "ada@acme.example", "Status__c": "paid"}]}
    asked = {
        "method": "PATCH",
        "url": f"/services/data/v66.0/composite/sobjects/{INVOICE}/X__c",
        "body": body,
    }
    recorded = str(shown({"compositeRequest": [asked]}))
    assert "ada" not in recorded
    assert "paid" in recorded
    assert INVOICE in recorded


def test_the_emulator_takes_five_large_subrequests_at_most(packaged: World, salesforce_gateway: Make) -> None:
    asked = [
        {
            "method": "GET",
            "url": "/services/data/v66.0/query?q=SELECT+Id+FROM+Account",
            "referenceId": f"q{n}",
        }
        for n in range(6)
    ]
    gateway = salesforce_gateway()
    with pytest.raises(Refused, match="The limit is 5"):
        gateway._call(
            "query", lambda sf: sf.restful("composite", method="POST", json={"compositeRequest": asked})
        )


def test_a_part_by_id_updates(packaged: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    (made,) = gateway.insert_rows("Account", [{"Name": "Acme"}])
    gone = "001000000000000AAA"
    accounts = Part("Account", "Id", [{"Id": made.id, "Name": "Acme Ltd"}, {"Id": gone, "Name": "Nobody"}])
    (written, lost), invoices = gateway.upsert_together([accounts, parts()[0]])
    assert (written.ok, written.id, lost.ok, lost.id) == (True, made.id, False, gone)
    assert [row.ok for row in invoices] == [True] * 3
    assert gateway.query("SELECT Name FROM Account") == [{"Name": "Acme Ltd"}]
