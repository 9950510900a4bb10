"""Deals as different organisations have them: terms, taxes, currencies, quotes."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.outcomes import DealStatus
from tests.emulators.salesforce_package import field_of, manifest, object_xml, permission_set, zipped
from tests.flows.conftest import Policy
from tests.flows.running import codes, outcome_of, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def test_terms_of_the_deal_go_before_those_of_the_policy(books: World) -> None:
    account = books.account()
    charged = books.deal(account, Stripe_Collection_Method__c="charge_automatically")
    quick = books.deal(account, Stripe_Days_Until_Due__c=7)
    summary = await run(charged, quick)
    assert summary.in_words == "2 billed"
    (invoice,) = books.invoices(charged)
    assert (invoice["status"], invoice["auto_advance"]) == ("open", True)
    assert invoice["collection_method"] == "charge_automatically"
    assert invoice["id"] not in books.effects("stripe", "invoice", "sent")
    assert books.record("Opportunity", charged)["Stripe_Invoice_Id__c"] == invoice["id"]
    sent = books.assert_billed_once(quick, 250_000)
    assert sent["due_date"] - sent["status_transitions"]["finalized_at"] <= 7 * 86_400


async def test_stripe_tax_comes_on_top_of_what_was_agreed(books: World, policy: Policy) -> None:
    books.settings("stripe", tax_rates={"DE": "19"})
    await policy(automatic_tax="true")
    german, american = books.account(BillingCountry="Germany"), books.account()
    agreed = books.deal(german, lines=(("day", 3, 1000), ("onboarding", 1, 2500)))
    untaxed = books.deal(american)
    summary = await run(agreed, untaxed)
    assert summary.in_words == "2 billed"
    invoice = books.assert_billed_once(agreed, 654_500)
    assert invoice["total_excluding_tax"] == 550_000
    books.assert_billed_once(untaxed, 250_000)
    assert "3,000" not in books.slack_texts()[0]
    assert any("5,500.00 USD" in text for text in books.slack_texts())


@pytest.mark.parametrize("multi_currency", [False])
async def test_an_org_with_one_currency_bills_in_that_of_the_policy(books: World) -> None:
    deal = books.deal(lines=(("seat", 4, 150),))
    assert (await run()).in_words == "1 billed"
    books.assert_billed_once(deal, 60_000)


async def test_quote_lines_of_the_primary_cpq_quote_are_billed(books: World, policy: Policy) -> None:
    _install_cpq(books)
    await policy(line_source="cpq_quote_lines")
    one_time, subscription, unquoted = (books.deal() for _ in range(3))
    bundle = {"SBQQ__Quantity__c": 2, "SBQQ__NetPrice__c": 1250, "SBQQ__NetTotal__c": 2500}
    included = {"SBQQ__Quantity__c": 2, "SBQQ__NetPrice__c": 0, "SBQQ__NetTotal__c": 0}
    _quote(books, one_time, bundle, component=included)
    _quote(books, one_time, {"SBQQ__Quantity__c": 9, "SBQQ__NetTotal__c": 9}, primary=False)
    not_taken = {"SBQQ__Quantity__c": 1, "SBQQ__NetTotal__c": 700, "SBQQ__Optional__c": True}
    _quote(books, one_time, not_taken)
    monthly = {"SBQQ__SubscriptionPricing__c": "Fixed Price", "SBQQ__SubscriptionType__c": "Renewable"}
    _quote(books, subscription, {"SBQQ__Quantity__c": 1, "SBQQ__NetTotal__c": 2500, **monthly})
    summary = await run()
    invoice = books.assert_billed_once(one_time, 250_000)
    assert [(line["quantity"], line["amount"]) for line in invoice["lines"]["data"]] == [(2, 250_000)]
    assert codes(summary, subscription) == ["needs_subscription"]
    assert codes(summary, unquoted)[0] == "no_lines"
    assert outcome_of(summary, unquoted).status is DealStatus.QUARANTINED


_QUOTE_FIELDS = {
    "SBQQ__Opportunity2__c": "<type>Lookup</type><referenceTo>Opportunity</referenceTo>"
    "<relationshipName>SBQQ__Quotes2</relationshipName><deleteConstraint>SetNull</deleteConstraint>",
    "SBQQ__Primary__c": "<type>Checkbox</type><defaultValue>false</defaultValue>",
}
_NUMBER = "<type>Number</type><precision>16</precision><scale>2</scale>"
_TEXT = "<type>Text</type><length>80</length>"
_LINE_FIELDS = {
    "SBQQ__Quote__c": "<type>Lookup</type><referenceTo>SBQQ__Quote__c</referenceTo>"
    "<relationshipName>SBQQ__LineItems</relationshipName><deleteConstraint>SetNull</deleteConstraint>",
    "SBQQ__Product__c": "<type>Lookup</type><referenceTo>Product2</referenceTo>"
    "<relationshipName>SBQQ__QuoteLines</relationshipName><deleteConstraint>SetNull</deleteConstraint>",
    "SBQQ__Description__c": _TEXT,
    "SBQQ__Quantity__c": _NUMBER,
    "SBQQ__NetPrice__c": _NUMBER,
    "SBQQ__NetTotal__c": _NUMBER,
    "SBQQ__Optional__c": "<type>Checkbox</type><defaultValue>false</defaultValue>",
    "SBQQ__SubscriptionPricing__c": _TEXT,
    "SBQQ__SubscriptionType__c": _TEXT,
    "SBQQ__RequiredBy__c": "<type>Lookup</type><referenceTo>SBQQ__QuoteLine__c</referenceTo>"
    "<relationshipName>SBQQ__Components</relationshipName><deleteConstraint>SetNull</deleteConstraint>",
}
_HEAD = (
    "<label>{0}</label><pluralLabel>{0}s</pluralLabel><nameField><label>{0}</label><type>AutoNumber</type>"
    "<displayFormat>{0}-{{0000}}</displayFormat></nameField><deploymentStatus>Deployed</deploymentStatus>"
    "<sharingModel>ReadWrite</sharingModel>"
)


def _install_cpq(world: World) -> None:
    """What the mapping reads of the CPQ package, with the right to read it."""
    import httpx

    objects = {"SBQQ__Quote__c": _QUOTE_FIELDS, "SBQQ__QuoteLine__c": _LINE_FIELDS}
    files = {}
    for name, fields in objects.items():
        parts = (
            f"<fullName>{field}</fullName><label>{field}</label>{kind}" for field, kind in fields.items()
        )
        label = name.removeprefix("SBQQ__").removesuffix("__c")
        files[f"objects/{name}.object"] = object_xml(_HEAD.format(label) + "".join(map(field_of, parts)))
    granted = [f"{name}.{field}" for name, fields in objects.items() for field in fields]
    read = dict.fromkeys(objects, "<allowRead>true</allowRead>")
    files["permissionsets/Quotes.permissionset"] = permission_set(*granted, objects=read, label="Quotes")
    world.settings("salesforce", namespaces=["SBQQ"])
    files["package.xml"] = manifest(CustomObject=list(objects), PermissionSet=["Quotes"])
    url = f"{world.urls['salesforce']}/_emulator/deploy"
    answer = httpx.post(url, content=zipped(files), timeout=60, trust_env=False)
    assert answer.is_success, answer.text
    world.control("salesforce", "assign", {"permission_set": "Quotes"})


def _quote(
    world: World,
    deal: str,
    fields: dict[str, Any],
    *,
    primary: bool = True,
    component: dict[str, Any] | None = None,
) -> None:
    """A quote of one line; `component`: of a second product, without price, that the first one includes."""
    product = world.product("quoted", "Quoted", world.prices["onboarding"], "2500.00")
    line = {"type": "SBQQ__QuoteLine__c", "SBQQ__Quote__c": "@quote"}
    parts: list[dict[str, Any]] = []
    if component is not None:
        handbook = world.product("included", "Handbook", None, "0.00")
        parts = [{**line, "SBQQ__Product__c": handbook, "SBQQ__RequiredBy__c": "@line", **component}]
    world.seeder.salesforce(
        [
            {
                "type": "SBQQ__Quote__c",
                "ref": "quote",
                "SBQQ__Opportunity2__c": deal,
                "SBQQ__Primary__c": primary,
            },
            {**line, "ref": "line", "SBQQ__Product__c": product, **fields},
            *parts,
        ]
    )
